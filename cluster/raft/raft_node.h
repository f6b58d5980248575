// One replica of a Raft group as a pure object: messages, ticks and proposals in; `Ready` out.
//
//                ┌─────── election timeout ───────┐
//                v                                │
//   Follower ──────> PreCandidate ──majority──> Candidate ──majority──> Leader
//      ^                  │                       │                       │
//      └──────────────────┴── higher term ────────┴── higher term, no ────┘
//                              or a leader              quorum heard
//
// *Thread*: one at a time. *Owner*: cluster/group. *Errors*: `propose` and `change` answer
// NotLeader; a log that cannot be read makes `ready` fail and the replica must stop. No message can
// break an invariant; those of strangers are ignored: replicas that are in no configuration since
// the log's base and not in `set_known`.
// *Spec*: Raft §3 (election.cpp: §3.4, §3.6.1, §9.6 pre-vote, §6.2 check-quorum; replication.cpp:
// §3.5, §3.6.2, §10.2.1; membership.cpp: §4; transfer.cpp: §3.10; snapshot.cpp: §5;
// read_index.cpp: §6.4).
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "cluster/raft/configuration.h"
#include "cluster/raft/messages.h"
#include "cluster/raft/progress.h"
#include "cluster/raft/raft_log.h"
#include "cluster/raft/ready.h"
#include "cluster/raft/snapshot_transfer.h"
#include "proto/base/environment.h"
#include "proto/base/result.h"

namespace quorate::raft {

struct RaftOptions {
    ReplicaId self;
    // In ticks. A follower waits a random time of [election, 2 election) before it campaigns.
    uint32_t election_ticks = 10;
    uint32_t heartbeat_ticks = 2;
    uint32_t priority = kNormalPriority;
    // In rounds of check-quorum, which are election timeouts. 0: never.
    uint32_t hand_over_rounds = 10;  // leads so long before it hands over to a higher priority
    uint32_t quiesce_rounds = 0;     // idle so long before the group needs no ticks
    std::size_t reads_max = 65'536;  // that wait for a quorum
    std::size_t append_bytes_max = std::size_t{1} << 20;  // data in one AppendEntries
    std::size_t append_entries_max = 4'096;               // the same in entries
    std::size_t window_bytes_max = std::size_t{4} << 20;  // unanswered, per follower
    std::size_t window_entries_max = 65'536;
    SnapshotLimits snapshot;
    std::size_t snapshots_max = 2;  // sent at a time; others wait
    // A follower silent for longer, in rounds of check-quorum, keeps no entries from being cut.
    uint32_t hold_log_rounds = 60;
    std::size_t apply_bytes_max = std::size_t{4} << 20;   // handed out in one Ready
    std::size_t log_memory_bytes = std::size_t{1} << 20;  // applied entries kept for followers
    uint64_t seed = 1;                                    // of the election timeouts
};

class RaftNode {
  public:
    // A replica that the configurations do not contain is a newcomer: it votes and campaigns when
    // the log that a leader gives it says so. Its own idea of the configuration is then none of the
    // group's and never leaves it. Requires: the reader outlives the node.
    RaftNode(RaftOptions options, const HardState& hard_state, const LogStart& log,
             const LogReader& reader);

    void step(const Message& message);
    // A fixed step of time; 100 ms in production. Idle single-voter groups need none.
    void tick();
    // Stands for election now. A lone voter does so at start instead of waiting.
    void campaign();
    // Appends to the log. NotLeader when this is not the leader.
    [[nodiscard]] Result<EntryId> propose(SharedBytes data);

    // Begins a change of the members; the entry is that of the first step. A change of voters goes
    // through a joint configuration, and the leader ends it by itself. A leader that is no voter
    // afterwards steps down when the change is committed.
    // *Errors*: NotLeader; InvalidArgument (not `valid`, joint, or what is in force already);
    // Unavailable (no entry of the own term committed yet, or another change is not complete).
    [[nodiscard]] Result<EntryId> change(const Configuration& target);
    // In force: the newest in the log, committed or not.
    [[nodiscard]] const Configuration& configuration() const { return configurations_.latest(); }
    [[nodiscard]] const ConfigurationHistory& configurations() const { return configurations_; }
    // The one a snapshot or a cut at this index carries. Nothing while only a newcomer's own idea
    // is known. Requires: base <= index <= applied.
    [[nodiscard]] std::optional<Configuration> configuration_at(LogIndex index) const;
    // Replicas that may take part besides those the log knows of: a follower that lags must be able
    // to hear a leader that its own configuration does not name yet.
    void set_known(std::vector<ReplicaId> replicas);
    // Whether this replica may stand for election: a voter of the committed configuration, as far
    // as it knows. See membership.cpp on why the group never needs another one.
    [[nodiscard]] bool may_campaign() const;

