#include "broker/app/settings.h"

#include <algorithm>
#include <array>
#include <limits>
#include <thread>

#include <unistd.h>

#include <climits>

#include "broker/app/memory_watch.h"
#include "proto/base/environment.h"

namespace quorate::broker {
namespace {

uint32_t seconds_or_never(Milliseconds time) {
    if (time == kNever) return kExpiryNever;
    return static_cast<uint32_t>(std::min<int64_t>(time.count() / 1000, int64_t{kExpiryNever} - 1));
}

constexpr uint32_t kWorkersMax = 256;  // as of the option

uint32_t cores() {
    return std::max(1U, std::thread::hardware_concurrency());
}

uint32_t count_of(const Rate& rate) {
    return static_cast<uint32_t>(
        std::min<uint64_t>(rate.count, std::numeric_limits<uint32_t>::max()));
}

TransportKind transport_kind(Transport transport) {
    switch (transport) {
        case Transport::Tcp:
            return TransportKind::Tcp;
        case Transport::Tls:
            return TransportKind::Tls;
        case Transport::WebSocket:
            return TransportKind::WebSocket;
        case Transport::SecureWebSocket:
            return TransportKind::WebSocketTls;
        case Transport::Unix:
            return TransportKind::Unix;
    }
    return TransportKind::Tcp;
}

cluster::SharedStrategy strategy(SharedStrategy from) {
    switch (from) {
        case SharedStrategy::RoundRobin:
            return cluster::SharedStrategy::RoundRobin;
        case SharedStrategy::Random:
            return cluster::SharedStrategy::Random;
        case SharedStrategy::HashClientId:
            return cluster::SharedStrategy::HashClientId;
        case SharedStrategy::HashTopic:
            return cluster::SharedStrategy::HashTopic;
        case SharedStrategy::Sticky:
            return cluster::SharedStrategy::Sticky;
    }
    return cluster::SharedStrategy::RoundRobin;
}

ConnectLimits connect_limits(const Config& config) {
    const Rate& loop = config.limits.connect_rate;
    const Rate& address = config.limits.connect_rate_per_address;
    return {count_of(loop), count_of(address), loop.per, address.per};
}

uint32_t handshakes_open_max(const Config& config, uint16_t loops) {
    const uint32_t asked = config.limits.max_tls_handshakes;
    if (asked == 0) return EventLoopOptions().handshakes_open_max;
    return std::max<uint32_t>(1, asked / loops);
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

cluster::NodeOptions node_options(const Config& config) {
    const ClusterConfig& from = config.cluster;
    cluster::NodeOptions options;
    options.clustered = from.clustered();
    options.name = node_name(config);
    options.listen = from.listens_at().text();
    options.advertise = from.reached_at().text();
    options.seeds = from.seeds;
    options.expect = from.bootstrap_expect;
    options.replication_factor = from.replication_factor;
    if (!from.tls.cert.empty()) options.tls = {from.tls.cert, from.tls.key, from.tls.ca};
    options.allow_plaintext = from.allow_plaintext;
    options.abandoned = from.abandon;
    return options;
}

}  // namespace

uint16_t loop_count(const Config& config) {
    const uint32_t asked = config.node.loops != 0 ? config.node.loops : cores();
    return static_cast<uint16_t>(std::min<uint32_t>(asked, cluster::kLoopsMax));
}

std::string node_name(const Config& config) {
    if (!config.node.name.empty()) return config.node.name;
    std::array<char, HOST_NAME_MAX + 1> host{};
    std::string name = "quorate";
    if (::gethostname(host.data(), host.size() - 1) == 0 && host[0] != '\0') name = host.data();
    const HostPort listen = config.cluster.listens_at();
    if (!config.cluster.clustered() || !listen.local()) return name;
    return name + "-" + std::to_string(listen.port);
}

FrontEndOptions front_end_options(const Config& config, uint16_t loops) {
    const MqttConfig& mqtt = config.mqtt;
    FrontEndOptions options;
    ChannelLimits& limits = options.limits;
    limits.max_packet_size = static_cast<uint32_t>(mqtt.max_packet_size.value);
    limits.max_connect_size = static_cast<uint32_t>(mqtt.max_connect_packet_size.value);
    limits.decode.client_id_bytes_max = static_cast<uint32_t>(mqtt.max_client_id_bytes.value);
    limits.decode.topics.bytes_max = static_cast<uint32_t>(mqtt.max_topic_bytes.value);
    limits.decode.topics.levels_max = mqtt.max_topic_levels;
    limits.decode.properties.user_properties_max = mqtt.max_user_properties;
    limits.decode.properties.user_property_bytes_max =
        static_cast<uint32_t>(mqtt.max_user_property_bytes.value);
    limits.decode.topic_alias_maximum = static_cast<uint16_t>(mqtt.topic_alias_maximum);
    limits.max_qos = static_cast<mqtt::QoS>(mqtt.max_qos);
    limits.retain_available = mqtt.retain;
    limits.wildcard_available = mqtt.wildcard;
    limits.shared_available = mqtt.shared;
    limits.receive_maximum = static_cast<uint16_t>(mqtt.receive_maximum);
    limits.max_inflight_out = static_cast<uint16_t>(mqtt.max_inflight);
    limits.topic_alias_maximum_out = static_cast<uint16_t>(mqtt.topic_alias_maximum_out);
    limits.max_keep_alive =
        mqtt.max_keep_alive == kNever
            ? std::chrono::seconds(0)
            : std::chrono::duration_cast<std::chrono::seconds>(mqtt.max_keep_alive);
    limits.session_expiry_max = seconds_or_never(mqtt.session_expiry_max);
    limits.connect_timeout = config.limits.connect_timeout;
    limits.max_queued_messages = mqtt.max_queued_messages;
    limits.max_queued_bytes = mqtt.max_queued_bytes.value;
    limits.queue_full = mqtt.queue_full == QueueFullOption::DropOldest ? QueueFull::DropOldest
                                                                       : QueueFull::DropNewest;
    limits.max_output_bytes = config.limits.output_buffer.value;
    limits.response_topic_prefix = mqtt.response_information;
    options.subscriptions.subscriptions_max = mqtt.max_subscriptions;
    options.subscriptions.shared_max = mqtt.max_shared_groups;
    options.subscriptions.scan_levels_min = mqtt.retained_scan_min_levels;
    options.subscriptions.scans_max = std::max<uint32_t>(1, mqtt.retained_scans / loops);
    options.allow_anonymous = config.allow_anonymous();
    options.takeovers = static_cast<uint32_t>(config.limits.takeover_rate.count);
    options.takeover_period = config.limits.takeover_rate.per;
    options.retained_bytes_max = config.mqtt.retained_max_bytes.value;
    options.publish_rate = count_of(config.limits.publish_rate);
    options.publish_period = config.limits.publish_rate.per;
    options.publish_rate_ends = config.limits.publish_rate_exceeded == RateExceeded::Disconnect;
    options.publish_bytes_rate = config.limits.publish_bytes.per_second;
    options.publish_timeout = mqtt.publish_timeout;
    options.unauthenticated_max = config.limits.max_unauthenticated;
    options.unauthenticated_bytes_max = config.limits.max_unauthenticated_bytes.value;
    options.sessions_max = config.limits.max_sessions;
    options.message_expiry_max_s = seconds_or_never(mqtt.message_expiry_max);
    options.expire_qos0 = mqtt.queue_qos0;
    options.write_stall_timeout = bounded(config.limits.slow_reader_timeout);
    options.handshakes_open_max = handshakes_open_max(config, loops);
    options.connect_limits = connect_limits(config);
    options.reserved_descriptors = config.limits.fd_reserve;
    return options;
}

storage::DiskMarks disk_marks(const Config& config) {
    return {config.storage.disk_high_water, config.storage.disk_stop};
}

cluster::ClusterOptions cluster_options(const Config& config, uint16_t loops) {
    cluster::ClusterOptions options;
    options.host.storage.data_dir = config.node.data_dir;
    options.host.storage.state_memtable_bytes = config.storage.write_buffer.value;
    options.host.storage.log_memtable_bytes = config.storage.write_buffer.value;
    options.host.storage.block_cache_bytes = config.storage.block_cache.value;
    options.host.disk_marks = disk_marks(config);
    options.host.flush_log_bytes = config.storage.flush_log_bytes.value;
    options.host.flush_age = config.storage.flush_interval;
    if (config.storage.sync.interval) {
        options.host.storage.log_sync_interval = true;
        options.host.sync_interval = *config.storage.sync.interval;
    }
    options.host.workers =
        config.node.workers != 0 ? config.node.workers : std::min(cores(), kWorkersMax);
    options.loops = loops;
    options.node = node_options(config);
    options.layout = {config.cluster.shards, config.cluster.topic_hash_levels};
    cluster::ShardOptions& shard = options.shard;
    shard.queue_messages_max = config.mqtt.max_queued_messages;
    shard.queue_bytes_max = config.mqtt.max_queued_bytes.value;
    shard.queue_full = config.mqtt.queue_full == QueueFullOption::DropOldest
                           ? cluster::QueuePolicy::DropOldest
                           : cluster::QueuePolicy::DropNewest;
    shard.queue_qos0 = config.mqtt.queue_qos0;
    shard.kept_qos0_max = config.mqtt.max_qos0_queue;
    // Four full queues over all shards, so that many sessions that are away cannot fill memory.
    shard.kept_qos0_bytes_max = std::max<uint64_t>(
        1U << 20U, 4 * config.mqtt.max_queued_bytes.value / config.cluster.shards);
    shard.subscriptions_max = config.mqtt.max_subscriptions;
    shard.outbox_entries_max = config.mqtt.max_outbox_messages;
    shard.retained_max = config.mqtt.retained_max;
    options.retained_max = config.mqtt.retained_max;
    shard.shared_handover_on_disconnect = config.shared.handover == SharedHandover::Disconnect;
    options.shared_member_window = config.mqtt.max_inflight;
    options.shared_strategy = strategy(config.shared.strategy);
    options.seed = system_seed();
    return options;
}

EventLoopOptions event_loop_options(const Config& config) {
    EventLoopOptions options;
    options.input_bytes_max = std::max<std::size_t>(config.mqtt.max_packet_size.value,
                                                    config.mqtt.max_connect_packet_size.value) +
                              131'072;
    options.write_stall_timeout = bounded(config.limits.slow_reader_timeout);
    options.handshakes_open_max = handshakes_open_max(config, loop_count(config));
    // Below what makes a channel wait: told earlier, it would only ask again.
    options.output_low_water_bytes = std::min<std::size_t>(options.output_low_water_bytes,
                                                           config.limits.output_buffer.value / 2);
    return options;
}

ListenerOptions listener_options(const Config& config, const ListenerConfig& listener,
                                 uint16_t index) {
    ListenerOptions options;
    options.index = index;
    options.address.kind = transport_kind(listener.url.transport);
    options.address.host = listener.url.host == "localhost" ? "127.0.0.1" : listener.url.host;
    options.address.port = listener.url.port;
    options.address.path = listener.url.path;
    options.proxy_protocol = listener.proxy_protocol;
    options.connections_max = listener.max_connections;
    options.connect_limits = connect_limits(config);
    options.websocket.origins = listener.origins;
    options.websocket.header_bytes_max = config.limits.http_header.value;
    options.websocket.frame_bytes_max =
        std::max(config.mqtt.max_packet_size.value, config.mqtt.max_connect_packet_size.value);
    options.reserved_descriptors = config.limits.fd_reserve;
    return options;
}

LogOptions log_options(const LogConfig& log) {
    LogOptions options;
    options.level = log_level(log.level);
    options.format = log.format == LogFormatOption::Json ? LogFormat::Json : LogFormat::Text;
    options.file = log.file;
    options.lines_per_second = log.lines_per_second;
    return options;
}

Milliseconds bounded(Milliseconds time) {
    return std::min<Milliseconds>(time, std::chrono::hours(24 * 365 * 100));
}

uint64_t memory_high_water(const Config& config) {
    const uint64_t asked = config.limits.memory_high_water.value;
    return asked != 0 ? asked : machine_memory() / 4 * 3;
}

TlsOptions tls_options(const TlsFiles& files) {
    TlsOptions options;
    options.certificate_file = files.cert;
    options.key_file = files.key;
    options.ca_file = files.ca;
    switch (files.verify_client) {
        case VerifyClient::None:
            options.verify_client = ClientCertificate::None;
            break;
        case VerifyClient::Optional:
            options.verify_client = ClientCertificate::Optional;
            break;
        case VerifyClient::Require:
            options.verify_client = ClientCertificate::Require;
            break;
    }
    return options;
}

}  // namespace quorate::broker
