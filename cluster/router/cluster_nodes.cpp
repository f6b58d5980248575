#include "cluster/router/cluster_nodes.h"

#include <condition_variable>
#include <latch>
#include <mutex>
#include <thread>
#include <utility>

#include "cluster/meta/replica_id.h"
#include "cluster/steward/lease_items.h"
#include "proto/base/assert.h"

namespace quorate::cluster {
namespace {

constexpr std::chrono::seconds kReportFor{5};
constexpr std::chrono::seconds kLeaveFor{3};
constexpr std::chrono::milliseconds kLeavePoll{20};

BootstrapOptions bootstrap_of(const ClusterOptions& options) {
    BootstrapOptions out;
    out.name = options.node.name;
    out.address = options.node.advertise;
    out.seeds = options.node.seeds;
    out.expect = options.node.expect;
    out.abandoned = options.node.abandoned;
    out.layout = options.layout;
    out.replication_factor = options.node.replication_factor;
    return out;
}

// Tells, while its owner is blocked, what that waits for, and ends the wait when told so.
class Companion {
  public:
    using GoOn = std::function<bool(const std::string& waits_for)>;

    Companion(const GoOn& go_on, std::function<std::string()> waits_for,
              std::function<void()> stop) {
        if (!go_on) return;
        thread_ =
            std::thread([this, &go_on, waits_for = std::move(waits_for), stop = std::move(stop)] {
                std::unique_lock lock(mutex_);
                while (!changed_.wait_for(lock, kLook, [this] { return over_; })) {
                    if (!go_on(waits_for())) return stop();
                }
            });
    }
    ~Companion() {
        {
            const std::lock_guard lock(mutex_);
            over_ = true;
        }
        changed_.notify_all();
        if (thread_.joinable()) thread_.join();
    }
    Companion(const Companion&) = delete;
    Companion& operator=(const Companion&) = delete;

