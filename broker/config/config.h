// The configuration as the broker uses it: a tree of plain structs that holds the defaults.
//
// What each option means, its range and whether it can change while running stands in its row of
// option_list.cpp and in REFERENCE.md, which is made from those rows. A value is never checked
// twice: whoever holds a Config made by yaml_loader.h may rely on every range.
//
// Thread: values; a Config is copied, never shared for writing.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace quorate::broker {

using Milliseconds = std::chrono::milliseconds;

// What `never` reads as.
inline constexpr Milliseconds kNever = Milliseconds::max();

// A size in bytes: `64KiB`, `1MiB`.
struct ByteSize {
    uint64_t value = 0;
    constexpr auto operator<=>(const ByteSize&) const = default;
};
constexpr ByteSize kib(uint64_t n) {
    return {n * 1024};
}
constexpr ByteSize mib(uint64_t n) {
    return {n * 1024 * 1024};
}

// So many events in so much time: `100/s`, `10/min`; a count of 0 (`off`) is no limit.
struct Rate {
    uint64_t count = 0;
    Milliseconds per{1000};
    [[nodiscard]] constexpr bool off() const { return count == 0; }
    constexpr bool operator==(const Rate&) const = default;
};

// So many bytes a second: `1MiB/s`; 0 (`off`) is no limit.
struct ByteRate {
    uint64_t per_second = 0;
    [[nodiscard]] constexpr bool off() const { return per_second == 0; }
    constexpr bool operator==(const ByteRate&) const = default;
};

enum class Transport : uint8_t { Tcp, Tls, WebSocket, SecureWebSocket, Unix };
enum class VerifyClient : uint8_t { None, Optional, Require };

struct TlsFiles {
    std::string cert;  // PEM, with the chain
    std::string key;   // PEM
    std::string ca;    // PEM; whoever signs client certificates
    VerifyClient verify_client = VerifyClient::None;
    bool operator==(const TlsFiles&) const = default;
};

// tcp://host:port tls://host:port ws://host:port/path wss://host:port/path unix:///path
struct ListenerUrl {
    Transport transport = Transport::Tcp;
    std::string host;  // without the brackets of an IPv6 literal; empty for unix
    uint16_t port = 0;
    std::string path;  // of the socket (unix) or of the HTTP request (ws, wss; default /mqtt)
    bool operator==(const ListenerUrl&) const = default;

    [[nodiscard]] bool secure() const {
        return transport == Transport::Tls || transport == Transport::SecureWebSocket;
    }
    [[nodiscard]] bool web_socket() const {
        return transport == Transport::WebSocket || transport == Transport::SecureWebSocket;
    }
    // Reachable from this machine only.
    [[nodiscard]] bool local() const;  // in address.cpp, like text()
    [[nodiscard]] std::string text() const;
};

struct ListenerConfig {
    ListenerUrl url;
    TlsFiles tls;
    bool proxy_protocol = false;
    uint32_t max_connections = 100'000;
    std::vector<std::string> origins;  // of ws and wss; empty: any
    bool operator==(const ListenerConfig&) const = default;
};

// host:port; an empty host is never valid, an empty text means "none".
struct HostPort {
    std::string host;
    uint16_t port = 0;
    bool operator==(const HostPort&) const = default;
    [[nodiscard]] bool empty() const { return host.empty(); }
    // Reachable from this machine only.
    [[nodiscard]] bool local() const;
    // An address rather than a name.
    [[nodiscard]] bool numeric() const;
    [[nodiscard]] std::string text() const;
};

struct NodeConfig {
    std::string name;
    std::string data_dir = "./quorate-data";
    Milliseconds drain_timeout{30'000};
    uint32_t loops = 0;
    uint32_t workers = 0;
};

struct ClusterConfig {
    HostPort listen;  // empty: see listens_at()
    HostPort advertise;
    std::vector<std::string> seeds;
    uint32_t bootstrap_expect = 1;
    uint32_t shards = 64;
    uint32_t replication_factor = 3;
    uint32_t topic_hash_levels = 0;
    TlsFiles tls;
    bool allow_plaintext = false;
    uint64_t abandon = 0;

