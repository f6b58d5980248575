// The broker while it runs: overload, reload, drain, what it says of itself.
#include <algorithm>
#include <utility>

#include <unistd.h>

#include "broker/app/broker.h"
#include "broker/app/memory_watch.h"
#include "broker/app/settings.h"
#include "broker/config/reload.h"
#include "proto/base/assert.h"

namespace quorate::broker {
namespace {

constexpr std::chrono::milliseconds kDrainPoll{5};
// Longer than a ticket lives, shorter than RFC 9325 §4.3 asks for.
constexpr std::chrono::hours kTicketKeyLife{24};

}  // namespace

int64_t Broker::milliseconds_since(std::chrono::nanoseconds then) const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(clock_.now() - then).count();
}

void Broker::log_starting() const {
    const auto options = std::ranges::count_if(sources_.environment, [](const std::string& each) {
        return each.starts_with("QUORATE_") && each.find("__") < each.find('=');
    });
    log_.info("starting", {{"version", build_.version},
                           {"revision", build_.revision},
                           {"pid", ::getpid()},
                           {"data_dir", config_.node.data_dir},
                           {"config_file", sources_.file},
                           {"config_environment", options},
                           {"config_sets", sources_.sets.size()},
                           {"memory_high_water", memory_limit_.load()},
                           {"sync", config_.storage.sync.interval ? "interval" : "always"}});
    uint64_t own = 0;
    for (const MemoryBound& bound : memory_bounds(config_))
        own += bound.bytes;
    if (own > memory_limit_.load() / 10 * 7) {
        log_.warn("the node itself may use the memory that publishers need: see limits, storage",
                  {{"own_bytes", own}, {"memory_high_water", memory_limit_.load()}});
    }
}

void Broker::note_limits() {
    memory_limit_.store(memory_high_water(config_));
    loop_stall_.store(bounded(config_.limits.loop_stall));
    const Rate& failures = config_.limits.auth_failure_rate;
    status_.auth_failures.set_rate(failures.count, failures.per);
}

void Broker::watch_memory() {
    const uint64_t limit = memory_limit_.load();
    const uint64_t used = resident_bytes();
    const uint8_t level = overload_level(used, limit);
    const uint8_t before = status_.overload.exchange(level);
    if (level != before) {
        log_.warn("memory pressure changed", {{"level", static_cast<unsigned>(level)},
                                              {"used_bytes", used},
                                              {"limit_bytes", limit}});
    }
    constexpr uint8_t kShed = 3;
    if (level < kShed) return;
    const uint64_t share = excess_bytes(used, limit) / loops_.size() + 1;
    for (auto& made : loops_) {
        made->front_end->post([&front_end = *made->front_end, share] { front_end.shed(share); });
    }
}

void Broker::publish_sys_topics() {
    if (config_.mqtt.sys_interval == kNever || !config_.mqtt.retain) return;
    const auto now = clock_.now();
    if (now - sys_published_ < config_.mqtt.sys_interval && sys_published_.count() != 0) return;
    sys_published_ = now;
    // What went to owners that were not there is published again, whether or not it has changed.
    const bool ready = readiness().ready;
    const bool again = ready && !std::exchange(was_ready_, ready);
    const auto uptime = std::chrono::duration_cast<std::chrono::seconds>(now - started_).count();
    FrontEnd& front_end = *loops_.front()->front_end;
    front_end.post([this, &front_end, uptime, again] {
        if (again) sys_topics_->forget();
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

void Broker::rotate_ticket_keys() {
    const auto now = clock_.now();
    if (now - tickets_rotated_ < kTicketKeyLife) return;
    tickets_rotated_ = now;
    for (const auto& slot : tls_) {
        if (slot != nullptr) slot->get()->rotate_ticket_keys();
    }
}

void Broker::supervise() {
    if (!alive()) QUORATE_FATAL("a front-end loop stands still: a bug, or a machine without time");
    watch_memory();
    publish_sys_topics();
    rotate_ticket_keys();
    logger_.report_suppressed();
}

void Broker::reload() {
    // The file first: a rotated log is opened anew whatever the configuration says.
    logger_.reopen();
    ConfigPlaces places;
    auto loaded = load_config(sources_, &places);
    if (!loaded.ok()) {
        own_metrics_.add<Metric::ConfigReload>(ResultLabel::Failed);
        log_.error("the configuration was not reloaded; the old one stays",
                   {{"error", loaded.error().message}});
        return;
    }
    Reload merged = merge_reload(config_, *loaded, places);
    const bool certificates = reload_certificates(merged.config);
    for (const ReloadChange& change : merged.refused) {
        log_.warn("an option cannot change while the broker runs; the old value stays",
                  {{"option", change.option}, {"at", change.place}});
    }
    for (const ReloadChange& change : merged.applied)
        log_.info("option changed", {{"option", change.option}, {"at", change.place}});
    config_ = std::move(merged.config);
    apply_limits();
    const bool complete = certificates && merged.refused.empty();
    own_metrics_.add<Metric::ConfigReload>(complete ? ResultLabel::Ok : ResultLabel::Failed);
    log_.info("configuration reloaded", {{"complete", complete},
                                         {"changed", merged.applied.size()},
                                         {"refused", merged.refused.size()}});
}

bool Broker::reload_certificates(Config& config) {
    bool good = true;
    for (std::size_t i = 0; i < tls_.size(); ++i) {
        if (tls_[i] == nullptr) continue;
        ListenerConfig& listener = config.listeners[i];
        if (Status status = tls_[i]->reload(tls_options(listener.tls)); !status.ok()) {
            good = false;
            listener.tls = config_.listeners[i].tls;
            log_.error("certificates were not reloaded; the old ones stay",
                       {{"listener", listener.url.text()}, {"error", status.error().message}});
        }
    }
    return good;
}

void Broker::apply_limits() {
    note_limits();
    cluster_->host().set_disk_marks(disk_marks(config_));
    logger_.set_level(log_options(config_.log).level);
    for (std::size_t i = 0; i < listener_groups_.size(); ++i)
        listener_groups_[i]->set_connections_max(config_.listeners[i].max_connections);
    const FrontEndOptions options =
        front_end_options(config_, static_cast<uint16_t>(loops_.size()));
    for (auto& made : loops_) {
        made->front_end->post(
            [&front_end = *made->front_end, options] { front_end.reconfigure(options); });
    }
}

void Broker::drain(const std::function<bool()>& interrupted) {
    if (loops_.empty() || stopped_) return;
    status_.draining.store(true);
    std::size_t left = 0;
    for (auto& made : loops_)
        left += made->front_end->clients();
    log_.info("draining", {{"clients", left}, {"at_most_ms", config_.node.drain_timeout.count()}});
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
    log_.warn("stopping with clients that were not done", {{"clients", left}});
}

}  // namespace quorate::broker
