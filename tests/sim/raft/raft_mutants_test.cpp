// Each known bug of the core, and each mistake of its holder, is noticed within the seeds of one
// change. Runs in processes of their own: an assertion of the core that fails has noticed it, too.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "cluster/raft/mutants.h"
#include "proto/base/assert.h"
#include "tests/sim/raft/simulation.h"
#include "tests/unit/catch.h"

using namespace quorate;
using namespace quorate::sim;

namespace {

constexpr uint32_t kSteps = 50'000;

// Per change 2,000 seeds run; what needs more than these is too rare to rely on.
uint64_t seeds_max() {
    const char* text = std::getenv("QUORATE_MUTANT_SEEDS");
    return text == nullptr ? 400 : std::strtoull(text, nullptr, 10);
}

// What a child tells its parent, also by dying.
struct Told {
    uint64_t seed = 0;
    bool caught = false;
    char violation[200] = {};
};

void run_child(Told& told, raft::Mutant mutant, HolderMutant holder) {
    // What an assertion says is expected here.
    const int null = ::open("/dev/null", O_WRONLY);
    ::dup2(null, STDERR_FILENO);
    std::signal(SIGABRT, SIG_DFL);  // not a failure of this program
    raft::active_mutant = mutant;
    for (uint64_t seed = 1; seed <= seeds_max(); ++seed) {
        told.seed = seed;
        RaftPlan plan = draw_raft_plan(seed, kSteps);
        plan.mutant = holder;
        const RaftResult result = simulate_raft(plan);
        if (result.violation.empty()) continue;
        told.caught = true;
        result.violation.copy(told.violation, sizeof(told.violation) - 1);
        break;
    }
    ::_exit(0);
}

// Whether it was noticed; prints by which seed and which invariant.
bool noticed(const std::string& name, raft::Mutant mutant, HolderMutant holder) {
    void* shared =
        ::mmap(nullptr, sizeof(Told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT(shared != MAP_FAILED, "a page");
    Told& told = *static_cast<Told*>(shared);
    std::fflush(stdout);
    const pid_t child = ::fork();
    if (child == 0) run_child(told, mutant, holder);
    int status = 0;
    ASSERT(::waitpid(child, &status, 0) == child, "a child ends");
    const bool asserted = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
    fmt::print("{}: {} {}: {}\n", name, told.caught || asserted ? "seed" : "not in", told.seed,
               asserted ? "an assertion of the core" : told.violation);
    const bool caught = told.caught || asserted;
    ::munmap(shared, sizeof(Told));
    return caught;
}

}  // namespace

TEST_CASE("every known bug of the core breaks an invariant within the seeds of one change") {
    for (std::size_t i = 1; i < raft::kMutantNames.size(); ++i) {
        const std::string name(raft::kMutantNames[i]);
        INFO(name);
        CHECK(noticed(name, static_cast<raft::Mutant>(i), HolderMutant::None));
    }
}

TEST_CASE("every mistake of a replica's holder is noticed within the seeds of one change") {
    CHECK(noticed("CutBeforeFlush", raft::Mutant::None, HolderMutant::CutBeforeFlush));
    CHECK(noticed("AmnesicVotes", raft::Mutant::None, HolderMutant::AmnesicVotes));
    CHECK(noticed("TrustsCorrupted", raft::Mutant::None, HolderMutant::TrustsCorrupted));
    CHECK(noticed("AnswersLostDisk", raft::Mutant::None, HolderMutant::AnswersLostDisk));
}
