#include "tests/sim/raft/strangers.h"

#include <utility>

namespace quorate::sim {
namespace {

// Never allotted to anybody.
constexpr uint64_t kStranger = 1000;

raft::MessageBody some_body(const raft::RaftNode& to, Term term, Random& random) {
    const EntryId last = to.log().last();
    const EntryId next{last.index.next(), term};
    const raft::Configuration own{{ReplicaId(kStranger)}};
    switch (random.below(9)) {
        case 0:
            return raft::RequestVote{next, random.chance(1, 2), random.chance(1, 2)};
        case 1:
            return raft::RequestVoteReply{random.chance(1, 2), true};
        case 2: {
            raft::AppendEntries append{last, next.index, {}};
            append.entries.push_back(
                {next, raft::EntryKind::Command, SharedBytes(as_bytes("a stranger's"))});
            return append;
        }
        case 3:
            return raft::AppendEntriesReply{true, last.index, last};
        case 4:
            return raft::Heartbeat{last.index, raft::ReadId(UINT64_MAX / 2), random.chance(1, 4)};
        case 5:
            return raft::HeartbeatReply{raft::ReadId(UINT64_MAX / 2), 1000};
        case 6:
            return raft::TimeoutNow{};
        case 7: {
            raft::InstallSnapshot chunk;
            chunk.snapshot = {next, own};
            chunk.transfer = raft::TransferId(1);
            chunk.data = SharedBytes(as_bytes("a state of nobody, some bytes of it"));
            chunk.done = true;
            return chunk;
        }
        default:
            return raft::InstallSnapshotReply{raft::TransferId(1), 1};
    }
}

}  // namespace

raft::Message message_of_stranger(const raft::RaftNode& to, Random& random) {
    const Term term(to.term().value() + random.below(3));
    raft::Message message{ReplicaId(kStranger + random.below(3)), to.self(), term,
                          some_body(to, term, random)};
    if (random.chance(1, 4)) {
        // By a member, for whoever was here before under another name.
        const auto& voters = to.configuration().voters;
        message.from = voters[random.below(voters.size())];
        message.to = ReplicaId(kStranger);
    }
    return message;
}

}  // namespace quorate::sim
