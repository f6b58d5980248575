// Long, because it is the one place that builds all groups and starts and stops them in order.
#include "cluster/router/cluster.h"

#include <atomic>
#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "cluster/group/group_ids.h"
#include "cluster/meta/replica_id.h"
#include "cluster/node/alone.h"
#include "cluster/node/names.h"
#include "cluster/router/cluster_nodes.h"
#include "cluster/router/directory.h"
#include "cluster/router/exchange.h"
#include "cluster/router/leader/shard_runner.h"
#include "cluster/router/leader/wildcards_runner.h"
#include "cluster/router/node_loop_port.h"
#include "cluster/router/worker_router.h"
#include "proto/base/assert.h"

namespace quorate::cluster {
namespace {

// How often workers report their counts.
constexpr std::chrono::milliseconds kReportEvery{1000};
constexpr std::chrono::seconds kIncarnationLimit{30};
constexpr std::chrono::seconds kStartLimit{60};
constexpr std::chrono::milliseconds kStartPoll{2};
constexpr ReplicaId kOnlyReplica = replica_id(NodeId(1), kFoundingReplica);

void add(ShardCounts& sum, const ShardCounts& part) {
    sum.sessions += part.sessions;
    sum.durable_sessions += part.durable_sessions;
    sum.attached += part.attached;
    sum.subscriptions += part.subscriptions;
    sum.queued_messages += part.queued_messages;
    sum.queued_bytes += part.queued_bytes;
    sum.wills_pending += part.wills_pending;
    sum.routes += part.routes;
    sum.retained += part.retained;
    sum.retained_bytes += part.retained_bytes;
    sum.groups += part.groups;
    sum.outbox += part.outbox;
    sum.outbox_bytes += part.outbox_bytes;
    sum.lanes += part.lanes;
}

void add(ShardCounters& sum, const ShardCounters& part) {
    sum.queue_full += part.queue_full;
    sum.expired += part.expired;
    sum.offline_qos0 += part.offline_qos0;
    sum.too_large += part.too_large;
    sum.denied += part.denied;
    sum.session_ended += part.session_ended;
    sum.sessions_created += part.sessions_created;
    sum.sessions_expired += part.sessions_expired;
    sum.takeovers += part.takeovers;
    sum.wills_published += part.wills_published;
    sum.wills_cancelled += part.wills_cancelled;
    sum.wills_dropped += part.wills_dropped;
    sum.group_full += part.group_full;
    sum.outbox_repeats += part.outbox_repeats;
    sum.commands_duplicate += part.commands_duplicate;
    sum.commands_gap += part.commands_gap;
    sum.commands_stale += part.commands_stale;
}

}  // namespace

class Cluster::Impl {
  public:
    Impl(ClusterOptions given, const Log& to) : options(std::move(given)), log(to) {}

    Status open();
    // What its disk was made with, or is now; alone.
    Status name_alone();
    // Which node of which cluster this is.
    Status enter();
    void make_threads();
    Status make_groups();
    [[nodiscard]] StateMachine* machine(GroupId group);
    void group_here(GroupId id, Group* group);
    Result<Incarnation> begin();
    [[nodiscard]] std::string not_ready() const;
    void hook_turns();
    void on_each_worker(const std::function<void(WorkerId)>& work);
    Status show_tables();
    std::string unsound_groups();
    Status start();
    void stop();
    void report(WorkerId worker);

    struct Report {
        ShardCounts shards;
        ShardCounters counters;
        uint32_t leading = 0;
        uint32_t groups = 0;
        uint64_t cut_off = 0;
        bool healthy = false;
    };

    ClusterOptions options;
    Log log;
    std::unique_ptr<ClusterNodes> nodes;  // null: alone
    std::unique_ptr<GroupHost> host;
    std::unique_ptr<Exchange> exchange;
    std::unique_ptr<Directory> directory;
    std::vector<std::unique_ptr<WorkerRouter>> routers;
    std::unique_ptr<MetaRunner> meta;
    std::unique_ptr<MetaAsker> asker;
    std::unique_ptr<WildcardsRunner> wildcards;
    std::vector<std::unique_ptr<ShardRunner>> shards;
    Incarnation incarnation;
    bool running = false;
    std::atomic<int64_t> retained{0};  // topics with a retained message, over all shards,
    std::vector<std::atomic<uint64_t>> retained_in;  // and by shard
    std::atomic<int64_t> sessions{0};                // over all shards

