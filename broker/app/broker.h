// The broker: builds everything from a configuration, by constructor, and runs it.
//
//   open -> (ready) -> run -> drain -> stop
//
// Thread: the program's main thread. Owner: main. Errors: open() answers what main turns into an
// exit code: Locked, Corrupt and NotFound of the data directory (3), everything else (1).
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "broker/admin/metrics_text.h"
#include "broker/app/accept_spread.h"
#include "broker/app/front_end.h"
#include "broker/app/http_server.h"
#include "broker/app/server.h"
#include "broker/app/sys_topics.h"
#include "broker/config/config.h"
#include "broker/config/yaml_loader.h"
#include "broker/net/event_loop.h"
#include "broker/net/listener.h"
#include "cluster/router/cluster.h"
#include "proto/base/environment.h"
#include "proto/base/log.h"
#include "proto/base/metrics.h"
#include "proto/base/result.h"

namespace quorate::broker {

class Broker {
  public:
    // What a failed start must exit with.
    struct Failure {
        int exit_code = 1;
        std::string text;
    };

    Broker(Config config, ConfigSources sources, Logger& logger, BuildInfo build,
           ServerSeams seams = {});
    ~Broker();
    Broker(const Broker&) = delete;
    Broker& operator=(const Broker&) = delete;

    // Recovers the data, opens the listeners, starts the loops. Nothing when it serves.
    // `interrupted` is asked while it waits; true ends the start, with exit code 0.
    [[nodiscard]] std::optional<Failure> open(const std::function<bool()>& interrupted);
    // URLs with their real ports, for the ready line.
    [[nodiscard]] std::vector<std::string> listeners() const;

    // About once a second from the main thread: overload, watchdog, suppressed log lines.
    void supervise();
    // SIGHUP: certificates, and every option that may change while running; all or nothing, but for
    // certificates that cannot be used.
    void reload();
    // Stops listening and tells every client; then waits until all are gone or the time is over.
    // `interrupted` is asked now and then; true ends the wait.
    void drain(const std::function<bool()>& interrupted);
    void stop();

  private:
    // One front-end thread.
    struct Loop {
        Loop(LoopId id, const Clock& clock, const EventLoopOptions& options)
            : loop(id, clock, options) {}

        EventLoop loop;
        std::unique_ptr<FrontEnd> front_end;
        std::thread thread;
    };

    [[nodiscard]] std::optional<Failure> open_cluster(const std::function<bool()>& interrupted);
    [[nodiscard]] std::optional<Failure> wait_for_groups(const std::function<bool()>& interrupted);
    // What the start waits for, for readiness. Thread: any.
    void note_waiting(const std::string& waits_for);
    [[nodiscard]] std::optional<Failure> open_listeners();
    [[nodiscard]] std::optional<Failure> open_http();
    void log_starting() const;
    [[nodiscard]] int64_t milliseconds_since(std::chrono::nanoseconds then) const;
    void publish_sys_topics();
    void rotate_ticket_keys();
    // Of config_, what other threads of the broker read.
    void note_limits();
    // False when some could not be read: then `config` says what is in use.
    [[nodiscard]] bool reload_certificates(Config& config);
    void apply_limits();
    [[nodiscard]] Readiness readiness() const;
    [[nodiscard]] bool alive() const;
    void refresh_metrics(MetricsShard& shard);
    void watch_memory();

    Config config_;  // of the main thread, once the loops run
    ConfigSources sources_;
    Logger& logger_;
    Log log_;
    const Log storage_log_;  // the stores keep its address
    BuildInfo build_;
    const ServerSeams seams_;
    SystemClock clock_;
    Metrics metrics_;
    MetricsShard& own_metrics_;  // of the main thread
    NodeStatus status_;
    std::atomic<uint64_t> memory_limit_{0};
    std::atomic<std::chrono::milliseconds> loop_stall_{std::chrono::milliseconds(0)};
    AcceptSpread spread_;
    std::unique_ptr<cluster::Cluster> cluster_;
    std::vector<std::unique_ptr<TlsContextSlot>> tls_;
    std::vector<std::unique_ptr<ListenerGroup>> listener_groups_;
    std::vector<std::unique_ptr<Loop>> loops_;
    std::unique_ptr<SysTopics> sys_topics_;
    std::unique_ptr<MetricsText> metrics_text_;
    std::unique_ptr<HttpServer> http_;
    std::vector<ListenerCounts> reported_listeners_;  // as reported_
    cluster::ShardCounters reported_;                 // by the thread that scrapes
    uint64_t reported_unread_dropped_ = 0;            // as reported_
    uint64_t reported_cut_off_ = 0;                   // the same
    std::chrono::nanoseconds started_{0};
    std::chrono::nanoseconds sys_published_{0};
    std::chrono::nanoseconds tickets_rotated_{0};
    std::atomic<bool> serving_{false};
    mutable std::mutex waits_mutex_;
    std::string waits_for_;   // guarded by waits_mutex_
    bool was_ready_ = false;  // when the $SYS topics were last published
    bool stopped_ = false;
};

}  // namespace quorate::broker
