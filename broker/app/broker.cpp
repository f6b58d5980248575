#include "broker/app/broker.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include <unistd.h>

#include <fmt/format.h>

#include "broker/app/front_end_metrics.h"
#include "broker/app/settings.h"
#include "proto/base/assert.h"

namespace quorate::broker {
namespace {

constexpr std::chrono::seconds kServeLimit{60};
constexpr std::chrono::milliseconds kDrainPoll{5};

// Resident memory of this process; 0 when the system does not tell.
uint64_t resident_bytes() {
    std::FILE* file = std::fopen("/proc/self/statm", "re");
    if (file == nullptr) return 0;
    unsigned long long total = 0;
    unsigned long long resident = 0;
    const int read = std::fscanf(file, "%llu %llu", &total, &resident);
    std::fclose(file);
    return read == 2 ? resident * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)) : 0;
}

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

LogLevel log_level(LogLevelOption level) {
    switch (level) {
        case LogLevelOption::Error:
            return LogLevel::Error;
        case LogLevelOption::Warn:
            return LogLevel::Warn;
        case LogLevelOption::Info:
            return LogLevel::Info;
        case LogLevelOption::Debug:
            return LogLevel::Debug;
    }
    return LogLevel::Info;
}

}  // namespace

// One front-end thread.
struct Broker::Loop {
    Loop(LoopId id, const Clock& clock, const EventLoopOptions& options)
        : loop(id, clock, options) {}

    EventLoop loop;
    std::unique_ptr<FrontEnd> front_end;
    std::thread thread;
};

Broker::Broker(Config config, ConfigSources sources, Logger& logger, std::string version,
               ServerSeams seams)
    : config_(std::move(config)),
      sources_(std::move(sources)),
      logger_(logger),
      log_(logger, "broker"),
      storage_log_(logger, "storage"),
      version_(std::move(version)),
      seams_(std::move(seams)),
      own_metrics_(metrics_.make_shard()),
      memory_limit_(config_.limits.memory_high_water.value) {}

Broker::~Broker() {
    stop();
}

std::optional<Broker::Failure> Broker::open() {
    started_ = clock_.now();
    const uint16_t loops = loop_count(config_);
    if (auto failure = open_cluster()) return failure;
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
    }
    if (auto failure = open_listeners()) return failure;
    if (auto failure = open_http()) return failure;
    sys_topics_ = std::make_unique<SysTopics>(metrics_, *cluster_, version_);
    for (auto& made : loops_) {
        made->thread = std::thread([&loop = made->loop, number = made->loop.id().value()] {
            const std::string name = fmt::format("loop-{}", number);
            ::pthread_setname_np(::pthread_self(), name.c_str());
            loop.run();
        });
    }
    serving_.store(true);
    return std::nullopt;
}

std::optional<Broker::Failure> Broker::open_cluster() {
    cluster::ClusterOptions options = cluster_options(config_, loop_count(config_));
    options.host.clock = &clock_;
    options.host.metrics = &metrics_;
    options.host.log = &storage_log_;
    options.host.on_failure = [this](const Error& error) {
        logger_.flush();
        QUORATE_FATAL(error.message.c_str());
    };
    if (seams_.adjust_cluster) seams_.adjust_cluster(options);
    auto opened = cluster::Cluster::open(std::move(options), log_.as("cluster"));
    if (!opened.ok()) return Failure{exit_code_of(opened.error()), opened.error().message};
    cluster_ = std::move(opened).value();
    if (Status status = cluster_->start(); !status.ok()) {
        return Failure{exit_code_of(status.error()), status.error().message};
    }
    if (!cluster_->wait_until_serving(kServeLimit)) {
        std::string text = "not every group serves:";
        for (const cluster::GroupReport& report : cluster_->reports()) {
            if (report.health == cluster::GroupHealth::Sound) continue;
            text += fmt::format(" group {}: {};", report.id.value(), report.failure);
        }
        return Failure{3, text};
    }
    return std::nullopt;
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
        for (std::size_t i = 0; i < loops_.size(); ++i) {
            auto made = std::make_unique<Listener>(loops_[i]->loop, *listener_groups_.back(), i,
                                                   *loops_[i]->front_end);
            if (Status status = made->start(); !status.ok()) {
                return Failure{1, status.error().message};
            }
            loops_[i]->front_end->add_listener(std::move(made));
        }
    }
    return std::nullopt;
}