  private:
    static constexpr std::chrono::milliseconds kLook{100};
    std::mutex mutex_;
    std::condition_variable changed_;
    bool over_ = false;
    std::thread thread_;
};

}  // namespace

ClusterNodes::ClusterNodes(const ClusterOptions& options, const Log& log)
    : options_(options),
      log_(log.as("node")),
      group_post_(node_of),
      meta_(log.as("meta")),
      office_({leaders_, peers_, group_post_,
               [this](NodeId from, std::string item) { lease_arrived(from, std::move(item)); },
               [this](const link::QuestionView& question, link::AnswerDoor door) {
                   NodeControl* control = answers_.load(std::memory_order_acquire);
                   if (control != nullptr) control->on_question(question, std::move(door));
               }}) {
    meta_.set_leadership(
        [this](Term term) {
            if (meta_lease_ != nullptr && meta_.group() != nullptr)
                meta_lease_->lead(term, meta_.group()->term_start());
        },
        [this] {
            if (meta_lease_ != nullptr) meta_lease_->follow();
        });
    meta_.set_reports([this] { return meta_lease_->report(); });
    // No loop reads a table of `meta` yet: what is applied is shown.
    meta_.watch([this](const MetaView& view) {
        if (meta_lease_ == nullptr) return;
        meta_lease_->committed(view.applied);
        meta_lease_->shown(view.applied);
    });
}

ClusterNodes::~ClusterNodes() {
    stop();
}

Status ClusterNodes::open_links() {
    const NodeOptions& node = options_.node;
    link::LinkOptions links;
    links.listen = node.listen;
    if (node.tls) links.tls = link::LinkTlsFiles{node.tls->cert, node.tls->key, node.tls->ca};
    links.allow_plaintext = node.allow_plaintext;
    links.seed = options_.seed;
    Metrics* metrics = options_.host.metrics;
    if (metrics == nullptr) {
        own_metrics_ = std::make_unique<Metrics>();
        metrics = own_metrics_.get();
    }
    auto started = link::LinkHost::start(links, office_, *metrics, *node.logger);
    if (!started.ok()) return started.error();
    links_ = std::move(started).value();
    return {};
}

Result<Identity> ClusterNodes::enter(GroupHost& host, Machine machine, Here here) {
    host_ = &host;
    machine_ = std::move(machine);
    here_ = std::move(here);
    if (Status opened = open_links(); !opened.ok()) return opened.error();
    NodeControlOptions control;
    control.data_dir = options_.host.storage.data_dir;
    control.bootstrap = bootstrap_of(options_);
    control.group.seed = options_.seed;
    control.seed = options_.seed;
    NodeControlHooks hooks;
    hooks.groups.machine = [this](GroupId id) { return id == kMetaGroup ? &meta_ : machine_(id); };
    hooks.groups.here = [this](GroupId id, Group* group) { group_here(id, group); };
    hooks.peers = [this](const std::vector<PeerState>& peers) { peers_changed(peers); };
    hooks.fenced = [this](const std::string& why) {
        // Of its own wish while it leaves.
        if (!leaving_.load() && options_.node.fenced) options_.node.fenced(why);
    };
    hooks.meta_lease = [this] { return view_of(meta_lease_.get()); };
    hooks.wildcards_lease = [this] { return view_of(wildcards_lease_.get()); };
    control_ = std::make_unique<NodeControl>(std::move(control), host, *links_, meta_,
                                             std::move(hooks), log_);
    answers_.store(control_.get(), std::memory_order_release);
    const Companion companion(
        options_.node.waiting, [this] { return waits_for(); }, [this] { stop_waiting(); });
    const auto identity = control_->enter();
    if (!identity.ok()) return identity.error();
    make_leases(identity->node);
    make_stewards(identity->layout);
    others_.emplace(OtherNodes{identity->node, leaders_, office_, peers_, *this, clock_});
    return *identity;
}

void ClusterNodes::make_leases(NodeId self) {
    const auto send = [this](NodeId to, const std::string& item) {
        // A lost one is asked for again.
        (void)links_->offer({to, TrafficClass::Consensus}, as_bytes(item));
    };
    meta_lease_ = std::make_unique<TableLease>(kMetaGroup, self, clock_, send);
    wildcards_lease_ = std::make_unique<TableLease>(kWildcardsGroup, self, clock_, send);
    leases_open_.store(true, std::memory_order_release);
}

void ClusterNodes::make_stewards(const ShardLayout& layout) {
    const auto tell = [this](const MetaCommandBody& command) { report(command); };
    const auto add = [&](GroupId group, TableLease* lease) {
        stewards_[group] =
            std::make_unique<GroupSteward>(group, clock_, log_.as("steward"), tell, lease);
    };
    add(kMetaGroup, meta_lease_.get());
    add(kWildcardsGroup, wildcards_lease_.get());
    for (uint32_t shard = 0; shard < layout.shards; ++shard)
        add(group_of(ShardId(shard)), nullptr);
}

void ClusterNodes::report(const MetaCommandBody& command) {
    control_->asker().ask(command, kReportFor, [this](const Result<MetaAnswer>& answer) {
        if (!answer.ok()) log_.debug("meta was not told", {{"error", answer.error().message}});
    });
}

void ClusterNodes::group_here(GroupId id, Group* group) {
    if (const auto found = stewards_.find(id); found != stewards_.end())
        found->second->set_group(group);
    if (id == kMetaGroup) {
        meta_lease_->set_group(group);
        if (group != nullptr && group->leading())
            meta_lease_->lead(group->term(), group->term_start());
        return;
    }
    if (id == kWildcardsGroup) wildcards_lease_->set_group(group);
    here_(id, group);
}

Result<Incarnation> ClusterNodes::join(Exchange& exchange) {
    group_post_.connect(*links_, *host_);
    office_.connect(*links_);
    const Companion companion(
        options_.node.waiting, [this] { return waits_for(); }, [this] { stop_waiting(); });
    const auto incarnation = control_->start_incarnation();
    if (!incarnation.ok()) return incarnation.error();
    incarnation_ = *incarnation;
    ingress_ = std::make_unique<Ingress>(exchange, options_.layout, *incarnation);
    office_.open(*ingress_);
    const auto begin = [&](GroupId group, TableLease& lease) {
        host_->worker_of(group).post_reserved([&lease, self = *incarnation] { lease.begin(self); });
    };
    begin(kMetaGroup, *meta_lease_);
    begin(kWildcardsGroup, *wildcards_lease_);
    for (uint32_t worker = 0; worker < host_->workers(); ++worker) {
        const WorkerId id(static_cast<uint16_t>(worker));
        host_->worker(id).post_reserved([this, id] { tick(id); });
    }
    return *incarnation;
}

void ClusterNodes::tick(WorkerId worker) {
    const MetaView meta = meta_.view();
    const bool suspended =
        meta_lease_->suspended() || wildcards_lease_->suspended() || leaving_.load();
    for (auto& [group, steward] : stewards_) {
        if (host_->worker_of(group).id() != worker) continue;
        steward->suspend(suspended);
        steward->tick(*meta.state, meta.applied);
    }
    if (host_->worker_of(kMetaGroup).id() == worker) meta_lease_->tick();
    const auto timer = host_->worker(worker).call_later(kTick, [this, worker] { tick(worker); });
    if (!timer.ok()) {
        log_.error("groups are no longer looked after: too many timers",
                   {{"worker", worker.value()}});
    }
}

void ClusterNodes::lease_arrived(NodeId from, std::string item) {
    if (!leases_open_.load(std::memory_order_acquire)) return;
    const auto group = group_of_lease_item(item);
    if (!group || (*group != kMetaGroup && *group != kWildcardsGroup)) return;
    TableLease& lease = *group == kMetaGroup ? *meta_lease_ : *wildcards_lease_;
    Task task([&lease, from, held = std::move(item)] { lease.arrived(from, held); });
    // A full worker misses it: it is asked again.
    (void)host_->worker_of(*group).post(task);
}

void ClusterNodes::peers_changed(const std::vector<PeerState>& peers) {
    for (const PeerState& peer : peers) {
        peers_.learn(peer.node, peer.running, peer.first_up);
        if (peer.first_up.value() == 0) continue;
        const Incarnation last_down(peer.first_up.value() - 1);
        for (const GroupId group : {kMetaGroup, kWildcardsGroup}) {
            TableLease& lease = group == kMetaGroup ? *meta_lease_ : *wildcards_lease_;
            host_->worker_of(group).post_reserved([&lease, last_down] { lease.down(last_down); });
        }
    }
}

bool ClusterNodes::valid() const {
    const auto now = clock_.now();
    return meta_lease_->valid(now) && wildcards_lease_->valid(now);
}

TableView ClusterNodes::view_of(const TableLease* lease) const {
    if (lease == nullptr) return {};
    return {lease->valid(clock_.now()), lease->suspended(), lease->fenced()};
}

void ClusterNodes::stop_waiting() {
    if (NodeControl* control = answers_.load(std::memory_order_acquire)) control->stop_waiting();
}

uint32_t ClusterNodes::leads() const {
    std::atomic<uint32_t> count{0};
    std::latch counted(static_cast<std::ptrdiff_t>(stewards_.size()));
    for (const auto& [id, steward] : stewards_) {
        host_->worker_of(id).post_reserved([this, &count, &counted, id = id] {
            const Group* group = host_->group(id);
            if (group != nullptr && group->leading()) ++count;
            counted.count_down();
        });
    }
    counted.wait();
    return count.load();
}

bool ClusterNodes::others_run() const {
    for (const auto& [node, peer] : peers_.all()) {
        if (node != others_->self && peer.running != Incarnation()) return true;
    }
    return false;
}

void ClusterNodes::leave() {
    if (incarnation_ == Incarnation() || leaving_.exchange(true) || !others_run()) return;
    const auto deadline = clock_.now() + kLeaveFor;
    while (leads() > 0 && clock_.now() < deadline)
        std::this_thread::sleep_for(kLeavePoll);
    if (const uint32_t left = leads(); left > 0) {
        log_.warn("stops as the leader of groups that nobody took over", {{"groups", left}});
    }
    const auto told =
        control_->asker().ask_and_wait(new_token(), IncarnationDown{incarnation_}, kReportFor);
    if (!told.ok()) log_.warn("stops without the cluster having been told", {});
}

void ClusterNodes::stop() {
    if (control_ != nullptr) control_->stop();
    office_.disconnect();
    group_post_.disconnect();
    if (links_ != nullptr) links_->stop();
}

std::string ClusterNodes::not_ready(const ShardLayout& layout) const {
    if (const std::string waiting = waits_for(); !waiting.empty()) return "waits for " + waiting;
    switch (control_->standing()) {
        case NodeStanding::Serving:
            break;
        case NodeStanding::Suspended:
            return "suspended: this node lags behind the cluster's tables";
        case NodeStanding::Minority:
            return "cut off: no leader of meta is heard, a majority is missing";
        case NodeStanding::Fenced:
            return "fenced: the cluster has ended this start of the node";
    }
    uint32_t without = 0;
    for (uint32_t shard = 0; shard < layout.shards; ++shard) {
        if (leaders_.at(group_of(ShardId(shard))).node == NodeId()) ++without;
    }
    if (leaders_.at(kWildcardsGroup).node == NodeId()) return "wildcards has no leader";
    if (without == 0) return "";
    return std::to_string(without) + " of " + std::to_string(layout.shards) +
           " shards have no leader";
}

std::string ClusterNodes::waits_for() const {
    const NodeControl* control = answers_.load(std::memory_order_acquire);
    return control == nullptr ? "" : control->waits_for();
}

}  // namespace quorate::cluster