    // Hands leadership to another voter. Proposals are refused (Unavailable) until it is done or,
    // after an election timeout, given up. *Errors*: NotLeader; InvalidArgument (not a voter of the
    // committed configuration); Unavailable (another hand-over is under way).
    [[nodiscard]] Status transfer(ReplicaId to);
    // Transfers to the active, caught-up voter of the highest priority above the own. False when
    // there is none, or while a change or another hand-over is under way.
    bool hand_over();
    [[nodiscard]] bool transferring() const { return transfer_.has_value(); }
    // Below kNormalPriority a replica waits up to twice as long before it campaigns. A leader hands
    // over by itself to a higher priority, at most once in `hand_over_rounds`. 0 for a replica that
    // should not lead when another can (a full disk).
    void set_priority(uint32_t priority);

    // Asks a quorum whether this replica still leads; answered in a later Ready under that id. Each
    // attempt, also one that repeats another, has an id of its own.
    // *Errors*: NotLeader; Unavailable (no entry of the own term committed yet); LimitExceeded.
    [[nodiscard]] Result<ReadId> read_index();

    // Ends quiescence: the node of this group's leader has been silent for an election timeout.
    // Proposals, reads and messages do so by themselves.
    void wake();
    [[nodiscard]] bool quiescent() const { return quiescent_; }

    // Everything to be done now; each thing is handed out once. Fails as the reader does.
    [[nodiscard]] Result<Ready> ready();
    [[nodiscard]] bool has_ready() const;
    // The write of that Ready is durable. Requires: numbers in the order they were handed out.
    void persisted(PersistNumber number);
    // The state machine holds everything up to here. Requires: it was handed out.
    void applied(LogIndex index);
    // Entries up to here were removed from the log. Requires: index <= applied.
    void cut(EntryId id);
    // How far the log may be cut without hurting a follower that is still catching up. When the log
    // is too long such a follower gets a snapshot; only one that is being sent still counts.
    [[nodiscard]] LogIndex cut_limit(bool too_long = false) const;

    // What a snapshot of the state as it is now holds. Nothing for a newcomer that was not told who
    // takes part. Requires: the holder applied exactly what it reported.
    [[nodiscard]] std::optional<SnapshotMeta> snapshot_point() const;
    // What a SnapshotRequest asked for; `done` with the last chunk, which may be empty. The
    // snapshot is the one that was opened for the transfer.
    void snapshot_chunk(const SnapshotRequest& request, const SnapshotMeta& snapshot,
                        SharedBytes data, bool done);
    // A snapshot that was received is on stable storage, under a generation that no log names yet.
    // True: the state is that one now, and the next write carries `restored`. False: it brings
    // nothing, and its generation is void.
    [[nodiscard]] bool restore(const SnapshotMeta& snapshot);
    // What was received cannot be used: to be sent again.
    void abandon_snapshot();

    [[nodiscard]] Role role() const { return role_; }
    [[nodiscard]] Term term() const { return term_; }
    // 0 when unknown.
    [[nodiscard]] ReplicaId leader() const { return leader_; }
    [[nodiscard]] ReplicaId self() const { return options_.self; }
    [[nodiscard]] const RaftLog& log() const { return log_; }
    // What it knows of the others' logs; empty unless it leads.
    [[nodiscard]] const std::map<ReplicaId, Progress>& progress() const { return progress_; }
    // The entry that opened this leader's term. Requires: role() == Leader.
    [[nodiscard]] LogIndex term_start() const { return term_start_; }
    // False while ticks change nothing: quiescent, or a lone voter that leads nobody else.
    [[nodiscard]] bool needs_ticks() const;
    // Equal for replicas that go on alike but for time: see fingerprint.cpp. `names` renames
    // replicas by id, so that groups that differ in who is who only can be told to be the same.
    // Requires: !has_ready().
    [[nodiscard]] uint64_t fingerprint(std::span<const uint64_t> names) const;

  private:
    // election.cpp
    void become_follower(Term term, ReplicaId leader);
    void become_pre_candidate();
    void become_candidate();
    void become_leader();
    void reset_election_timer();
    void tick_election();
    void tick_leader();
    void count_vote(ReplicaId from, bool granted);
    enum class Asking : uint8_t { Before, ForVotes, ForTransfer };
    void ask_for_votes(Asking asking);
    void end_round();
    [[nodiscard]] bool in_lease(const Message& message) const;
    void on_request_vote(const Message& message, const RequestVote& request);
    void on_request_vote_reply(const Message& message, const RequestVoteReply& reply);

