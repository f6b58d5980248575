// This node among others, as one object: links, membership, leases, what drives its groups, and
// what its threads need to reach the other nodes. A process that runs alone has none.
//
//   open ─► enter (who am I) ─► add_groups ─► (host starts) ─► join (incarnation) ─► (serve) ─►
//   stop
//
// Thread: the program's main thread, unless a method says otherwise; what runs on workers says so.
// Owner: the Cluster; destroyed after host and workers have stopped.
// Errors: as NodeControl, LinkHost. Spec: design §6.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cluster/group/group_host.h"
#include "cluster/group/group_ids.h"
#include "cluster/group/group_post.h"
#include "cluster/link/link.h"
#include "cluster/node/meta_runner.h"
#include "cluster/node/node_control.h"
#include "cluster/router/cluster.h"
#include "cluster/router/exchange.h"
#include "cluster/router/remote/ingress.h"
#include "cluster/router/remote/post_office.h"
#include "cluster/steward/group_steward.h"
#include "cluster/steward/table_lease.h"
#include "proto/base/environment.h"
#include "proto/base/log.h"

namespace quorate::cluster {

class ClusterNodes final : private TableLeases {
  public:
    // Of shards and `wildcards`, on their workers: a group that came (null: is about to go).
    using Here = std::function<void(GroupId, Group*)>;
    using Machine = std::function<StateMachine*(GroupId)>;

    // `options` outlive it.
    ClusterNodes(const ClusterOptions& options, const Log& log);
    ~ClusterNodes() override;

    // For the host's options, before it is opened.
    [[nodiscard]] MessageSink& messages() { return group_post_; }
    // Blocks until this process knows which node of which cluster it is.
    [[nodiscard]] Result<Identity> enter(GroupHost& host, Machine machine, Here here);
    // The rest requires: entered.
    [[nodiscard]] Status add_groups() { return control_->add_groups(); }
    [[nodiscard]] const OtherNodes& others() const { return *others_; }
    [[nodiscard]] TableLease& wildcards_lease() { return *wildcards_lease_; }
    // Blocks until `meta` has given this start its incarnation. Requires: the host has started.
    [[nodiscard]] Result<Incarnation> join(Exchange& exchange);
    // Thread: any.
    void stop_waiting();
    // Before a wanted stop, when the clients are gone: leaders are handed over, and the cluster is
    // told that this start has ended, so that nobody waits for it. Gives up after a few seconds.
    void leave();
    void stop();

    // Thread: any.
    [[nodiscard]] NodeStanding standing() const { return control_->standing(); }
    [[nodiscard]] std::string waits_for() const;
    // Empty: this node serves, and every group has a leader somewhere.
    [[nodiscard]] std::string not_ready(const ShardLayout& layout) const;
    [[nodiscard]] uint64_t dropped() const { return office_.dropped(); }
    [[nodiscard]] uint64_t refused() const { return office_.refused() + group_post_.refused(); }

  private:
    static constexpr std::chrono::milliseconds kTick{100};

    [[nodiscard]] bool valid() const override;
    [[nodiscard]] Status open_links();
    void make_leases(NodeId self);
    void make_stewards(const ShardLayout& layout);
    void group_here(GroupId id, Group* group);
    void lease_arrived(NodeId from, std::string item);
    void peers_changed(const std::vector<PeerState>& peers);
    void report(const MetaCommandBody& command);
    // On each worker, for ever.
    void tick(WorkerId worker);
    [[nodiscard]] uint32_t leads() const;
    [[nodiscard]] bool others_run() const;
    [[nodiscard]] TableView view_of(const TableLease* lease) const;

    const ClusterOptions& options_;
    Log log_;
    const SystemClock clock_{};
    GroupHost* host_ = nullptr;
    Machine machine_;
    Here here_;

    Leaders leaders_{MetaState::kGroupsMax + kFirstShardGroup};
    Peers peers_;
    GroupPost group_post_;
    MetaRunner meta_;
    // Before the links, whose handler it is; parts that are not made yet refuse.
    PostOffice office_;
    std::unique_ptr<Metrics> own_metrics_;  // when nobody else wants any
    std::unique_ptr<TableLease> meta_lease_;
    std::unique_ptr<TableLease> wildcards_lease_;
    std::map<GroupId, std::unique_ptr<GroupSteward>> stewards_;
    std::unique_ptr<Ingress> ingress_;
    std::optional<OtherNodes> others_;
    std::atomic<NodeControl*> answers_{nullptr};  // who answers questions
    std::atomic<bool> leases_open_{false};
    std::atomic<bool> leaving_{false};
    Incarnation incarnation_;
    std::unique_ptr<link::LinkHost> links_;
    std::unique_ptr<NodeControl> control_;
};

}  // namespace quorate::cluster
