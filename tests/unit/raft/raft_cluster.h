// Several replicas in one thread, with a network and disks that misbehave, and the invariants of
// Raft watched at every step by observers that know nothing of the code under test.
//
// R1 election safety, R2 log matching, R3 leader completeness, R4 state-machine safety, R5 durable
// before promised: see `check`. *Thread*: one. *Owner*: a test.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cluster/raft/raft_node.h"
#include "proto/base/environment.h"

namespace quorate::raft::test {

// A log on a disk that forgets what was not completed.
struct Disk {
    HardState state;
    std::vector<Entry> entries;  // those after the base
    EntryId base;
    Configuration configuration;  // as of the base
};

struct PendingWrite {
    PersistNumber number;
    std::optional<SnapshotMeta> restored;
    std::optional<LogIndex> truncate_from;
    std::vector<Entry> entries;
    std::optional<HardState> state;
    std::vector<Message> messages_after;
};

// The replica that follows in a ring of three.
[[nodiscard]] inline uint32_t other_than(const ReplicaId id) {
    return static_cast<uint32_t>(id.value() % 3) + 1;
}

class Replica {
  public:
    Replica(ReplicaId id, Configuration configuration, uint64_t seed);
    // For the next restart. Self, seed and sizes are the replica's own.
    RaftOptions options;

    ~Replica();

    // Forgets everything but the disk and what was applied.
    void restart(uint64_t seed);
    // Takes Ready: what is to be sent at once goes to `out`, the write waits.
    void take(std::vector<Message>& out);
    // Completes the oldest write: what waited for it goes to `out`.
    void write_one(std::vector<Message>& out);
    // The disk forgets its log below an applied index.
    void cut(LogIndex index);
    // Its node, with some ticks.
    void wait(uint32_t ticks);

    [[nodiscard]] ReplicaId id() const { return id_; }
    [[nodiscard]] RaftNode& node() { return *node_; }
    [[nodiscard]] const Disk& disk() const { return disk_; }
    [[nodiscard]] const std::vector<Entry>& applied() const { return applied_; }
    [[nodiscard]] bool has_write() const { return !writes_.empty(); }
    [[nodiscard]] const std::deque<PendingWrite>& writes() const { return writes_; }
    // Snapshots that were begun to be sent, and those that were restored.
    [[nodiscard]] uint32_t snapshots_sent() const { return snapshots_sent_; }
    [[nodiscard]] uint32_t restores() const { return restores_; }
    // Its state is that of a snapshot whose write is under way.
    [[nodiscard]] bool restoring() const { return before_restore_.has_value(); }
    [[nodiscard]] const std::vector<ReadState>& reads() const { return reads_; }
    [[nodiscard]] const std::vector<ReadId>& reads_failed() const { return reads_failed_; }

  private:
    class Reader;

    const ReplicaId id_;
    Disk disk_;
    std::vector<Entry> applied_;  // as if each were durable at once
    std::deque<PendingWrite> writes_;
    // The state at the time a transfer began, as bytes.
    struct Source {
        SnapshotMeta snapshot;
        std::string bytes;
    };
    void read_chunk(const SnapshotRequest& request);
    void keep(const SnapshotPart& part);
    [[nodiscard]] static std::optional<std::vector<Entry>> state_of(const std::string& bytes);

    std::map<TransferId, Source> sources_;
    std::string received_;
    std::optional<std::vector<Entry>> before_restore_;
    uint32_t snapshots_sent_ = 0;
    uint32_t restores_ = 0;
    std::vector<ReadState> reads_;  // all that were ever confirmed, or failed
    std::vector<ReadId> reads_failed_;
    std::unique_ptr<Reader> reader_;
    std::unique_ptr<RaftNode> node_;
};

class RaftCluster {
  public:
    RaftCluster(uint32_t replicas, uint64_t seed);

    [[nodiscard]] Replica& replica(uint32_t number) { return *replicas_[number - 1]; }
    [[nodiscard]] std::size_t size() const { return replicas_.size(); }
    // One more replica, with an empty disk; what the group consists of at first is all it knows.
    Replica& add_newcomer();
    // At the leader, and settles: true when it was taken.
    bool change(const Configuration& target);
    // The one that leads in the highest term, if any.
    [[nodiscard]] Replica* leader();

    // Without faults: delivers and writes everything until nothing happens any more.
    void settle();
    // A tick everywhere, then settle.
    void tick();
    // Ticks until somebody leads. Fails the test after 200.
    Replica& elect();
    // At the leader; true when it took it.
    bool propose(const std::string& command);

    void isolate(uint32_t number) { isolated_.insert(ReplicaId(number)); }
    void reconnect() { isolated_.clear(); }

    // One random thing: a message delivered, lost, doubled or out of order, a write completed, a
    // tick, a proposal, a crash.
    void random_step(bool faults);
    // What somebody makes up reaches the replica it is for, if there is one.
    void inject(const Message& message);
    // Of what is under way: the n-th, which may be delivered, lost or kept as well.
    [[nodiscard]] std::size_t under_way() const { return network_.size(); }
    [[nodiscard]] const Message& under_way(std::size_t at) const { return network_[at]; }
    void arrive(std::size_t at, bool doubled);
    void lose(std::size_t at);
    // What one replica is told and does by itself.
    void write_one(uint32_t number) { write_one(replica(number)); }
    void take(uint32_t number) { take(replica(number)); }
    void cut_somewhere(uint32_t number) { cut_somewhere(replica(number)); }
    // R1 to R5 over everything seen so far. Empty when they hold.
    [[nodiscard]] const std::string& violation() const { return violation_; }
    [[nodiscard]] uint64_t committed() const { return committed_.size(); }
    [[nodiscard]] uint64_t crashes() const { return crashes_; }
    [[nodiscard]] uint64_t truncations() const { return truncations_; }
    [[nodiscard]] uint64_t restores() const;

  private:
    void deliver(const Message& message);
    void cut_somewhere(Replica& one);
    void take(Replica& replica);
    void write_one(Replica& replica);
    void check(Replica& replica);
    void check_promises(Replica& replica, const std::vector<Message>& messages);
    void post(std::vector<Message>& messages);
    void violate(const std::string& what);

    Random random_;
    Configuration first_;
    std::vector<std::unique_ptr<Replica>> replicas_;
    std::deque<Message> network_;
    std::set<ReplicaId> isolated_;
    std::map<Term, ReplicaId> leaders_;
    std::map<uint64_t, std::pair<Term, std::string>> committed_;  // index: what was applied first
    std::map<ReplicaId, std::size_t> checked_;
    std::map<ReplicaId, uint64_t> last_before_;
    uint64_t proposals_ = 0;
    uint64_t crashes_ = 0;
    uint64_t truncations_ = 0;
    std::string violation_;
};

}  // namespace quorate::raft::test
