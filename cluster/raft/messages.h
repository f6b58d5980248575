// What replicas of a group say to each other and what a log consists of, in the words of the Raft
// dissertation: terms, entries, RequestVote, AppendEntries.
//
// *Thread*: values. *Spec*: Raft §3 (figure 3.1), §9.6 (pre-vote).
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "cluster/raft/configuration.h"
#include "proto/base/bytes.h"
#include "proto/base/ids.h"

namespace quorate::raft {

// No replica counts so far: whoever names a higher term or index lies, and could not be added to.
inline constexpr uint64_t kCountMax = uint64_t{1} << 62;

// Of a replica that is as welcome to lead as any other. See RaftNode::set_priority.
inline constexpr uint32_t kNormalPriority = 100;

enum class EntryKind : uint8_t {
    Empty = 0,          // opens a leader's term (§3.6.2: commits what earlier terms left)
    Command = 1,        // for the state machine
    Configuration = 2,  // for the group itself (§4.1): what `encode` makes of one
};

struct Entry {
    EntryId id;
    EntryKind kind = EntryKind::Empty;
    SharedBytes data;
};

// §3.8: on stable storage before any message that depends on it leaves.
struct HardState {
    Term term;
    ReplicaId voted_for;  // 0: nobody
    LogIndex commit;      // a hint that saves replay
    bool operator==(const HardState&) const = default;
};

// §6.4: of one attempt to read; rises with each, also over terms. 0: none.
using ReadId = Id<struct ReadIdTag, uint64_t>;

// §3.4. With `pre` set it asks for a promise only and changes no term (§9.6). With `transfer` the
// leader itself asked for this election, so the leases of §4.2.3 do not stand against it (§3.10).
struct RequestVote {
    EntryId last;
    bool pre = false;
    bool transfer = false;
};
struct RequestVoteReply {
    bool pre = false;
    bool granted = false;
};
// §3.5.
struct AppendEntries {
    EntryId previous;
    LogIndex commit;
    std::vector<Entry> entries;
};
// Accepted: `index` is the highest one known to match. Rejected: `index` is the `previous` that did
// not match, and `hint` the last position of the follower's log that could, so that the leader
// backs off by terms rather than by entries (§3.5, end).
struct AppendEntriesReply {
    bool accepted = false;
    LogIndex index;
    EntryId hint;
};
// Keeps followers quiet; carries no log position to check, so that those of many groups between two
// nodes fit one message. `commit` is at most what the receiver is known to hold, `read` the newest
// read that waits for a quorum (§6.4). With `quiesce` no further heartbeats follow until something
// happens.
struct Heartbeat {
    LogIndex commit;
    ReadId read{};
    bool quiesce = false;
};
struct HeartbeatReply {
    ReadId read;  // of the heartbeat that is answered
    uint32_t priority = 0;
};
// §3.10: campaign at once.
struct TimeoutNow {};

// §5: what a state holds: the effects of everything up to `last`.
struct SnapshotMeta {
    EntryId last;
    Configuration configuration;  // as of `last`
    bool operator==(const SnapshotMeta&) const = default;
};
// One attempt of a leader to send one snapshot; unique in its term. The first is 1.
using TransferId = Id<struct TransferIdTag, uint64_t>;
// §5, figure 5.3: a part of a snapshot. When all is in place AppendEntriesReply says so.
struct InstallSnapshot {
    SnapshotMeta snapshot;
    TransferId transfer;
    uint64_t offset = 0;
    SharedBytes data;
    bool done = false;
};
struct InstallSnapshotReply {
    TransferId transfer;
    uint64_t offset = 0;  // the next byte wanted
};

using MessageBody =
    std::variant<RequestVote, RequestVoteReply, AppendEntries, AppendEntriesReply, Heartbeat,
                 HeartbeatReply, TimeoutNow, InstallSnapshot, InstallSnapshotReply>;

struct Message {
    ReplicaId from;
    ReplicaId to;
    Term term;
    MessageBody body;
};

}  // namespace quorate::raft
