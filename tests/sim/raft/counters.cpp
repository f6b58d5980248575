#include "tests/sim/raft/counters.h"

namespace quorate::sim {
namespace {

// In the order of RaftCount.
constexpr std::array<std::string_view, kRaftCounts> kNames = {
    "elections",
    "leader with an uncommitted tail",
    "uncommitted tail truncated",
    "committed",
    "applied",
    "proposed",
    "crashes",
    "crash after Ready",
    "crash after sending",
    "crash before applying",
    "crash after applying",
    "crash before persisting",
    "crash after persisting",
    "crash before a flush",
    "crash after a flush",
    "crash after a cut",
    "writes lost in a crash",
    "partitions",
    "partition of one",
    "partition into halves",
    "partition one way",
    "partition with a bridge",
    "partition as a ring",
    "partition of a deaf leader",
    "links broken",
    "messages lost",
    "pauses",
    "leader paused",
    "syncs stalled",
    "logs cut",
    "changes begun",
    "changes refused",
    "joint configuration committed",
    "configuration entry truncated",
    "crash in joint state",
    "leader elected in joint state",
    "replicas added",
    "replicas retired",
    "disks lost",
    "reads begun",
    "reads answered",
    "reads lost with the leadership",
    "transfers begun",
    "transfers refused",
    "TimeoutNow sent",
    "quiesced",
    "woken",
    "snapshots begun",
    "snapshots installed",
    "snapshot installed while appending",
    "second snapshot during the first",
    "snapshot of what is known",
    "crash at a chunk",
    "disks full",
    "messages not appended on a full disk",
    "leadership handed over by a full disk",
    "clocks stepped ahead",
    "clocks stepped back",
    "clocks of another speed",
    "messages of strangers",
    "logs corrupted",
    "corrupted logs noticed",
    "hand-overs come late",
};

}  // namespace

std::string_view to_string(RaftCount count) {
    return kNames[static_cast<std::size_t>(count)];
}

}  // namespace quorate::sim
