#include "broker/app/broker.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <utility>

#include <fmt/format.h>

#include "broker/app/front_end_metrics.h"
#include "broker/app/settings.h"
#include "proto/base/assert.h"

namespace quorate::broker {
namespace {

constexpr std::chrono::seconds kServeLimit{60};
constexpr std::chrono::seconds kOthersLimit{5};  // about an election with all that follows
constexpr std::chrono::milliseconds kInterruptLook{50};

int exit_code_of(const Error& error) {
    switch (error.code) {
        case ErrorCode::Locked:
        case ErrorCode::Corrupt:
        case ErrorCode::NotFound:
        case ErrorCode::Io:
            return 3;
        case ErrorCode::InvalidArgument:
        case ErrorCode::AlreadyExists:
        case ErrorCode::LimitExceeded:
        case ErrorCode::NotAuthorized:
        case ErrorCode::NotLeader:
        case ErrorCode::Stale:
        case ErrorCode::Unavailable:
            return 1;
    }
    return 1;
}

}  // namespace

Broker::Broker(Config config, ConfigSources sources, Logger& logger, BuildInfo build,
               ServerSeams seams)
    : config_(std::move(config)),
      sources_(std::move(sources)),
      logger_(logger),
      log_(logger, "broker"),
      storage_log_(logger, "storage"),
      build_(std::move(build)),
      seams_(std::move(seams)),
      own_metrics_(metrics_.make_shard()) {
    note_limits();
}

Broker::~Broker() {
    stop();
}

std::optional<Broker::Failure> Broker::open(const std::function<bool()>& interrupted) {
    started_ = clock_.now();
    tickets_rotated_ = started_;
    log_starting();
    const uint16_t loops = loop_count(config_);
    // A node that waits for others says so; a start that needs nobody is over too soon to be asked.
    const bool among_others = config_.cluster.clustered();
    if (among_others) {
        if (auto failure = open_http()) return failure;
    }
    if (auto failure = open_cluster(interrupted)) return failure;
    status_.sessions = &cluster_->sessions();
    const FrontEndOptions options = front_end_options(config_, loops);
    for (uint16_t i = 0; i < loops; ++i) {
        loops_.push_back(std::make_unique<Loop>(LoopId(i), clock_, event_loop_options(config_)));
    }
    for (auto& made : loops_) {
        EventLoop& loop = made->loop;
        made->front_end = std::make_unique<FrontEnd>(loop, options, status_, metrics_.make_shard(),
                                                     log_.as("mqtt"), system_seed());
        made->front_end->set_port(cluster_->make_port(
            loop.id(), *made->front_end, [this, &loop](std::optional<LoopId> sender) {
                if (sender) {
                    loop.mail(loops_[sender->value()]->loop);
                } else {
                    loop.mail();
                }
            }));
        loop.set_hooks(made->front_end.get());
        spread_.add(*made->front_end);
    }
    if (auto failure = open_listeners()) return failure;
    if (!among_others) {
        if (auto failure = open_http()) return failure;
    }
    sys_topics_ = std::make_unique<SysTopics>(
        metrics_, *cluster_, build_.version,
        among_others ? "$SYS/brokers/" + node_name(config_) : "$SYS/broker");
    for (auto& made : loops_) {
        made->thread = std::thread([&loop = made->loop, number = made->loop.id().value()] {
            const std::string name = fmt::format("loop-{}", number);
            ::pthread_setname_np(::pthread_self(), name.c_str());
            loop.run();
        });
    }
    serving_.store(true);
    for (const std::string& url : listeners())
        log_.info("listening", {{"url", url}});
    log_.info("ready", {{"after_ms", milliseconds_since(started_)}});
    return std::nullopt;
}

std::optional<Broker::Failure> Broker::open_cluster(const std::function<bool()>& interrupted) {
    cluster::ClusterOptions options = cluster_options(config_, loop_count(config_));
    options.host.clock = &clock_;
    options.host.metrics = &metrics_;
    options.host.log = &storage_log_;
    options.host.on_failure = [this](const Error& error) {
        logger_.flush();
        QUORATE_FATAL(error.message.c_str());
    };
    std::atomic<bool> stopped = false;  // asked on another thread
    options.node.waiting = [&](const std::string& waits_for) {
        note_waiting(waits_for);
        if (!stopped && interrupted()) stopped = true;
        return !stopped;
    };
    options.publish_timeout = config_.mqtt.publish_timeout;
    options.node.logger = &logger_;
    // Others act as if this node were gone: nothing of it may follow.
    options.node.fenced = [this](const std::string& why) {
        log_.error("this node stops", {{"why", why}});
        logger_.flush();
        std::_Exit(1);
    };
    if (seams_.adjust_cluster) seams_.adjust_cluster(options);
    auto opened = cluster::Cluster::open(std::move(options), log_.as("cluster"));
    Status status = opened.ok() ? Status() : opened.error();
    if (opened.ok()) {
        cluster_ = std::move(opened).value();
        status = cluster_->start();
    }
    if (stopped) return Failure{0, "stopped before it was ready"};
    if (!status.ok()) return Failure{exit_code_of(status.error()), status.error().message};
    return wait_for_groups(interrupted);
}

std::optional<Broker::Failure> Broker::wait_for_groups(const std::function<bool()>& interrupted) {
    const bool among_others = config_.cluster.clustered();
    const auto deadline = clock_.now() + (among_others ? kOthersLimit : kServeLimit);
    for (;;) {
        if (interrupted()) return Failure{0, "stopped before it was ready"};
        if (cluster_->wait_until_serving(kInterruptLook)) return std::nullopt;
        note_waiting(cluster_->not_ready());
        if (clock_.now() < deadline) continue;
        // Others may be away for long: clients are told so one by one.
        if (among_others) return std::nullopt;
        std::string text = "not every group serves:";
        for (const cluster::GroupReport& report : cluster_->reports()) {
            if (report.health == cluster::GroupHealth::Sound) continue;
            text += fmt::format(" group {}: {};", report.id.value(), report.failure);
        }
        return Failure{3, text};
    }
}

void Broker::note_waiting(const std::string& waits_for) {
    const std::lock_guard lock(waits_mutex_);
    waits_for_ = waits_for;
}

std::optional<Broker::Failure> Broker::open_listeners() {
    uint16_t index = 0;
    for (const ListenerConfig& listener : config_.listeners) {
        ListenerOptions options = listener_options(config_, listener, index++);
        if (listener.url.secure()) {
            auto context = TlsContext::create(tls_options(listener.tls));
            if (!context.ok()) return Failure{2, context.error().message};
            tls_.push_back(std::make_unique<TlsContextSlot>(std::move(context).value()));
            options.tls = tls_.back().get();
        } else {
            tls_.push_back(nullptr);
        }
        auto group = ListenerGroup::open(std::move(options), loops_.size());
        if (!group.ok()) return Failure{1, group.error().message};
        listener_groups_.push_back(std::move(group).value());
        AcceptRouter* router = listener.url.transport == Transport::Unix ? &spread_ : nullptr;
        for (std::size_t i = 0; i < loops_.size(); ++i) {
            auto made = std::make_unique<Listener>(loops_[i]->loop, *listener_groups_.back(), i,
                                                   *loops_[i]->front_end, router);
            if (Status status = made->start(); !status.ok()) {
                return Failure{1, status.error().message};
            }
            loops_[i]->front_end->add_listener(std::move(made));
        }
    }
    return std::nullopt;
}

std::optional<Broker::Failure> Broker::open_http() {
    metrics_text_ =
        std::make_unique<MetricsText>(metrics_, logger_, build_, config_.node.data_dir,
                                      [this](MetricsShard& shard) { refresh_metrics(shard); });
    if (config_.metrics.listen.empty()) return std::nullopt;
    ListenerOptions options;
    options.address.kind = TransportKind::Http;
    options.address.host =
        config_.metrics.listen.host == "localhost" ? "127.0.0.1" : config_.metrics.listen.host;
    options.address.port = config_.metrics.listen.port;
    options.connections_max = config_.metrics.max_connections;
    HttpEndpointOptions endpoint;
    endpoint.header_bytes_max = config_.limits.http_header.value;
    endpoint.metrics_text = [this] { return metrics_text_->page(); };
    endpoint.readiness = [this] { return readiness(); };
    endpoint.alive = [this] { return alive(); };
    auto opened = HttpServer::open(options, std::move(endpoint), metrics_.make_shard(), clock_);
    if (!opened.ok()) return Failure{1, opened.error().message};
    http_ = std::move(opened).value();
    return std::nullopt;
}

std::vector<std::string> Broker::listeners() const {
    std::vector<std::string> urls;
    for (const auto& group : listener_groups_)
        urls.push_back(group->text());
    if (http_ != nullptr) {
        urls.push_back(
            fmt::format("http://{}:{}/metrics", config_.metrics.listen.host, http_->port()));
    }
    return urls;
}

Readiness Broker::readiness() const {
    if (!serving_.load()) {
        const std::lock_guard lock(waits_mutex_);
        return {false, waits_for_.empty() ? "starting" : "starting: " + waits_for_};
    }
    if (status_.draining.load()) return {false, "draining"};
    if (std::string reason = cluster_->not_ready(); !reason.empty()) {
        return {false, std::move(reason)};
    }
    if (status_.overload.load() >= 2) return {false, "memory above its high-water mark"};
    return {true, {}};
}

bool Broker::alive() const {
    if (!serving_.load()) return true;
    const auto now = clock_.now();
    return std::ranges::all_of(loops_, [&](const auto& made) {
        return now - made->loop.last_turn() < loop_stall_.load();
    });
}

void Broker::refresh_metrics(MetricsShard& shard) {
    if (!serving_.load()) return;  // its parts are still being made
    const cluster::ClusterCounts counts = cluster_->counts();
    const uint64_t offline = counts.shards.sessions - counts.shards.attached;
    shard.set<Metric::Sessions>(SessionStateLabel::Connected, counts.shards.attached);
    shard.set<Metric::Sessions>(SessionStateLabel::Offline, offline);
    shard.set<Metric::Subscriptions>(counts.shards.subscriptions + counts.filters);
    shard.set<Metric::SharedGroups>(counts.shards.groups);
    shard.set<Metric::WillsPending>(counts.shards.wills_pending);
    shard.set<Metric::QueuedMessages>(counts.shards.queued_messages);
    shard.set<Metric::QueuedBytes>(counts.shards.queued_bytes);
    shard.set<Metric::RetainedMessages>(counts.shards.retained);
    shard.set<Metric::RetainedBytes>(counts.shards.retained_bytes);
    shard.set<Metric::Routes>(RouteKindLabel::Exact, counts.shards.routes);
    shard.set<Metric::Routes>(RouteKindLabel::Wildcard,
                              counts.filters - std::min(counts.filters, counts.shards.routes));
    reported_listeners_.resize(listener_groups_.size());
    for (std::size_t i = 0; i < listener_groups_.size(); ++i) {
        report_listener_counts(shard, listener_groups_[i]->counts(), reported_listeners_[i]);
    }
    report_shard_counters(shard, counts.counters, reported_);
    shard.set<Metric::UnreadBytes>(counts.unread_bytes);
    shard.add<Metric::PublishDropped>(
        DropReason::ThreadBusy,
        counts.unread_dropped - std::exchange(reported_unread_dropped_, counts.unread_dropped));
    const uint64_t cut_off = std::exchange(reported_cut_off_, counts.publishes_cut_off);
    shard.add<Metric::PublishDropped>(DropReason::Refused, counts.publishes_cut_off - cut_off);
    shard.set<Metric::OverloadLevel>(status_.overload.load());
    shard.set<Metric::Ready>(readiness().ready ? 1 : 0);
    shard.set<Metric::MemoryLimit>(memory_limit_.load());
    uint64_t connections = 0;
    for (const auto& group : listener_groups_)
        connections += group->connections_max();
    shard.set<Metric::ConnectionLimit>(connections);
    shard.set<Metric::QueueDepth>(StageLabel::Loop, counts.loop_parcels);
}

void Broker::stop() {
    if (stopped_) return;
    stopped_ = true;
    serving_.store(false);
    if (http_ != nullptr) http_->stop();
    for (auto& made : loops_) {
        if (!made->thread.joinable()) continue;
        made->loop.stop();
        made->thread.join();
    }
    if (cluster_ != nullptr) cluster_->stop();
    if (!loops_.empty()) log_.info("stopped", {{"uptime_ms", milliseconds_since(started_)}});
    loops_.clear();
}

}  // namespace quorate::broker
