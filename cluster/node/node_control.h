// Makes this process a node of a cluster and keeps it one: what the Cluster needs of this folder.
//
//   enter ─► add_groups ─► (GroupHost::start) ─► start_incarnation ─► (serve) ─► stop
//
// A thread of its own looks at each change of `meta`: who is a member of the links, which copies of
// groups belong here, whether this incarnation still counts.
//
// Thread: enter, add_groups, start_incarnation, stop: one, which they may block; on_question: the
// link thread; stop_waiting, standing, waits_for: any. Owner: the Cluster; stopped before links and
// host are, destroyed after them.
// Errors: texts for the operator; Corrupt and InvalidArgument where he has to change something.
// Bounded: kNewcomersMax that ask for admission at a time.
// Spec: design §6 (Join, drain, leave); rules "Bootstrap", R-0, R-8; G10 (standing).
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "cluster/control/bootstrap.h"
#include "cluster/control/liveness.h"
#include "cluster/group/group_host.h"
#include "cluster/link/link.h"
#include "cluster/node/bootstrap_driver.h"
#include "cluster/node/copy_keeper.h"
#include "cluster/node/meta_asker.h"
#include "cluster/node/meta_runner.h"
#include "cluster/node/names.h"
#include "proto/base/environment.h"
#include "proto/base/log.h"
#include "proto/base/result.h"

namespace quorate::cluster {

struct NodeControlOptions {
    std::string data_dir;
    BootstrapOptions bootstrap;  // the name, the addresses, what a new cluster begins with
    GroupOptions group;          // of every group, but for its id and who takes part
    uint64_t seed = 0;
};

// Which start of a node counts; also of this one.
struct PeerState {
    NodeId node;
    Incarnation running;   // 0: none
    Incarnation first_up;  // lower ones are down
    bool operator==(const PeerState&) const = default;
};

struct NodeControlHooks {
    GroupHooks groups;
    // All nodes, after each change. Thread: the one of this object.
    std::function<void(const std::vector<PeerState>&)> peers;
    // This incarnation is down: the process ends. Called once, with the reason. Thread: as above.
    std::function<void(const std::string& why)> fenced;
    // What the leases of both tables say at this moment; empty: they are always valid. Thread: any.
    std::function<TableView()> meta_lease;
    std::function<TableView()> wildcards_lease;
};

// Who this process is.
struct Identity {
    uint64_t cluster_id = 0;
    NodeId node;
    ShardLayout layout;
};

class NodeControl {
  public:
    static constexpr std::size_t kNewcomersMax = 64;

    // Requires: `meta` is what hooks.groups.machine gives for kMetaGroup.
    NodeControl(NodeControlOptions options, GroupHost& host, link::LinkHost& links,
                MetaRunner& meta, NodeControlHooks hooks, const Log& log);
    ~NodeControl();
    NodeControl(const NodeControl&) = delete;
    NodeControl& operator=(const NodeControl&) = delete;

    // Blocks until this process knows which node of which cluster it is, or stop_waiting().
    [[nodiscard]] Result<Identity> enter();
    // Those on the disk, and those it begins with. Requires: entered.
    [[nodiscard]] Status add_groups();
    // Tells everybody of the groups that are open, then blocks until `meta` has given this start of
    // the node its incarnation, or stop_waiting(). Requires: the host has started.
    [[nodiscard]] Result<Incarnation> start_incarnation();
    void stop_waiting();
    // Nothing is looked after any more. Idempotent.
    void stop();

    // Of the kinds that bootstrap_driver.h names.
    void on_question(const link::QuestionView& question, link::AnswerDoor door);

    [[nodiscard]] NodeStanding standing() const;
    // What it waits for before it serves; empty: for nothing.
    [[nodiscard]] std::string waits_for() const;
    [[nodiscard]] MetaAsker& asker() { return asker_; }

  private:
    using Time = std::chrono::nanoseconds;

    [[nodiscard]] Result<std::optional<NodeRecord>> read_record();
    [[nodiscard]] Status name_disk(const DiskName& name);
    [[nodiscard]] bool on_disk(GroupId group) const;
    [[nodiscard]] Status add_group(GroupId group, ReplicaId self,
                                   const raft::Configuration& configuration);
    void form_what_it_founded(const NodeRecord& record);
    void tell_of_groups();
    void group_here(GroupId id, Group* group);
    void watch_contact();

    // The thread.
    void run();
    void look();
    void look_at(const MetaState& meta);
    void check_fence(const MetaState& meta);
    void note_founded();
    void widen(const MetaState& meta);
    void poke();

    void admit(const link::QuestionView& question, link::AnswerDoor door);
    void admitted(uint64_t token, const Result<MetaAnswer>& answer);
    void wait_on(const char* what);

    const NodeControlOptions options_;
    GroupHost& host_;
    link::LinkHost& links_;
    MetaRunner& meta_;
    const NodeControlHooks hooks_;
    const Log log_;
    const NodeFile file_;
    const SystemClock clock_{};
    MetaAsker asker_;
    std::unique_ptr<CopyKeeper> keeper_;
    std::unique_ptr<BootstrapDriver> driver_;
    std::atomic<BootstrapDriver*> driving_{nullptr};  // for the link thread
    std::atomic<bool> serving_{false};                // the host runs: `meta` can be asked
    std::atomic<uint64_t> incarnation_{0};

    Identity identity_;
    Arrival arrival_;

    // The thread's own.
    std::vector<link::Member> members_;
    std::vector<PeerState> peers_;
    bool caught_up_ = false;
    bool fence_told_ = false;
    bool widening_ = false;

    mutable std::mutex mutex_;  // guards the rest
    std::condition_variable changed_;
    bool waiting_stopped_ = false;
    bool stopped_ = false;
    bool poked_ = false;
    std::string waits_for_;
    NodeView view_;
    bool fenced_ = false;
    std::map<uint64_t, link::AnswerDoor> newcomers_;  // by token
    std::thread thread_;
};

}  // namespace quorate::cluster