    mutable std::mutex mutex;
    std::vector<Report> reports;  // by worker; guarded by mutex
};

Status Cluster::Impl::open() {
    if (options.node.clustered) {
        nodes = std::make_unique<ClusterNodes>(options, log);
        options.host.messages = &nodes->messages();
    }
    auto opened = GroupHost::open(options.host);
    if (!opened.ok()) return opened.error();
    host = std::move(opened).value();
    if (Status status = nodes ? enter() : name_alone(); !status.ok()) return status;
    make_threads();
    if (Status status = make_groups(); !status.ok()) return status;
    hook_turns();
    return {};
}

Status Cluster::Impl::name_alone() {
    if (Status alone = check_runs_alone(options.host.storage.data_dir); !alone.ok()) return alone;
    const std::string& id = host->engine().cluster_id();
    if (id.empty()) {
        return host->engine().set_cluster_id(encode(DiskName{options.seed, options.layout}));
    }
    const auto stored = decode_disk_name(id);
    if (!stored) {
        return Error{ErrorCode::Corrupt, "the cluster id of the data directory is damaged"};
    }
    if (stored->layout.shards == options.layout.shards &&
        stored->layout.topic_hash_levels == options.layout.topic_hash_levels) {
        return {};
    }
    return Error{ErrorCode::Corrupt,
                 fmt::format("the data directory was made with cluster.shards {} and "
                             "cluster.topic_hash_levels {}, which cannot change; start "
                             "with these values or with an empty directory",
                             stored->layout.shards, stored->layout.topic_hash_levels)};
}

Status Cluster::Impl::enter() {
    const auto identity = nodes->enter(
        *host, [this](GroupId group) { return machine(group); },
        [this](GroupId id, Group* group) { group_here(id, group); });
    if (!identity.ok()) return identity.error();
    options.layout = identity->layout;
    return {};
}

void Cluster::Impl::make_threads() {
    const auto workers = static_cast<uint16_t>(host->workers());
    exchange = std::make_unique<Exchange>(options.loops, workers, options.unread_bytes_max);
    directory = std::make_unique<Directory>(exchange->ports());
    exchange->set_workers([this](WorkerId worker, std::unique_ptr<WorkerParcel> parcel) {
        host->worker(worker).post_reserved([router = routers[worker.value()].get(),
                                            held = std::move(parcel)] { router->receive(*held); });
    });
    reports.resize(workers);
    retained_in = std::vector<std::atomic<uint64_t>>(options.layout.shards);
    for (uint16_t w = 0; w < workers; ++w) {
        routers.push_back(std::make_unique<WorkerRouter>(WorkerRouter::Context{
            *exchange, *directory, options.layout, WorkerId(w), workers, &retained, retained_in,
            options.retained_max, &sessions, nodes ? &nodes->others() : nullptr}));
    }
}

// Every machine is made, also of groups that have no copy here yet.
Status Cluster::Impl::make_groups() {
    const auto router_of = [&](GroupId group) -> WorkerRouter& {
        return *routers[exchange->worker_of(group).value()];
    };
    wildcards = std::make_unique<WildcardsRunner>(router_of(kWildcardsGroup), log.as("wildcards"));
    if (nodes) wildcards->set_lease(&nodes->wildcards_lease());
    router_of(kWildcardsGroup).add_runner(kWildcardsGroup, *wildcards);
    SharedLeaderOptions shared;
    shared.strategy = options.shared_strategy;
    shared.member_window = options.shared_member_window;
    shared.waiting_max = options.shard.group_messages_max;
    for (uint32_t s = 0; s < options.layout.shards; ++s) {
        WorkerRouter& router = router_of(group_of(ShardId(s)));
        shards.push_back(std::make_unique<ShardRunner>(ShardId(s), options.shard, shared, router,
                                                       log.as("shard")));
        shards.back()->set_worker(&host->worker(router.id()));
        router.add_runner(group_of(ShardId(s)), *shards.back());
    }
    if (nodes) return nodes->add_groups();
    meta = std::make_unique<MetaRunner>(log.as("meta"));
    asker = std::make_unique<MetaAsker>(*host, *meta);
    const auto add = [this](GroupId group) {
        GroupOptions group_options;
        group_options.id = group;
        group_options.self = kOnlyReplica;
        group_options.configuration = {{kOnlyReplica}};
        group_options.seed = options.seed;
        return host->add_group(group_options, *machine(group), exchange->worker_of(group));
    };
    for (const GroupId group : {kMetaGroup, kWildcardsGroup}) {
        if (Status status = add(group); !status.ok()) return status;
    }
    for (uint32_t s = 0; s < options.layout.shards; ++s) {
        if (Status status = add(group_of(ShardId(s))); !status.ok()) return status;
    }
    return {};
}

StateMachine* Cluster::Impl::machine(GroupId group) {
    if (group == kMetaGroup) return meta.get();
    if (group == kWildcardsGroup) return wildcards.get();
    const auto shard = shard_of_group(group);
    return shard && shard->value() < shards.size() ? shards[shard->value()].get() : nullptr;
}

void Cluster::Impl::group_here(GroupId id, Group* group) {
    if (auto* runner = dynamic_cast<GroupRunnerBase*>(machine(id))) runner->set_group(group);
}

void Cluster::Impl::hook_turns() {
    for (uint16_t w = 0; w < exchange->workers(); ++w) {
        Worker& worker = host->worker(WorkerId(w));
        worker.on_turn_end([router = routers[w].get(), &worker] {
            // What was proposed after the groups had run needs another turn.
            if (router->end_turn()) worker.post_reserved([] {});
        });
    }
}

Status Cluster::Impl::start() {
    if (Status status = host->start(); !status.ok()) return status;
    running = true;
    const auto allotted = begin();
    if (!allotted.ok()) return allotted.error();
    incarnation = *allotted;
    on_each_worker([this](WorkerId w) {
        WorkerRouter& router = *routers[w.value()];
        router.set_incarnation(incarnation);
        if (nodes) return;
        router.for_each_runner(
            [this](GroupRunnerBase& runner) { runner.set_group(host->group(runner.group_id())); });
    });
    if (!nodes) {
        if (Status status = show_tables(); !status.ok()) return status;
    }
    on_each_worker([this](WorkerId w) {
        routers[w.value()]->start_serving();
        report(w);
    });
    return {};
}

// Groups exist from now on; their runners learn of them on their own threads.
Result<Incarnation> Cluster::Impl::begin() {
    if (nodes) return nodes->join(*exchange);
    // The only replica of each group is here: without it nothing could ever serve.
    if (const std::string unsound = unsound_groups(); !unsound.empty()) {
        return Error{ErrorCode::Corrupt,
                     "the data directory is damaged, and no other node has a copy: " + unsound +
                         "restore it from a backup, or start with an empty directory"};
    }
    const DiskName name{options.seed, options.layout};
    return start_alone(*host, *meta, *asker,
                       decode_disk_name(host->engine().cluster_id()).value_or(name),
                       kIncarnationLimit);
}

void Cluster::Impl::on_each_worker(const std::function<void(WorkerId)>& work) {
    std::vector<std::future<void>> done;
    for (uint16_t w = 0; w < exchange->workers(); ++w) {
        auto finished = std::make_unique<std::promise<void>>();
        done.push_back(finished->get_future());
        host->worker(WorkerId(w)).post_reserved([&work, w, finished = std::move(finished)] {
            work(WorkerId(w));
            finished->set_value();
        });
    }
    for (auto& each : done)
        each.get();
}

// Before anything is owed or accepted, every route that is committed must be in the table: a
// message matched against less would be done without having reached its subscribers.
Status Cluster::Impl::show_tables() {
    const auto deadline = std::chrono::steady_clock::now() + kStartLimit;
    std::atomic<uint32_t> unled{1};
    while (unled.load() > 0) {
        if (std::chrono::steady_clock::now() > deadline) {
            return Error{ErrorCode::Unavailable, "a group has no leader: " + unsound_groups()};
        }
        unled = 0;
        on_each_worker([&](WorkerId w) {
            routers[w.value()]->for_each_runner([&](GroupRunnerBase& runner) {
                if (!runner.led()) ++unled;
            });
        });
        if (unled.load() > 0) std::this_thread::sleep_for(kStartPoll);
    }
    std::promise<void> shown;
    std::atomic<uint32_t> waiting{1};
    const auto arrived = [&shown, &waiting] {
        if (--waiting == 0) shown.set_value();
    };
    on_each_worker([&](WorkerId w) {
        routers[w.value()]->for_each_runner([&](GroupRunnerBase& runner) {
            ++waiting;
            directory->change(runner.table_ops(), arrived);
        });
    });
    arrived();
    shown.get_future().get();
    return {};
}

std::string Cluster::Impl::unsound_groups() {
    std::string text;
    for (const GroupReport& report : host->reports()) {
        if (report.health == GroupHealth::Sound) continue;
        text += fmt::format("group {}: {}; ", report.id.value(), report.failure);
    }
    return text;
}

void Cluster::Impl::report(WorkerId worker) {
    Report made;
    made.healthy = true;
    made.cut_off = routers[worker.value()]->owner().cut_off();
    const auto count_group = [&](GroupRunnerBase& runner) {
        ++made.groups;
        if (runner.leading()) ++made.leading;
        // Among other nodes somebody else may lead; see not_ready().
        made.healthy = made.healthy && (nodes != nullptr || runner.serving());
    };
    routers[worker.value()]->for_each_runner(count_group);
    for (auto& shard : shards) {
        if (&shard->router() != routers[worker.value()].get() || !shard->serving()) continue;
        add(made.shards, shard->state().counts());
        add(made.counters, shard->state().counters());
        const KeptQos0& kept = shard->kept_qos0();
        made.shards.queued_messages += kept.messages();
        made.shards.queued_bytes += kept.bytes();
        made.counters.offline_qos0 += kept.dropped();
        made.counters.expired += kept.expired();
        made.counters.session_ended += shard->shared().dropped();
    }
    {
        const std::lock_guard lock(mutex);
        reports[worker.value()] = made;
    }
    Worker& thread = host->worker(worker);
    // Until every group serves, readiness waits for it: look again soon.
    const auto next = made.healthy ? kReportEvery : std::chrono::milliseconds(10);
    const auto timer = thread.call_later(next, [this, worker] { report(worker); });
    if (!timer.ok()) {
        log.error("counts are no longer reported: too many timers", {{"worker", worker.value()}});
    }
}

void Cluster::Impl::stop() {
    if (nodes && running) nodes->leave();
    if (nodes) nodes->stop();
    if (!running) return;
    running = false;
    host->stop();
    directory->stop();
}

Cluster::Cluster(Passkey, std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Cluster::~Cluster() {
    stop();
}

Result<std::unique_ptr<Cluster>> Cluster::open(ClusterOptions options, const Log& log) {
    auto impl = std::make_unique<Impl>(std::move(options), log);
    if (Status status = impl->open(); !status.ok()) return status.error();
    return std::make_unique<Cluster>(Passkey{}, std::move(impl));
}

Status Cluster::start() {
    return impl_->start();
}

bool Cluster::wait_until_serving(std::chrono::milliseconds limit) {
    const SystemClock clock;
    const auto deadline = clock.now() + limit;
    while (!not_ready().empty()) {
        if (clock.now() > deadline) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return true;
}

void Cluster::stop() {
    impl_->stop();
}

std::unique_ptr<LoopPort> Cluster::make_port(
    LoopId loop, LoopSink& sink, std::function<void(std::optional<LoopId> sender)> tell) {
    impl_->exchange->set_loop(loop, std::move(tell));
    return std::make_unique<NodeLoopPort>(
        NodeLoopPort::Context{*impl_->exchange, *impl_->directory, impl_->options.layout, loop,
                              impl_->incarnation, impl_->host->workers(), LoopCredit{},
                              impl_->retained_in, impl_->nodes ? &impl_->nodes->others() : nullptr,
                              impl_->options.publish_timeout},
        sink);
}

Incarnation Cluster::incarnation() const {
    return impl_->incarnation;
}

const ShardLayout& Cluster::layout() const {
    return impl_->options.layout;
}

ClusterCounts Cluster::counts() const {
    ClusterCounts counts;
    const std::lock_guard lock(impl_->mutex);
    for (const Impl::Report& report : impl_->reports) {
        add(counts.shards, report.shards);
        add(counts.counters, report.counters);
        counts.groups += report.groups;
        counts.groups_leading += report.leading;
        counts.publishes_cut_off += report.cut_off;
    }
    counts.groups_unsound = counts.groups - counts.groups_leading;
    counts.filters = impl_->directory->filters();
    for (uint16_t loop = 0; loop < impl_->exchange->loops(); ++loop) {
        counts.loop_parcels += impl_->exchange->mailbox(LoopId(loop)).size();
    }
    counts.unread_bytes = impl_->exchange->unread();
    counts.unread_dropped = impl_->exchange->dropped();
    return counts;
}

const std::atomic<int64_t>& Cluster::sessions() const {
    return impl_->sessions;
}

std::string Cluster::Impl::not_ready() const {
    if (host->disk_state() != storage::DiskState::Ample) return "the disk is nearly full";
    {
        const std::lock_guard lock(mutex);
        for (const Report& report : reports) {
            if (!report.healthy) return "a group has no leader here";
        }
    }
    return nodes ? nodes->not_ready(options.layout) : "";
}

std::string Cluster::not_ready() const {
    return impl_->not_ready();
}

std::vector<GroupReport> Cluster::reports() {
    return impl_->host->reports();
}

GroupHost& Cluster::host() {
    return *impl_->host;
}

}  // namespace quorate::cluster
