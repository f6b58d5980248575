// One Raft group on this node: its RaftNode, its log and state on disk, its state machine.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cluster/group/command_batch.h"
#include "cluster/group/snapshot_stream.h"
#include "cluster/group/state_machine.h"
#include "cluster/raft/raft_node.h"
#include "proto/base/environment.h"
#include "proto/base/ids.h"
#include "proto/base/result.h"
#include "storage/disk_watch.h"
#include "storage/log_store.h"
#include "storage/state_store.h"

namespace quorate::cluster {

// Whether a command leaves more state behind than before. Those that free pass when the disk is
// nearly full, or nothing could ever be freed.
enum class Growth : uint8_t { Grows, Frees };

// Carries Raft messages to the other replicas. Dropping is lawful, blocking is not. *Thread*: the
// worker of the group.
class MessageSink {
  public:
    virtual ~MessageSink() = default;
    virtual void send(GroupId group, raft::Message message) = 0;
};

// Flushes the state store away from the worker, which must not wait for it.
class StateFlusher {
  public:
    virtual ~StateFlusher() = default;
    // Runs `done` on the group's worker when everything written before this call is on stable
    // storage. A flush that fails ends the process.
    virtual void flush(std::function<void()> done) = 0;
};

struct GroupOptions {
    GroupId id;
    // Both for a group that is not on this disk yet. A configuration that does not name `self`
    // makes a newcomer, which learns from the group who takes part.
    ReplicaId self{1};
    raft::Configuration configuration{{ReplicaId{1}}};
    std::size_t entry_bytes = std::size_t{1} << 20;           // commands of one entry, about
    std::size_t in_flight_bytes_max = std::size_t{64} << 20;  // proposed and not yet applied
    std::size_t in_flight_commands_max = std::size_t{1} << 18;
    uint32_t election_ticks = 10;
    uint32_t heartbeat_ticks = 2;
    uint32_t priority = raft::kNormalPriority;
    uint32_t quiesce_rounds = 0;  // see RaftOptions; needs somebody who calls `wake`
    // A longer log is cut although a replica still needs it: it then gets a snapshot.
    uint64_t log_bytes_max = uint64_t{256} << 20;
    raft::SnapshotLimits snapshot;
    // Entries between two checks that all replicas hold the same state (R4).
    uint32_t state_check_every = 4096;
    uint64_t seed = 1;
};

// What a group needs from the node. All outlive it.
struct GroupContext {
    storage::LogStore& log;
    storage::StateStore& state;
    const Clock& clock;
    storage::DiskWatch* disk = nullptr;  // null: never full
    MessageSink* messages = nullptr;     // null: requires a single voter
    StateFlusher* flusher = nullptr;     // null: the worker waits
};

// What to report of a group; readable from any thread.
enum class GroupHealth : uint8_t {
    Sound,
    Amnesic,  // the disk holds less than was promised: takes no part, must be rebuilt
    Failed,   // a damaged record, or a state machine that gave up: see the log
    Removed,  // by its runner, which alone still has it
};

// What the groups of one worker did, for the metrics. Pending ones and roles fall as well.
struct GroupCounters {
    uint64_t elections_won = 0;
    uint64_t elections_lost = 0;
    uint64_t leader_changes = 0;                    // another replica is known to lead than before
    uint64_t proposals_failed = 0;                  // commands refused, or lost with the leadership
    uint64_t proposals_pending = 0;                 // commands proposed and not yet applied
    uint64_t appends_refused = 0;                   // of leaders, by a disk that is full
    uint64_t state_checks = 0;                      // states found to be the leader's,
    uint64_t states_differ = 0;                     // and to be others
    std::array<uint64_t, 4> roles{};                // groups by raft::Role
    std::vector<std::chrono::nanoseconds> commits;  // of this turn: from proposal to commit
};

// What a leader knows of another replica.
struct GroupFollower {
    ReplicaId replica;
    LogIndex match;
    bool recently_active = false;  // heard since the check-quorum before the last
    uint32_t priority = raft::kNormalPriority;
};

// *Thread*: its worker; `disk`, `synced_candidate`, `health` and `log_bytes` from any.
// *Owner*: the GroupRunner. The runner drives it through `collect`, `persisted` and
// `apply_committed`; everybody else proposes and asks.
class Group {
  public:
    // Reads log and state, loads the machine and, when it is the only voter, campaigns at once.
    // Fails only with Io. A log that is damaged or forgot something makes a group that is not
    // Sound: it exists, answers Unavailable and takes no part.
    [[nodiscard]] static Result<std::unique_ptr<Group>> open(const GroupOptions& options,
                                                             const GroupContext& context,
                                                             StateMachine& machine);
    // For `open`.
    Group(const GroupOptions& options, const GroupContext& context, StateMachine& machine);
    ~Group();
    Group(const Group&) = delete;
    Group& operator=(const Group&) = delete;

