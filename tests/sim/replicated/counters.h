// What a run counts: a run in which an interesting thing never happened has proved nothing about
// it.
//
// *Thread*: a value.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace quorate::sim::replicated {

enum class Count : uint8_t {
    Leaders,
    LeaderWithTail,
    TailTruncated,
    Entries,
    Commands,
    Resends,
    ResentDuplicates,
    Gaps,
    FencedAnswers,
    StaleSources,
    IncarnationChanges,
    FalseSuspicions,
    LateFronts,
    Takeovers,
    TakeoversInFlight,
    TakeoversLeaving,
    LetGos,
    WillsSent,
    WillsCancelled,
    WillsAcrossFailOver,
    SessionsExpired,
    PubrelsResumed,
    Redelivered,
    PutRepeats,
    HandOverRepeats,
    SenderMidQos2,
    ReceiverMidQos2,
    Delivered,
    RetainedReads,
    Refused,
    StaleLeaderReads,
    Crashes,
    WritesLost,
    Replays,
    Flushes,
    SnapshotsInstalled,
    Damages,
    DamagesNoticed,
    Partitions,
    Breaks,
    PacketsLost,
    Pauses,
    LeaderPaused,
    Stalls,
    DiskFull,
    AppendsRefused,
    ChangesBegun,
    Newcomers,
    ReplicasRemoved,
    BegunAnew,
    DisksReplaced,
    CrashInJoint,
    SnapshotAfterSnapshot,
    PacketIdsWrapped,
    StatesCompared,
};
constexpr uint32_t kCounts = static_cast<uint32_t>(Count::StatesCompared) + 1;

[[nodiscard]] std::string_view to_string(Count count);

class Counts {
  public:
    uint64_t& operator[](Count count) { return counts_[static_cast<std::size_t>(count)]; }
    uint64_t operator[](Count count) const { return counts_[static_cast<std::size_t>(count)]; }
    void add(const Counts& other) {
        for (std::size_t i = 0; i < counts_.size(); ++i) {
            counts_[i] += other.counts_[i];
        }
    }

  private:
    std::array<uint64_t, kCounts> counts_{};
};

}  // namespace quorate::sim::replicated