std::optional<Broker::Failure> Broker::open_http() {
    metrics_text_ = std::make_unique<MetricsText>(
        metrics_, logger_, BuildInfo{version_, "", __VERSION__}, config_.node.data_dir,
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
    if (!serving_.load()) return {false, "starting"};
    if (status_.draining.load()) return {false, "draining"};
    if (!cluster_->healthy()) return {false, "a group has no leader here or the disk is full"};
    if (status_.overload.load() >= 2) return {false, "memory above its high-water mark"};
    return {true, {}};
}

bool Broker::alive() const {
    const auto now = clock_.now();
    return std::ranges::all_of(loops_, [&](const auto& made) {
        return now - made->loop.last_turn() < config_.limits.loop_stall;
    });
}

void Broker::refresh_metrics(MetricsShard& shard) {
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
    shard.set<Metric::RaftGroups>(RaftRoleLabel::Leader, counts.groups_leading);
    reported_listeners_.resize(listener_groups_.size());
    for (std::size_t i = 0; i < listener_groups_.size(); ++i) {
        report_listener_counts(shard, listener_groups_[i]->counts(), reported_listeners_[i]);
    }
    report_shard_counters(shard, counts.counters, reported_);
    shard.set<Metric::OverloadLevel>(status_.overload.load());
    shard.set<Metric::Ready>(readiness().ready ? 1 : 0);
    shard.set<Metric::MemoryLimit>(memory_limit_.load());
}

void Broker::watch_memory() {
    const uint64_t limit = memory_limit_.load();
    if (limit == 0) return;
    const uint64_t percent = resident_bytes() * 100 / limit;
    const uint8_t level = percent >= 90 ? 3 : percent >= 80 ? 2 : percent >= 70 ? 1 : 0;
    const uint8_t before = status_.overload.exchange(level);
    if (level != before) {
        log_.warn("memory pressure changed",
                  {{"level", static_cast<unsigned>(level)}, {"percent_of_limit", percent}});
    }
}

void Broker::publish_sys_topics() {
    if (config_.mqtt.sys_interval == kNever || !config_.mqtt.retain) return;
    const auto now = clock_.now();
    if (now - sys_published_ < config_.mqtt.sys_interval && sys_published_.count() != 0) return;
    sys_published_ = now;
    const auto uptime = std::chrono::duration_cast<std::chrono::seconds>(now - started_).count();
    FrontEnd& front_end = *loops_.front()->front_end;
    front_end.post([this, &front_end, uptime] {
        sys_topics_->publish(static_cast<uint64_t>(uptime),
                             [&](std::string_view topic, std::string_view payload) {
                                 mqtt::MessageView message;
                                 message.topic = topic;
                                 message.payload = payload;
                                 message.retain = true;
                                 front_end.publishes().publish_own(message);
                             });
    });
}

void Broker::supervise() {
    if (!alive()) QUORATE_FATAL("a front-end loop stands still: a bug, or a machine without time");
    watch_memory();
    publish_sys_topics();
    logger_.report_suppressed();
}

void Broker::reload() {
    auto loaded = load_config(sources_);
    if (!loaded.ok()) {
        own_metrics_.add<Metric::ConfigReload>(ResultLabel::Failed);
        log_.error("the configuration was not reloaded; the old one stays",
                   {{"error", loaded.error().message}});
        return;
    }
    const Config& fresh = *loaded;
    logger_.set_level(log_level(fresh.log.level));
    logger_.reopen();
    bool good = true;
    for (std::size_t i = 0; i < tls_.size() && i < fresh.listeners.size(); ++i) {
        if (tls_[i] == nullptr) continue;
        if (Status status = tls_[i]->reload(tls_options(fresh.listeners[i].tls)); !status.ok()) {
            good = false;
            log_.error(
                "certificates were not reloaded; the old ones stay",
                {{"listener", fresh.listeners[i].url.text()}, {"error", status.error().message}});
        }
    }
    cluster_->host().set_disk_marks(disk_marks(fresh));
    memory_limit_.store(fresh.limits.memory_high_water.value);
    own_metrics_.add<Metric::ConfigReload>(good ? ResultLabel::Ok : ResultLabel::Failed);
    log_.info("configuration reloaded", {{"complete", good}});
}

void Broker::drain(const std::function<bool()>& interrupted) {
    if (loops_.empty() || stopped_) return;
    status_.draining.store(true);
    std::atomic<std::size_t> left{0};
    for (auto& made : loops_) {
        FrontEnd& front_end = *made->front_end;
        front_end.post([&front_end] {
            front_end.stop_listening();
            front_end.disconnect_all(mqtt::ReasonCode::ServerShuttingDown, "the server stops");
        });
    }
    const auto deadline = clock_.now() + config_.node.drain_timeout;
    while (clock_.now() < deadline && !interrupted()) {
        left = 0;
        for (auto& made : loops_)
            left += made->front_end->clients();
        if (left == 0) return;
        std::this_thread::sleep_for(kDrainPoll);
    }
    log_.warn("stopping with clients that were not done", {{"clients", left.load()}});
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
    loops_.clear();
}

}  // namespace quorate::broker