    // Adds a command to the entry that is being gathered. It leaves with the turn's end, or when
    // the disk is done with what is under way. Success promises nothing but an attempt: the answer
    // is its apply, here or at another leader.
    // *Errors*: NotLeader; LimitExceeded (in flight, or disk full); Unavailable (not Sound).
    // A command larger than the in-flight limit passes when nothing else is in flight.
    [[nodiscard]] Status propose(std::string_view command, Growth growth = Growth::Grows);

    [[nodiscard]] GroupId id() const { return options_.id; }
    // Who this copy is, also when it is not Sound; 0 when no record tells.
    [[nodiscard]] ReplicaId self() const { return meta_.replica; }
    // Of the disk that the logs lie on. Cheap.
    [[nodiscard]] storage::DiskState disk() const {
        return context_.disk == nullptr ? storage::DiskState::Ample
                                        : context_.disk->state(context_.clock.now());
    }
    // Leads, and its own first entry of the term is applied. As a leader that has not heard of its
    // successor goes on to lead, one that was deposed by `step` does until its next turn: what it
    // proposes until then is lost, and no read is confirmed.
    [[nodiscard]] bool leading() const { return leading_; }
    // 0 for a group that is not Sound.
    [[nodiscard]] Term term() const;
    // 0 when unknown.
    [[nodiscard]] ReplicaId leader() const;
    [[nodiscard]] LogIndex applied() const { return applied_.index; }
    // The time of the last applied entry; a leader's clock runs ahead of it (what reads compare
    // expiry with), everybody else's stands still.
    [[nodiscard]] ClusterTime time() const;
    // What the machine reads. Holds everything applied up to the end of the last turn.
    [[nodiscard]] storage::StateStore& state() { return *state_; }
    [[nodiscard]] std::size_t in_flight_bytes() const { return in_flight_bytes_; }

    // The core's own, with its errors; Unavailable when not Sound.
    [[nodiscard]] Result<EntryId> change(const raft::Configuration& target);
    [[nodiscard]] Status transfer(ReplicaId to);
    void set_known(std::vector<ReplicaId> replicas);
    void set_priority(uint32_t priority);
    void wake();
    // The configuration in force: the newest in the log, committed or not; empty when not Sound.
    [[nodiscard]] raft::Configuration configuration() const;
    // All that the log knows, the newest last; empty when not Sound. Until the log moves.
    [[nodiscard]] std::span<const raft::ConfigurationEntry> configurations() const;
    // Where in the log the newest is; 0 for the founding one.
    [[nodiscard]] LogIndex configuration_index() const;
    [[nodiscard]] bool transferring() const { return raft_ && raft_->transferring(); }
    // 0 when not Sound.
    [[nodiscard]] LogIndex committed() const;
    // The entry that opened the term. Requires: leading().
    [[nodiscard]] LogIndex term_start() const { return raft_->term_start(); }
    // Sorted; empty unless it leads.
    [[nodiscard]] std::vector<GroupFollower> followers() const;
    // Calls `done` once: with true when a quorum has confirmed this leader since the call and the
    // machine holds everything that was committed then; with false when leadership ended before.
    // Not called within this call. *Errors*: as RaftNode::read_index; Unavailable when not Sound.
    [[nodiscard]] Status read(std::function<void(bool)> done);