    // replication.cpp
    void on_append_entries(const Message& message, const AppendEntries& append);
    void on_append_entries_reply(const Message& message, const AppendEntriesReply& reply);
    void on_heartbeat(const Message& message, const Heartbeat& heartbeat);
    void on_heartbeat_reply(const Message& message, const HeartbeatReply& reply);
    void append_own(EntryKind kind, SharedBytes data);
    void send_appends();
    [[nodiscard]] Status send_append(ReplicaId to, Progress& progress, bool allow_empty);
    void send_heartbeat(ReplicaId to, const Progress& progress);
    void send_heartbeats();
    void truncate(LogIndex from);
    void advance_commit();

    // membership.cpp
    [[nodiscard]] bool knows(ReplicaId replica) const;
    [[nodiscard]] bool alone() const;
    void append_configuration(const Configuration& configuration);
    void update_progress();
    void configuration_committed();
    [[nodiscard]] LogIndex reached(const std::vector<ReplicaId>& voters) const;
    [[nodiscard]] LogIndex send_limit(ReplicaId to) const;
    [[nodiscard]] LogIndex quorum_index() const;
    [[nodiscard]] LogIndex held_by_electors() const;

    // transfer.cpp
    void continue_transfer();
    void tick_transfer();
    void consider_hand_over();
    [[nodiscard]] ReplicaId successor(std::optional<uint32_t> above) const;
    void on_timeout_now(const Message& message);

    // read_index.cpp
    void confirm_reads();
    void send_read_round();
    void drop_reads();

    // snapshot.cpp
    void send_snapshots();
    void end_transfer(ReplicaId to);
    void end_transfers();
    void silent_receiver(ReplicaId replica);
    void on_install_snapshot(const Message& message, const InstallSnapshot& chunk);
    void on_install_snapshot_reply(const Message& message, const InstallSnapshotReply& reply);

    // quiescence.cpp
    [[nodiscard]] bool idle() const;
    void consider_quiescence();
    void follow_into_quiescence(const Heartbeat& heartbeat);
    void wake_for(const Message& message);

    void accept_term(const Message& message);
    void send(ReplicaId to, MessageBody body);
    void send(ReplicaId to, Term term, MessageBody body);
    // For answers that promise something: they wait for the next write (§3.8).
    void send_after_persist(ReplicaId to, Term term, MessageBody body);
    [[nodiscard]] HardState hard_state() const;
    [[nodiscard]] bool vote_unsaved() const;

    struct Write {
        PersistNumber number;
        LogIndex last;  // of the log when it was handed out, lowered by later truncations
        Term term;
        ReplicaId voted_for;
    };

    struct Transfer {
        ReplicaId to;
        uint32_t ticks_left = 0;
        bool asked = false;
    };

    const RaftOptions options_;
    Random random_;
    RaftLog log_;
    ConfigurationHistory configurations_;
    std::vector<ReplicaId> known_;  // sorted

    Role role_ = Role::Follower;
    Term term_;
    ReplicaId voted_for_;
    ReplicaId leader_;
    LogIndex term_start_;
    uint32_t elapsed_ticks_ = 0;
    uint32_t timeout_ticks_ = 0;
    uint32_t heartbeat_elapsed_ticks_ = 0;
    std::map<ReplicaId, bool> votes_;
    std::map<ReplicaId, Progress> progress_;  // of the others, while leader

    uint32_t priority_;
    uint32_t rounds_led_ = 0;
    std::optional<Transfer> transfer_;
    ReadId last_read_;
    ReadId read_round_;  // the newest that a heartbeat has asked for
    std::deque<ReadState> reads_;
    std::vector<ReadState> reads_confirmed_;
    std::vector<ReadId> reads_failed_;
    bool quiescent_ = false;
    uint32_t idle_rounds_ = 0;
    LogIndex last_of_round_;

    HardState saved_;       // last handed out
    LogIndex unsent_from_;  // entries from here were not handed out for writing
    std::optional<LogIndex> truncate_from_;
    PersistNumber last_number_;
    std::deque<Write> writes_;  // handed out and not yet durable
    std::vector<Message> messages_;
    std::vector<Message> messages_after_;
    std::optional<SnapshotMeta> restored_;
    TransferId last_transfer_;
    std::map<ReplicaId, SnapshotSender> senders_;
    bool snapshot_work_ = false;  // something to send or to ask for
    SnapshotReceiver receiver_;
    std::vector<SnapshotRequest> snapshot_requests_;
    std::vector<TransferId> transfers_ended_;
    std::vector<SnapshotPart> snapshot_parts_;
    std::optional<Error> failure_;
};

}  // namespace quorate::raft
