#include "broker/config/option_list.h"

#include <algorithm>
#include <array>
#include <limits>

namespace quorate::broker {
namespace {

constexpr std::array<std::string_view, 3> kVerifyNames = {"none", "optional", "require"};
constexpr std::array<std::string_view, 2> kQueueFullNames = {"drop_oldest", "drop_newest"};
constexpr std::array<std::string_view, 5> kStrategyNames = {
    "round_robin", "random", "hash_clientid", "hash_topic", "sticky"};
constexpr std::array<std::string_view, 2> kRateExceededNames = {"wait", "disconnect"};
constexpr std::array<std::string_view, 2> kHandoverNames = {"session_end", "disconnect"};
constexpr std::array<std::string_view, 3> kAnonymousNames = {"auto", "false", "true"};
constexpr std::array<std::string_view, 4> kLevelNames = {"error", "warn", "info", "debug"};
constexpr std::array<std::string_view, 2> kFormatNames = {"text", "json"};

// An enum class over uint8_t may be written through its storage, because uint8_t aliases anything.
template <typename Enum>
OptionRef choice(Enum& value, std::span<const std::string_view> names) {
    static_assert(sizeof(Enum) == 1);
    return ChoiceRef{reinterpret_cast<uint8_t*>(&value), names};
}

constexpr uint64_t kCountMax = std::numeric_limits<uint32_t>::max();
constexpr uint64_t kNeverMax = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
constexpr uint64_t kSecond = 1000;
constexpr uint64_t kMinute = 60 * kSecond;
constexpr uint64_t kHour = 60 * kMinute;
constexpr uint64_t kKib = 1024;
constexpr uint64_t kMib = 1024 * kKib;
constexpr uint64_t kTib = 1024 * 1024 * kMib;

// The path is the member's own name, so that both cannot differ.
#define OPTION(member, min, max, change, text)                                               \
    OptionRow {                                                                              \
        #member, [](Config& c) -> OptionRef { return &c.member; }, min, max, Change::change, \
            false, text                                                                      \
    }
#define CHOICE(member, names, change, text)                                            \
    OptionRow {                                                                        \
        #member, [](Config& c) -> OptionRef { return choice(c.member, names); }, 0, 0, \
            Change::change, false, text                                                \
    }

constexpr auto kRows = std::to_array<OptionRow>({
    OPTION(
        node.name, 0, 0, Restart,
        "Name of this node in logs and status, and of its certificate for links; in a cluster of "
        "its own. Empty: the host's name, and on loopback the port of `cluster.listen` as well, "
        "so that several nodes of one machine differ."),
    OPTION(node.data_dir, 0, 0, Restart,
           "Directory of everything durable; made with mode 0700. One process holds it at a time."),
    OPTION(node.drain_timeout, 0, kHour, Live,
           "How long a stop waits for clients to be told and handed over before it cuts them off."),
    OPTION(node.loops, 0, 64, Restart, "Front-end loops (threads); 0: one a core, 64 at most."),
    OPTION(node.workers, 0, 256, Restart,
           "Shard workers (threads); 0: one a core. More of them than shards have nothing to do."),
    OPTION(listeners, 0, 64, Restart,
           "Where MQTT clients connect; see the table of listener keys. On SIGHUP the certificates "
           "are read again and `max_connections` takes effect."),

    OPTION(
        cluster.listen, 0, 0, Restart,
        "Address of the links between nodes, a numeric one. A node is one of a cluster when this "
        "is set, or `cluster.seeds`, or `cluster.bootstrap_expect` is above 1; then empty means "
        "127.0.0.1:7400. Otherwise it is alone and opens no link."),
    OPTION(cluster.advertise, 0, 0, Restart,
           "Address that other nodes use to reach this one; empty: `cluster.listen`. Needed when "
           "that is every address of the machine."),
    OPTION(cluster.seeds, 0, 64, Restart,
           "host:port of any nodes of the cluster, names or addresses. A node with an empty disk "
           "finds through them a cluster to join, or the others to form one with."),
    OPTION(cluster.bootstrap_expect, 1, 64, Bootstrap,
           "Nodes with empty disks that must see each other to form a new cluster. With one it is "
           "formed by a node whose seeds are empty, or none but itself."),
    OPTION(cluster.shards, 1, 512, Bootstrap,
           "Shards that the client ids and topics are spread over. Of a cluster: what the node "
           "that proposed it said."),
    OPTION(cluster.replication_factor, 1, 7, Restart,
           "Copies of each shard, the largest odd number of nodes at most; a single node holds one "
           "whatever this says."),
    OPTION(cluster.topic_hash_levels, 0, 64, Bootstrap,
           "How many first levels of a topic choose its shard; 0: the whole topic."),
    OPTION(cluster.tls.cert, 0, 0, Restart,
           "Certificate for links, PEM. It names the node as a URI, quorate:///name/NAME or "
           "quorate://CLUSTER/node/ID. The three files are read again when they change."),
    OPTION(cluster.tls.key, 0, 0, Restart, "Key of that certificate, PEM."),
    OPTION(cluster.tls.ca, 0, 0, Restart, "Authority that signs the certificates of nodes, PEM."),
    OPTION(cluster.allow_plaintext, 0, 0, Restart,
           "Whether links without TLS may leave the machine. Whoever reaches them is a node then."),
    OPTION(cluster.abandon, 0, std::numeric_limits<uint64_t>::max(), Restart,
           "Number of a cluster that is given up for good, because the disks of a majority are "
           "lost: its members count for nothing any more, and a disk of it is not used. Only an "
           "operator can know that; 0: none."),

    OPTION(admin.listen, 0, 0, Restart, "Address of the administration service."),
    OPTION(admin.tls.cert, 0, 0, Restart, "Certificate of the administration service, PEM."),
    OPTION(admin.tls.key, 0, 0, Restart, "Key of that certificate, PEM."),
    OPTION(admin.tls.ca, 0, 0, Restart, "Authority that signs administrators' certificates, PEM."),
    CHOICE(admin.tls.verify_client, kVerifyNames, Restart,
           "Whether administrators show a certificate."),
    OPTION(admin.tokens_file, 0, 0, Restart, "File with the tokens of administrators, mode 0600."),

    OPTION(metrics.listen, 0, 0, Restart,
           "Address of /metrics, /healthz and /readyz; empty: none."),
    OPTION(metrics.max_connections, 1, 1024, Restart,
           "Connections to that address at a time; further ones are closed."),

    OPTION(storage.sync, 0, 0, Restart,
           "When the log is forced to disk. `always`: before anything counts as done. "
           "`interval:100ms` is weaker: a power loss may cost what that time acknowledged."),
    OPTION(storage.write_buffer, kMib, 4096 * kMib, Restart,
           "Memory of a RocksDB write buffer; up to three exist."),
    OPTION(storage.block_cache, kMib, kTib, Restart, "Memory for blocks read from disk."),
    OPTION(storage.flush_log_bytes, kMib, kTib, Restart,
           "Log length above which the state is flushed so that the log can be cut; bounds the "
           "time a restart takes."),
    OPTION(storage.flush_interval, kSecond, 24 * kHour, Restart,
           "The state is flushed at least this often while it changes."),
    OPTION(storage.disk_high_water, 1, 100, Live,
           "Percent of the file system in use above which work that grows the data is refused "
           "(0x97)."),
    OPTION(storage.disk_stop, 1, 100, Live,
           "Percent above which work that frees or repairs is refused as well."),

    OPTION(mqtt.max_packet_size, 128, 268'435'460, Restart,
           "Largest packet a client may send; announced to MQTT 5 clients. Larger: 0x95."),
    OPTION(mqtt.max_connect_packet_size, 128, kMib, Live,
           "Largest CONNECT packet, because it comes before authentication."),
    OPTION(mqtt.max_qos, 0, 2, Restart,
           "Highest QoS clients may publish with. Higher: 0x9B; subscriptions are granted less."),
    OPTION(mqtt.retain, 0, 0, Restart, "Whether retained messages are available. If not: 0x9A."),
    OPTION(mqtt.wildcard, 0, 0, Restart,
           "Whether filters with wildcards are available. If not: 0xA2."),
    OPTION(mqtt.shared, 0, 0, Restart, "Whether shared subscriptions are available. If not: 0x9E."),
    OPTION(mqtt.receive_maximum, 1, 65'535, Live,
           "Unacknowledged QoS 1 and 2 messages a client may have sent. More: 0x93; a version 3 "
           "client waits while the broker owes it so many answers."),
    OPTION(mqtt.max_inflight, 1, 65'535, Restart,
           "Unacknowledged QoS 1 and 2 messages sent to a client; an MQTT 5 client's Receive "
           "Maximum may lower it."),
    OPTION(mqtt.topic_alias_maximum, 0, 65'535, Restart,
           "Topic aliases a client may set. Higher: 0x94."),
    OPTION(mqtt.topic_alias_maximum_out, 0, 65'535, Live,
           "Topic aliases set towards a client that allows them."),
    OPTION(mqtt.max_keep_alive, kSecond, 65'535 * kSecond, Live,
           "Longest keep-alive. MQTT 5 clients are told (Server Keep Alive); others, and those "
           "that ask for none, are closed after 1.5 times this."),
    OPTION(mqtt.session_expiry_max, 0, kNeverMax, Live,
           "Longest life of a session without its client, also of MQTT 3 sessions with Clean "
           "Session 0."),
    OPTION(mqtt.message_expiry_max, kSecond, kNeverMax, Live,
           "Longest life of a message of QoS 1 and 2, of a retained one and of a will: a longer or "
           "missing Message Expiry Interval is brought down to it."),
    OPTION(mqtt.max_topic_levels, 1, 1024, Live, "Levels of a topic or filter. More: 0x90, 0x8F."),
    OPTION(mqtt.max_topic_bytes, 1, 65'535, Live, "Length of a topic or filter."),
    OPTION(mqtt.max_client_id_bytes, 23, 65'535, Live,
           "Length of a client identifier. Longer: 0x85."),
    OPTION(mqtt.max_user_properties, 0, 65'535, Live, "User properties of a packet. More: 0x97."),
    OPTION(mqtt.max_user_property_bytes, 0, kMib, Live,
           "Length of all user properties of a packet. More: 0x97."),
    OPTION(mqtt.max_subscriptions, 1, kCountMax, Restart, "Subscriptions of a client. More: 0x97."),
    OPTION(mqtt.max_shared_groups, 0, kCountMax, Live,
           "Shared subscriptions of a client. More: 0x97."),
    OPTION(mqtt.max_queued_messages, 1, kCountMax, Restart,
           "Messages of QoS 1 and 2 that wait for a client."),
    OPTION(mqtt.max_queued_bytes, kKib, kTib, Restart, "Bytes of those messages."),
    CHOICE(mqtt.queue_full, kQueueFullNames, Restart,
           "What a full queue drops; each drop is counted."),
    OPTION(
        mqtt.queue_qos0, 0, 0, Restart,
        "Whether QoS 0 messages are kept in memory for a session whose client is away. A restart "
        "of the broker loses them. A client that is connected and reads too slowly goes without, "
        "whatever is set here."),
    OPTION(mqtt.max_qos0_queue, 0, kCountMax, Restart,
           "QoS 0 messages kept so for one session; more: the oldest is dropped, and counted."),
    OPTION(mqtt.publish_timeout, 100, kHour, Live,
           "How long a PUBLISH may wait for its quorum before it is refused (0x97; version 3: the "
           "connection is closed)."),
    OPTION(mqtt.max_outbox_messages, 1, kCountMax, Restart,
           "Messages a shard has accepted at QoS 2 and not yet handed over. More: 0x97."),
    OPTION(mqtt.retained_max, 0, kNeverMax, Restart, "Retained messages of the whole broker."),
    OPTION(mqtt.retained_max_bytes, 0, 268'435'460, Live,
           "Size of one retained message. Larger: 0x97."),
    OPTION(mqtt.retained_scans, 1, 65'535, Live,
           "Scans of retained messages at a time; further subscriptions wait for theirs."),
    OPTION(mqtt.retained_scan_min_levels, 0, 64, Live,
           "Literal levels that a filter with wildcards needs before the first of them to be sent "
           "retained messages."),
    OPTION(mqtt.response_information, 0, 0, Live,
           "Sent as Response Information to MQTT 5 clients that ask; empty: none."),
    OPTION(mqtt.sys_interval, kSecond, kNeverMax, Live,
           "How often $SYS topics are published; `never`: not at all."),

    CHOICE(shared.strategy, kStrategyNames, Restart,
           "How a shared subscription picks the member that gets a message."),
    CHOICE(shared.handover, kHandoverNames, Restart,
           "When unacknowledged QoS 1 messages of a member go to another: at the end of its "
           "session, or as soon as it disconnects."),

    CHOICE(auth.allow_anonymous, kAnonymousNames, Live,
           "Whether clients may connect without credentials. `auto`: yes while every listener is "
           "bound to loopback or a Unix socket; otherwise the start is refused until this says "
           "true or false."),

    OPTION(limits.connect_timeout, 100, 10 * kMinute, Live,
           "From the accept of a socket to a complete CONNECT, TLS and HTTP included."),
    OPTION(limits.connect_rate, 0, kCountMax, Live,
           "New connections a core; further ones wait in the backlog of the socket."),
    OPTION(limits.connect_rate_per_address, 0, kCountMax, Live,
           "New connections of one address; further ones are reset. Switch it off behind a proxy "
           "that hides addresses."),
    OPTION(limits.max_unauthenticated, 1, kCountMax, Live,
           "Sockets that have not completed CONNECT; the newest is closed."),
    OPTION(limits.max_unauthenticated_bytes, kMib, kTib, Live,
           "Bytes received on those sockets and not yet used; whoever exceeds it is closed."),
    OPTION(limits.max_tls_handshakes, 0, kCountMax, Live,
           "TLS connections whose handshake is open; above it new ones wait in the backlog. 0: 500 "
           "a loop. Whatever is set here, at most four a loop are computed in one turn, which is "
           "four a core."),
    OPTION(limits.takeover_rate, 0, kCountMax, Live,
           "How often one client id may take its session over before it is slowed down."),
    OPTION(limits.auth_failure_rate, 0, kCountMax, Live,
           "Failed authentications of one user and address; more: refused unseen (0x8A) until the "
           "rate allows another attempt."),
    OPTION(
        limits.publish_rate, 0, kCountMax, Live,
        "PUBLISH packets of one client; above it limits.publish_rate_exceeded says what happens."),
    OPTION(limits.publish_bytes, 0, kTib, Live,
           "PUBLISH bytes of one client; above it limits.publish_rate_exceeded says what happens."),
    CHOICE(limits.publish_rate_exceeded, kRateExceededNames, Live,
           "`wait`: the broker stops taking PUBLISH of a client above its rate until the rate "
           "allows it. `disconnect`: its connection is ended (0x96)."),
    OPTION(limits.output_buffer, kKib, 4096 * kMib, Live,
           "Bytes that wait to be written to one client; above it QoS 0 messages are dropped."),
    OPTION(limits.slow_reader_timeout, kSecond, kNeverMax, Live,
           "A client that reads nothing for so long while bytes wait is closed."),
    OPTION(limits.max_sessions, 0, kNeverMax, Live,
           "Sessions of the whole broker; 0: no limit. At the limit new ones get 0x97 at CONNECT, "
           "those that exist are resumed; connects that come at one moment may pass it together."),
    OPTION(limits.fd_reserve, 16, 65'535, Live,
           "File descriptors kept for the disk and administration; at the reserve no client is "
           "accepted."),
    OPTION(limits.memory_high_water, 0, kTib * 1024, Live,
           "Memory the broker may use: at 70 percent it stops reading publishers, at 80 it refuses "
           "connects (0x89), at 90 it closes the clients with the largest buffers. 0: three "
           "quarters of what the machine or its container has."),
    OPTION(limits.http_header, 512, 64 * kKib, Restart,
           "Length of the head of an HTTP request, WebSocket upgrades included."),
    OPTION(limits.loop_stall, kSecond, kNeverMax, Live,
           "A front-end loop that stands still for so long ends the process."),

    CHOICE(log.level, kLevelNames, Live, "What is written: this level and those before it."),
    CHOICE(log.format, kFormatNames, Restart, "How a line looks."),
    OPTION(log.file, 0, 0, Restart,
           "File to append to, opened again on SIGHUP; empty: standard output."),
    OPTION(log.lines_per_second, 0, kCountMax, Restart,
           "Lines of one cause in a second; what is held back is counted; 0: no limit."),
});

#undef OPTION
#undef CHOICE

// Levenshtein distance; paths are short.
size_t edits(std::string_view from, std::string_view to) {
    std::vector<size_t> row(to.size() + 1);
    for (size_t i = 0; i <= to.size(); ++i)
        row[i] = i;
    for (size_t i = 1; i <= from.size(); ++i) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= to.size(); ++j) {
            const size_t above = row[j];
            const size_t change = diagonal + (from[i - 1] == to[j - 1] ? 0U : 1U);
            row[j] = std::min({row[j - 1] + 1, above + 1, change});
            diagonal = above;
        }
    }
    return row[to.size()];
}

}  // namespace

std::span<const OptionRow> option_rows() {
    return kRows;
}

OptionRef verify_ref(VerifyClient& value) {
    return choice(value, kVerifyNames);
}

const OptionRow* find_option(std::string_view path) {
    const auto row = std::ranges::find(kRows, path, &OptionRow::path);
    return row == kRows.end() ? nullptr : &*row;
}

std::string_view nearest_option(std::string_view path) {
    constexpr size_t kPathBytesMax = 128;
    if (path.size() > kPathBytesMax) return {};
    std::string_view best;
    size_t best_edits = std::max<size_t>(2, path.size() / 4) + 1;
    for (const OptionRow& row : kRows) {
        // The right name in the wrong section counts as one edit.
        const std::string_view name = row.path.substr(row.path.rfind('.') + 1);
        const std::string_view given = path.substr(path.rfind('.') + 1);
        const size_t moved = name == given ? 1 : std::numeric_limits<size_t>::max();
        const size_t cost = std::min(edits(path, row.path), moved);
        if (cost < best_edits) {
            best_edits = cost;
            best = row.path;
        }
        // A whole section may be misspelt.
        const std::string_view section = row.path.substr(0, row.path.find('.'));
        if (const size_t section_cost = edits(path, section); section_cost < best_edits) {
            best_edits = section_cost;
            best = section;
        }
    }
    return best;
}

}  // namespace quorate::broker