    // A replica that is not Sound begins anew as a newcomer: what it had on this disk is void.
    // Requires: `self` was never used before, and the configuration does not name it.
    // *Errors*: InvalidArgument for what cannot be so, or a group that is Sound.
    [[nodiscard]] Status rejoin(ReplicaId self, const raft::Configuration& configuration);

    // On a disk that is full to the stop what would be appended is not taken, as if it had been
    // lost on its way: leaders send it again, and the store never comes to fail.
    void step(const raft::Message& message);
    // Stands for election without waiting for the timeout.
    void campaign();
    [[nodiscard]] GroupHealth health() const { return health_.load(std::memory_order_acquire); }
    [[nodiscard]] const std::string& failure() const { return failure_; }  // worker's thread
    // Bytes of entries since the last cut.
    [[nodiscard]] uint64_t log_bytes() const { return log_bytes_.load(std::memory_order_relaxed); }
    // What the state store held at the end of the last turn: read before a flush, it may be cut
    // away after that flush.
    [[nodiscard]] LogIndex synced_candidate() const {
        return LogIndex(state_written_.load(std::memory_order_acquire));
    }

  private:
    friend class GroupRunner;
    class Reader;

    // What ties the state to the log: how far it is applied.
    struct AppliedRecord {
        EntryId id;
        ClusterTime time;
        uint64_t digest = 0;
        StateDigest checkpoint;
    };

    [[nodiscard]] Status recover();
    [[nodiscard]] Status recover_from(const storage::GroupLog& log);
    [[nodiscard]] static Result<AppliedRecord> read_applied(const storage::StateStore& state);
    void take_applied(const AppliedRecord& record);
    [[nodiscard]] Status start_raft(const raft::HardState& hard_state, const raft::LogStart& start);
    void begin_anew();
    void write_applied(storage::StateBatch& batch) const;
    void fail(GroupHealth health, const std::string& why);

    // The rest is the runner's: once per turn and group.
    void set_touched(std::vector<Group*>* touched) { touched_list_ = touched; }
    void set_counters(GroupCounters* counters);
    // Takes no part any more; nobody but those it has asked to call it back may know it still.
    void retire();
    void touch();
    void tick();
    [[nodiscard]] bool needs_ticks() const;
    // Seals the gathered commands (unless `hold`) and takes Ready: fills `batch`, sends, keeps what
    // waits for the disk. True when `batch` now holds a write of this group.
    bool collect(storage::LogBatch& batch, bool hold);
    [[nodiscard]] bool has_pending() const { return !pending_.empty() || !sealed_.empty(); }
    // The oldest write of this group is durable.
    void persisted();
    [[nodiscard]] bool has_committed() const { return !committed_.empty(); }
    // Applies what is committed and durable, as changes in `batch`.
    void apply_committed(storage::StateBatch& batch);
    // The batch was written.
    void after_apply();
    // A flush that began after `synced` was read is on disk: cuts the log below it.
    void cut(LogIndex synced, storage::LogBatch& batch);

    // group_snapshot.cpp
    void read_chunk(const raft::SnapshotRequest& request);
    void keep_part(const raft::SnapshotPart& part);
    void restore(Generation generation);
    void flush_state(std::function<void()> then);
    void void_generation(Generation generation);