    // Whether this node is one of a cluster: it says where it is to be found, whom it looks for, or
    // with how many it begins. Otherwise it is alone and opens no link.
    [[nodiscard]] bool clustered() const;  // in address.cpp, like what follows
    [[nodiscard]] HostPort listens_at() const;
    // What others use to reach it.
    [[nodiscard]] HostPort reached_at() const;
};

struct AdminConfig {
    HostPort listen{"127.0.0.1", 7401};
    TlsFiles tls;
    std::string tokens_file;
};

struct MetricsConfig {
    HostPort listen{"127.0.0.1", 9641};
    uint32_t max_connections = 64;
};

// `always`: every batch is synced before it counts. `interval:100ms`: a power loss may cost that.
struct SyncPolicy {
    std::optional<Milliseconds> interval;
    bool operator==(const SyncPolicy&) const = default;
};

struct StorageConfig {
    SyncPolicy sync;
    ByteSize write_buffer = mib(64);
    ByteSize block_cache = mib(32);
    ByteSize flush_log_bytes = mib(256);
    Milliseconds flush_interval{60'000};
    uint32_t disk_high_water = 90;
    uint32_t disk_stop = 97;
};

enum class QueueFullOption : uint8_t { DropOldest, DropNewest };

struct MqttConfig {
    ByteSize max_packet_size = mib(1);
    ByteSize max_connect_packet_size = kib(64);
    uint32_t max_qos = 2;
    bool retain = true;
    bool wildcard = true;
    bool shared = true;
    uint32_t receive_maximum = 1024;
    uint32_t max_inflight = 1024;
    uint32_t topic_alias_maximum = 32;
    uint32_t topic_alias_maximum_out = 32;
    Milliseconds max_keep_alive{3'600'000};
    Milliseconds session_expiry_max{7LL * 24 * 3'600'000};
    Milliseconds message_expiry_max = kNever;
    uint32_t max_topic_levels = 64;
    ByteSize max_topic_bytes{4096};
    ByteSize max_client_id_bytes{256};
    uint32_t max_user_properties = 64;
    ByteSize max_user_property_bytes = kib(16);
    uint32_t max_subscriptions = 1000;
    uint32_t max_shared_groups = 1000;
    uint32_t max_queued_messages = 10'000;
    ByteSize max_queued_bytes = mib(64);
    QueueFullOption queue_full = QueueFullOption::DropOldest;
    bool queue_qos0 = false;
    uint32_t max_qos0_queue = 1000;
    Milliseconds publish_timeout{10'000};
    uint32_t max_outbox_messages = 100'000;
    uint64_t retained_max = 1'000'000;
    ByteSize retained_max_bytes = mib(1);
    uint32_t retained_scans = 16;
    uint32_t retained_scan_min_levels = 0;
    std::string response_information;
    Milliseconds sys_interval{10'000};
};

enum class SharedStrategy : uint8_t { RoundRobin, Random, HashClientId, HashTopic, Sticky };
enum class SharedHandover : uint8_t { SessionEnd, Disconnect };

struct SharedConfig {
    SharedStrategy strategy = SharedStrategy::RoundRobin;
    SharedHandover handover = SharedHandover::SessionEnd;
};

enum class AllowAnonymous : uint8_t { Auto, No, Yes };

struct AuthConfig {
    AllowAnonymous allow_anonymous = AllowAnonymous::Auto;
};

enum class RateExceeded : uint8_t { Wait, Disconnect };

struct LimitsConfig {
    Milliseconds connect_timeout{10'000};
    Rate connect_rate{1000, Milliseconds(1000)};
    Rate connect_rate_per_address{100, Milliseconds(1000)};
    uint32_t max_unauthenticated = 4096;
    ByteSize max_unauthenticated_bytes = mib(64);
    uint32_t max_tls_handshakes = 0;
    Rate takeover_rate{10, Milliseconds(60'000)};
    Rate auth_failure_rate{10, Milliseconds(60'000)};
    Rate publish_rate{0, Milliseconds(1000)};
    ByteRate publish_bytes;
    RateExceeded publish_rate_exceeded = RateExceeded::Wait;
    ByteSize output_buffer = mib(1);
    Milliseconds slow_reader_timeout{30'000};
    uint64_t max_sessions = 0;
    uint32_t fd_reserve = 256;
    ByteSize memory_high_water{0};
    ByteSize http_header = kib(8);
    Milliseconds loop_stall{10'000};
};

enum class LogLevelOption : uint8_t { Error, Warn, Info, Debug };
enum class LogFormatOption : uint8_t { Text, Json };

struct LogConfig {
    LogLevelOption level = LogLevelOption::Info;
    LogFormatOption format = LogFormatOption::Text;
    std::string file;
    uint32_t lines_per_second = 100;
};

struct Config {
    NodeConfig node;
    std::vector<ListenerConfig> listeners = {
        {{Transport::Tcp, "127.0.0.1", 1883, ""}, {}, false, 100'000, {}}};
    ClusterConfig cluster;
    AdminConfig admin;
    MetricsConfig metrics;
    StorageConfig storage;
    MqttConfig mqtt;
    SharedConfig shared;
    AuthConfig auth;
    LimitsConfig limits;
    LogConfig log;

    // auth.allow_anonymous with `auto` decided: true only while every listener is local.
    // yaml_loader.h refuses a configuration where `auto` decides nothing.
    [[nodiscard]] bool allow_anonymous() const;
};

}  // namespace quorate::broker
