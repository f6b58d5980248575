// Each known bug of the core that a small scope can show is found by a search of that scope. Each
// in a process of its own: an assertion of the core that fails has noticed it, too.
#include <csignal>
#include <cstdio>
#include <cstring>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "cluster/raft/mutants.h"
#include "proto/base/assert.h"
#include "tests/sim/search/raft_search.h"
#include "tests/unit/catch.h"

using namespace quorate;
using namespace quorate::sim;

namespace {

struct Case {
    raft::Mutant mutant;
    const char* scope;
};

// With the scope that shows it soonest.
constexpr Case kCases[] = {
    {raft::Mutant::AcknowledgeBeforeDurable, "elections, two messages a link"},
    {raft::Mutant::VoteNotPersisted, "elections, two messages a link"},
    {raft::Mutant::CommitOldTermByCounting, "elections, two messages a link"},
    {raft::Mutant::ChangeBeforeOwnTerm, "a change from 1 and 2 to 2 and 3"},
    {raft::Mutant::ChangeKeptOnTruncation, "a change from three to 1 and 2"},
    {raft::Mutant::StaleCompletion, "one slow disk"},
    {raft::Mutant::ApplyBeforeDurable, "one slow disk"},
    {raft::Mutant::OwnCopyBeforeDurable, "one slow disk"},
    {raft::Mutant::VoteForShorterLog, "elections, two messages a link"},
    {raft::Mutant::VoteTwice, "elections, two messages a link"},
    {raft::Mutant::JointByNewHalf, "a change from 1 and 2 to 2 and 3"},
    {raft::Mutant::CampaignOnUncommittedChange, "a change from 1 and 2 to 2 and 3"},
    {raft::Mutant::TransferToLaggard, "elections and a hand-over"},
    {raft::Mutant::CommitBeyondMatch, "elections, two messages a link"},
    {raft::Mutant::SnapshotIndexOffByOne, "elections and a cut"},
};

SearchScope scope_named(const std::string& name) {
    for (SearchScope& scope : search_scopes()) {
        if (scope.name == name) return scope;
    }
    FAIL("no scope " << name);
    return {};
}

// Whether it was noticed; prints in how many states, and by which invariant.
bool noticed(const Case& each) {
    constexpr std::size_t kText = 400;
    void* shared =
        ::mmap(nullptr, kText, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT(shared != MAP_FAILED, "a page");
    char* told = static_cast<char*>(shared);
    const SearchScope scope = scope_named(each.scope);
    std::fflush(stdout);
    const pid_t child = ::fork();
    if (child == 0) {
        // What an assertion says is expected here.
        ::dup2(::open("/dev/null", O_WRONLY), STDERR_FILENO);
        std::signal(SIGABRT, SIG_DFL);
        raft::active_mutant = each.mutant;
        const SearchResult result = search_raft(scope);
        describe(scope, result).copy(told, kText - 1);
        ::_exit(result.violation.empty() ? 1 : 0);
    }
    int status = 0;
    ASSERT(::waitpid(child, &status, 0) == child, "a child ends");
    const bool asserted = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
    const bool found = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    fmt::print("{}: {}\n", raft::kMutantNames[static_cast<std::size_t>(each.mutant)],
               asserted ? "an assertion of the core" : told);
    ::munmap(shared, kText);
    return asserted || found;
}

}  // namespace

TEST_CASE(
    "every known bug of the core that fits a small scope is found by searching it [mutants]") {
    for (const Case& each : kCases) {
        INFO(raft::kMutantNames[static_cast<std::size_t>(each.mutant)]);
        CHECK(noticed(each));
    }
}
