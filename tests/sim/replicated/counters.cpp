#include "tests/sim/replicated/counters.h"

namespace quorate::sim::replicated {
namespace {

// In the order of Count.
constexpr std::array<std::string_view, kCounts> kNames = {
    "leaders",
    "new leader with an uncommitted tail",
    "uncommitted tail truncated",
    "entries applied",
    "commands",
    "lanes resent",
    "resent commands dropped as duplicates",
    "commands refused as a gap",
    "commands refused as fenced",
    "commands refused as of a stale source",
    "incarnations of a producer changed",
    "front-ends suspected wrongly",
    "commands of a front-end that is down",
    "takeovers",
    "takeovers with messages in flight",
    "takeovers while DISCONNECT is under way",
    "connections let go",
    "wills sent",
    "wills cancelled",
    "will delays across a fail-over",
    "sessions expired",
    "PUBREL resumed",
    "messages redelivered",
    "PUBLISH of QoS 2 repeated",
    "hand-overs repeated",
    "senders in the middle of QoS 2",
    "receivers in the middle of QoS 2",
    "messages delivered",
    "retained messages read",
    "commands refused by a limit",
    "messages read from a deposed leader",
    "crashes",
    "writes lost in a crash",
    "starts with entries to replay",
    "flushes",
    "snapshots installed",
    "disks damaged",
    "damages noticed",
    "partitions",
    "wires broken",
    "packets lost",
    "pauses",
    "leader paused",
    "syncs stalled",
    "disks nearly full",
    "messages not appended on a full disk",
    "changes of the membership",
    "replicas that joined",
    "replicas removed",
    "replicas begun anew on what was left",
    "disks replaced by empty ones",
    "crash in joint state",
    "second snapshot during the first",
    "packet identifiers that came round",
    "states compared by replicas",
};

}  // namespace

std::string_view to_string(Count count) {
    return kNames[static_cast<std::size_t>(count)];
}

}  // namespace quorate::sim::replicated
