// What a run counts: a run in which an interesting thing never happened has proved nothing about
// it.
//
// *Thread*: a value.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace quorate::sim {

enum class RaftCount : uint8_t {
    Elections,
    LeaderWithUncommittedTail,
    TailTruncated,
    Committed,
    Applied,
    Proposed,
    Crashes,
    CrashAfterReady,
    CrashAfterSend,
    CrashBeforeApply,
    CrashAfterApply,
    CrashBeforePersist,
    CrashAfterPersist,
    CrashBeforeFlush,
    CrashAfterFlush,
    CrashAfterCut,
    WritesLost,
    Partitions,
    PartitionOne,
    PartitionHalves,
    PartitionOneWay,
    PartitionBridge,
    PartitionRing,
    PartitionDeafLeader,
    LinkBreaks,
    MessagesLost,
    Pauses,
    LeaderPaused,
    Stalls,
    Cuts,
    ChangesBegun,
    ChangesRefused,
    JointCommitted,
    ChangeTruncated,
    CrashInJoint,
    LeaderInJoint,
    ReplicasAdded,
    ReplicasRetired,
    DisksLost,
    Reads,
    ReadsAnswered,
    ReadsFailed,
    Transfers,
    TransfersRefused,
    TimeoutNowSent,
    Quiesced,
    Woken,
    SnapshotsSent,
    SnapshotsInstalled,
    SnapshotWhileWriting,
    SnapshotAfterSnapshot,
    SnapshotKnown,
    CrashAtChunk,
    FullDisks,
    AppendsRefused,
    FullHandedOver,
    ClockAhead,
    ClockBack,
    ClockSpeed,
    Strangers,
    LogsCorrupted,
    CorruptionNoticed,
    LateTransfers,
    End,
};
constexpr uint32_t kRaftCounts = static_cast<uint32_t>(RaftCount::End);

[[nodiscard]] std::string_view to_string(RaftCount count);

class RaftCounts {
  public:
    uint64_t& operator[](RaftCount count) { return counts_[static_cast<std::size_t>(count)]; }
    uint64_t operator[](RaftCount count) const { return counts_[static_cast<std::size_t>(count)]; }
    void add(const RaftCounts& other) {
        for (std::size_t i = 0; i < counts_.size(); ++i) {
            counts_[i] += other.counts_[i];
        }
    }

  private:
    std::array<uint64_t, kRaftCounts> counts_{};
};

}  // namespace quorate::sim