    void take_reads(const raft::Ready& ready);
    void answer_reads();
    void drop_reads();
    void leave_full_disk();
    [[nodiscard]] bool refuse_append(const raft::Message& message);
    void seal_pending();
    void send(std::vector<raft::Message>& messages);
    void update_role();
    void count_role();
    void note_commits(std::chrono::nanoseconds now);
    [[nodiscard]] Status refuse(ErrorCode code, const char* why);
    void drop_proposals();
    void count_log_bytes(const std::vector<raft::Entry>& entries);
    [[nodiscard]] Status apply_entry(const raft::Entry& entry, storage::StateBatch& batch);
    // group_check.cpp
    void note_written(const raft::Entry& entry, const storage::StateBatch& batch,
                      storage::StateBatch::Mark since);
    [[nodiscard]] bool check_due() const;
    void propose_check();
    [[nodiscard]] Status check_state(const StateDigest& leaders);

    struct InFlight {
        LogIndex index;
        std::size_t bytes = 0;
        uint32_t commands = 0;
        std::chrono::nanoseconds proposed{};
    };
    struct Waiting {
        raft::PersistNumber number;
        std::vector<raft::Message> messages;
    };

    // A snapshot on its way to another replica, and one from another.
    struct Source {
        raft::SnapshotMeta snapshot;
        std::unique_ptr<SnapshotReader> reader;
    };
    struct Incoming {
        raft::SnapshotMeta snapshot;
        Generation generation;
        std::unique_ptr<SnapshotWriter> writer;
    };

    struct LogSpan {
        LogIndex last;
        uint64_t bytes = 0;
    };

    const GroupOptions options_;
    const GroupContext context_;
    StateMachine& machine_;
    storage::GroupMeta meta_;
    bool meta_unwritten_ = false;
    bool renamed_ = false;  // began anew, and its name is not durable yet
    std::unique_ptr<storage::StateView> state_;
    std::unique_ptr<Reader> reader_;
    std::unique_ptr<raft::RaftNode> raft_;  // null: not Sound since the start
    std::vector<Group*>* touched_list_ = nullptr;
    bool touched_ = false;
    GroupCounters* counters_ = nullptr;  // of the runner; null: nobody counts
    raft::Role counted_role_ = raft::Role::Follower;
    ReplicaId counted_leader_;

    CommandBatch pending_;
    std::deque<CommandBatch> sealed_;  // full ones of this turn
    std::deque<InFlight> in_flight_;
    std::size_t in_flight_bytes_ = 0;
    std::size_t in_flight_commands_ = 0;
    std::deque<Waiting> waiting_;         // for the disk
    std::vector<raft::Entry> committed_;  // of this turn
    std::map<raft::TransferId, Source> sources_;
    std::optional<Incoming> incoming_;
    Generation last_generation_;  // ever written under in this process
    // Replaced by a snapshot, and void once the write that names its successor is durable. A second
    // snapshot may arrive before that.
    std::vector<Generation> replaced_;
    std::deque<std::pair<raft::PersistNumber, Generation>> to_be_void_;
    std::map<raft::ReadId, std::function<void(bool)>> reads_;
    std::deque<raft::ReadState> confirmed_reads_;  // wait until they are applied
    uint32_t disk_patience_ = 0;                   // ticks until leadership is offered again
    bool disk_full_ = false;
    uint32_t priority_;

    bool leading_ = false;
    Term led_term_;
    EntryId applied_;
    uint64_t digest_ = 0;                    // of everything that was written up to there
    StateDigest checkpoint_;                 // the last one
    LogIndex check_proposed_;                // of the checkpoint, by this leader
    ClusterTime time_;                       // of the last applied entry
    ClusterTime lead_stamp_;                 // the last one given, while leading
    ClusterTime lead_base_;                  // of the state when leading began,
    std::chrono::nanoseconds lead_since_{};  // and when that was
    std::size_t commands_applied_ = 0;       // in this turn
    std::deque<LogSpan> log_spans_;          // of the log, coarse

    std::string failure_;
    std::atomic<GroupHealth> health_{GroupHealth::Sound};
    std::atomic<uint64_t> log_bytes_{0};
    std::atomic<uint64_t> state_written_{0};
};

}  // namespace quorate::cluster
