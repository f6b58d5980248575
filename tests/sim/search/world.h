// One state of a small Raft group: three members, messages under way, and the history that the
// invariants are about. Cheap to copy: members and messages are shared until they change.
//
// The real core goes through everything that the scope allows, with these abstractions. Each lets
// happen more than the real thing does, or the same:
//
//  - Time. There are no counters: at any moment anybody who may stands for election, a leader sends
//    heartbeats, and a follower's answer to one may arrive (which makes the leader send again what
//    may be lost). So check-quorum, which only makes leaders give up, is not needed.
//  - Pre-vote and leases only prevent elections that would do no harm: here they never do. Whoever
//    campaigns has its pre-votes at once, and every vote is asked for as in a hand-over.
//  - What an old term's message causes is that its sender hears of the later term; here anybody
//    may hear of any term that anybody is in, at any time, and the messages are let go of.
//  - The network keeps some messages per direction, no two alike, in no order, for as long as it
//    takes; one too many is lost, and what is never delivered is as good as lost. What its receiver
//    would ignore now and for ever is not kept.
//  - Payloads: an entry is index and term; R1 and R2 say why that is enough.
//  - Who is who: states that differ by a renaming of the members, of which the scope is part, are
//    one state. The core draws and chooses nothing by ids but the order of a list.
//
// *Thread*: one. *Errors*: the first invariant that breaks, as a text.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/search/flight.h"
#include "tests/sim/search/member.h"
#include "tests/sim/search/scope.h"

namespace quorate::sim {

// What all states of a search share.
struct SearchContext {
    explicit SearchContext(SearchScope what) : scope(std::move(what)) {}

    const SearchScope scope;
    const std::vector<Renaming> renamings = renamings_of(scope);
    MemberReader reader;
};

// A thing that can happen.
struct SearchStep {
    enum class Kind : uint8_t {
        Deliver,
        Elect,
        Inform,     // of the later term that another is in
        Heartbeat,  // of a leader to all
        Answer,     // to a heartbeat, of another
        Write,
        Propose,
        Change,
        Transfer,
        Cut,
        Crash,
    };
    Kind kind = Kind::Elect;
    uint8_t node = 0;
    uint8_t other =
        0;  // Inform, Answer, Transfer: who; Deliver: which; Crash: how many writes are kept
};

class SearchWorld {
  public:
    explicit SearchWorld(SearchContext& context);

    // All that can happen now.
    void steps(const SearchContext& context, std::vector<SearchStep>& out) const;
    // Does one. Empty, or which invariant broke.
    [[nodiscard]] Finding take(SearchContext& context, const SearchStep& step);
    // Equal for states that go on alike, up to a renaming.
    [[nodiscard]] uint64_t fingerprint(const SearchContext& context) const;
    [[nodiscard]] std::string describe(const SearchStep& step) const;
    [[nodiscard]] std::size_t committed() const { return committed_->size(); }

  private:
    [[nodiscard]] Member& own(uint32_t at);
    [[nodiscard]] Finding act(SearchContext& context, const SearchStep& step, Member& member);
    [[nodiscard]] Finding elect(uint32_t at, Member& member);
    [[nodiscard]] Finding crash(SearchContext& context, const SearchStep& step, Member& member);
    void cut(Member& member);
    // What a holder does with Ready until there is nothing more to do.
    [[nodiscard]] Finding turn(SearchContext& context, uint32_t at, Member& member);
    [[nodiscard]] Finding complete(SearchContext& context, uint32_t at, Member& member);
    [[nodiscard]] Finding carry_snapshots(const raft::Ready& ready, Member& member);
    [[nodiscard]] Finding post(SearchContext& context, uint32_t at,
                               std::vector<raft::Message>& messages);
    [[nodiscard]] bool stale(const SearchContext& context, const raft::Message& message) const;

    // world_checks.cpp. `counted` is the configuration that was in force when the node was called.
    [[nodiscard]] Finding check(uint32_t at, const raft::Configuration& counted);
    [[nodiscard]] Finding check_leader(uint32_t at);
    [[nodiscard]] Finding check_commit(uint32_t at, const raft::Configuration& counted);
    [[nodiscard]] Finding check_matching(uint32_t at) const;
    [[nodiscard]] Finding check_applied(const Member& member, const raft::Entry& entry) const;
    [[nodiscard]] Finding check_appended(uint32_t at, const raft::Entry& entry) const;
    [[nodiscard]] Finding check_sent(uint32_t at, const raft::Message& message) const;
    [[nodiscard]] Finding check_carried(LogIndex index,
                                        const raft::Configuration& configuration) const;
    [[nodiscard]] Finding check_written(uint32_t at, const MemberWrite& write) const;
    template <typename Holds>
    [[nodiscard]] static bool quorum(const raft::Configuration& of, const Holds& holds);

    std::array<std::shared_ptr<Member>, kSearchNodes> members_;
    std::vector<FlightRef> flights_;
    raft::Configuration first_;
    uint8_t proposed_ = 0;
    uint8_t crashed_ = 0;
    uint8_t changed_ = 0;
    uint8_t transferred_ = 0;
    uint8_t cut_ = 0;
    std::vector<uint8_t> leaders_;   // by term; 0: nobody yet
    std::vector<LogIndex> reached_;  // by term: the last entry that was committed in it
    std::shared_ptr<const std::vector<raft::Entry>> committed_;
};

}  // namespace quorate::sim
