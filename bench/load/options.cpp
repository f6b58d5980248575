#include "bench/load/options.h"

#include <cstdio>
#include <map>
#include <optional>
#include <random>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace quorate::bench {
namespace {

constexpr std::uint32_t kPayloadBytesMax = 268'000'000;
constexpr std::uint32_t kWindowMax = 65'000;
// Loads with fewer messages on their way than this are about latency, and get no pause by default.
constexpr std::uint64_t kGatherOutstandingMin = 64;
constexpr std::uint32_t kGatherMicros = 50;

const std::map<std::string, Mode> kModes = {
    {"pairs", Mode::pairs},       {"fanin", Mode::fanin}, {"fanout", Mode::fanout},
    {"shared", Mode::shared},     {"conns", Mode::conns}, {"retained", Mode::retained},
    {"sessions", Mode::sessions},
};

// As typed; what is absent gets the default of the mode.
struct Typed {
    std::string mode;
    std::vector<std::string> hosts = {"127.0.0.1:1883"};
    std::optional<unsigned> qos;
    std::optional<unsigned> version;
    std::optional<std::uint32_t> clients;
    std::optional<std::uint32_t> publishers;
    std::optional<std::uint32_t> subscribers;
    std::optional<std::uint32_t> window;
    std::optional<std::uint32_t> end_to_end;
    std::optional<std::uint32_t> gather;
    double seconds = 3;
    double warmup = 1;
    double hold = 2;
    double timeout = 10;
    double drain = 2;
    std::string filter_kind = "exact";
};

Nanos from_seconds(double seconds) {
    return std::chrono::duration_cast<Nanos>(std::chrono::duration<double>(seconds));
}

struct ModeDefaults {
    std::uint32_t publishers;
    std::uint32_t subscribers;
    std::uint32_t clients;
    std::uint8_t qos;
    std::uint32_t window_qos0;
    std::uint32_t window;
    std::uint32_t end_to_end;
};

// Windows that a correct broker can hold for its subscribers without having to drop: a few hundred
// messages a subscriber.
ModeDefaults defaults_of(Mode mode) {
    switch (mode) {
        case Mode::pairs:
            return {100, 100, 0, 0, 100, 20, 80};
        case Mode::fanin:
            return {200, 1, 0, 0, 4, 4, 4};
        case Mode::fanout:
            return {1, 1000, 0, 0, 100, 20, 80};
        case Mode::shared:
            return {100, 10, 0, 1, 10, 10, 10};
        case Mode::conns:
            return {0, 0, 1000, 0, 1, 1, 0};
        case Mode::retained:
            return {1, 1, 1000, 1, 100, 20, 0};
        case Mode::sessions:
            return {1, 0, 100, 1, 100, 20, 0};
    }
    return {};
}

void declare_load(CLI::App& app, Typed& typed, Options& options) {
    app.add_option("mode", typed.mode, "What to run")
        ->required()
        ->check(
            CLI::IsMember({"pairs", "fanin", "fanout", "shared", "conns", "retained", "sessions"}));
    app.add_option("--host", typed.hosts, "Brokers, HOST:PORT[,HOST:PORT...]")->delimiter(',');
    app.add_option("--qos", typed.qos, "QoS of publishers and subscriptions")
        ->check(CLI::Range(0, 2));
    app.add_option("--v", typed.version, "MQTT version: 3 (3.1), 4 (3.1.1) or 5")
        ->check(CLI::IsMember({3, 4, 5}));
    app.add_option("--payload", options.payload_bytes, "Bytes of each payload (64)")
        ->check(CLI::Range(static_cast<std::uint32_t>(kPayloadBytesMin), kPayloadBytesMax));
    app.add_option("--clients", typed.clients,
                   "pairs: pairs; fanin: publishers; fanout: subscribers; conns: connections; "
                   "retained: topics; sessions: sessions")
        ->check(CLI::Range(1U, 10'000'000U));
    app.add_option("--pubs", typed.publishers, "Publishers")->check(CLI::Range(1U, 1'000'000U));
    app.add_option("--subs", typed.subscribers, "Subscribers")->check(CLI::Range(1U, 1'000'000U));
    app.add_option("--window", typed.window, "Unacknowledged messages per publisher")
        ->check(CLI::Range(1U, kWindowMax));
    app.add_option("--e2e", typed.end_to_end,
                   "Messages of one publisher not yet received by everybody; 0: no limit")
        ->check(CLI::Range(0U, kWindowMax));
    app.add_option("--rate", options.rate_per_s,
                   "Messages a second of all publishers; 0: no limit");
    app.add_option("--gather", typed.gather,
                   "Microseconds to let packets gather between reads, without --rate; 0: none (50)")
        ->check(CLI::Range(0U, 100'000U));
    app.add_option("--messages", options.messages,
                   "sessions: messages for each while it is away (10)")
        ->check(CLI::Range(1U, 10'000'000U));
    app.add_option("--filters", options.filters, "Other subscriptions, held by further clients");
    app.add_option("--filters-per-client", options.filters_per_client, "of those (1000)")
        ->check(CLI::Range(1U, 1'000'000U));
    app.add_option("--filter-kind", typed.filter_kind, "of those")
        ->check(CLI::IsMember({"exact", "wildcard"}));
    app.add_flag("--persistent", options.persistent, "Sessions that outlive their connection");
    app.add_flag("--subscribe", options.subscribe, "conns: one subscription for each connection");
    app.add_option("--topic-prefix", options.topic_prefix, "First part of every topic (bench)");
}

void declare_rest(CLI::App& app, Typed& typed, Options& options) {
    app.add_option("--seconds", typed.seconds, "Measured time (3)")
        ->check(CLI::Range(0.1, 86400.0));
    app.add_option("--warmup", typed.warmup, "Time before it (1)")->check(CLI::Range(0.0, 3600.0));
    app.add_option("--hold", typed.hold, "conns: how long to hold them (2)")
        ->check(CLI::Range(0.0, 86400.0));
    app.add_option("--timeout", typed.timeout, "Seconds without any progress that end a step (10)")
        ->check(CLI::Range(0.1, 3600.0));
    app.add_option("--drain", typed.drain, "Seconds of silence that end the draining (2)")
        ->check(CLI::Range(0.1, 3600.0));
    app.add_option("--keepalive", options.keep_alive_s, "Keep Alive in seconds; 0: none (60)");
    app.add_option("--connect-rate", options.connects_per_s, "Connections a second; 0: no limit");
    app.add_option("--threads", options.threads, "Threads; more than one in pairs only (1)")
        ->check(CLI::Range(1U, 64U));
    app.add_option("--username", options.username, "User Name of every client");
    app.add_option("--password", options.password, "Password of every client");
    app.add_option("--pid", options.pids, "Processes of the broker, for CPU and memory")
        ->delimiter(',');
    app.add_flag("--verify", options.verify,
                 "Exit with 1 on loss, duplicates, disorder, damage or close");
    app.add_flag("--allow-loss", options.allow_loss,
                 "Loss of QoS 0 messages does not fail --verify");
    app.add_flag("--json", options.json, "One JSON object instead of a table");
}

Failure fill_in(const Typed& typed, Options& options) {
    for (const std::string& text : typed.hosts) {
        Endpoint endpoint;
        if (Failure failure = parse_endpoint(text, endpoint)) return failure;
        options.hosts.push_back(endpoint);
    }
    options.mode = kModes.at(typed.mode);
    const ModeDefaults defaults = defaults_of(options.mode);
    const unsigned version = typed.version.value_or(options.mode == Mode::shared ? 5 : 4);
    options.version = static_cast<Version>(version);
    options.qos = static_cast<std::uint8_t>(typed.qos.value_or(defaults.qos));
    options.clients = typed.clients.value_or(defaults.clients);
    options.publishers = typed.publishers.value_or(defaults.publishers);
    options.subscribers = typed.subscribers.value_or(defaults.subscribers);
    if (typed.clients && options.mode == Mode::pairs) {
        options.publishers = options.subscribers = *typed.clients;
    } else if (typed.clients && options.mode == Mode::fanin) {
        options.publishers = *typed.clients;
    } else if (typed.clients && options.mode == Mode::fanout) {
        options.subscribers = *typed.clients;
    } else if (typed.clients && options.mode == Mode::shared) {
        return "shared takes --pubs and --subs, not --clients";
    }
    if (options.mode == Mode::pairs && options.publishers != options.subscribers) {
        return "pairs have as many publishers as subscribers; use --clients";
    }
    if (options.threads > 1 && options.mode != Mode::pairs) return "--threads works in pairs only";
    options.threads = std::min(options.threads, std::max(options.publishers, 1U));
    if (options.mode == Mode::sessions && options.qos == 0) {
        return "sessions need --qos 1 or 2: a broker need not keep QoS 0 messages for an absent "
               "client";
    }
    options.window =
        typed.window.value_or(options.qos == 0 ? defaults.window_qos0 : defaults.window);
    // A given --window without --e2e keeps the proportion that the mode's defaults have.
    const std::uint32_t proportion = defaults.end_to_end / std::max(defaults.window, 1U);
    const std::uint32_t end_to_end = std::min(options.window * proportion, kWindowMax);
    options.end_to_end = typed.end_to_end.value_or(options.qos == 0 ? options.window : end_to_end);
    const std::uint64_t outstanding =
        static_cast<std::uint64_t>(options.publishers) * options.window;
    const std::uint32_t gather = outstanding < kGatherOutstandingMin ? 0 : kGatherMicros;
    options.gather = std::chrono::microseconds(typed.gather.value_or(gather));
    if (options.rate_per_s > 0) options.gather = Nanos(0);
    if (options.messages == 0) options.messages = 10;
    options.filter_kind = typed.filter_kind == "exact" ? FilterKind::exact : FilterKind::wildcard;
    options.measured = from_seconds(typed.seconds);
    options.warmup = from_seconds(typed.warmup);
    options.hold = from_seconds(typed.hold);
    options.timeout = from_seconds(typed.timeout);
    options.drain = from_seconds(typed.drain);
    if (options.topic_prefix.empty()) options.topic_prefix = "bench";
    options.run_id = std::random_device{}();
    return std::nullopt;
}

}  // namespace

std::string_view mode_name(Mode mode) {
    for (const auto& [name, value] : kModes) {
        if (value == mode) return name;
    }
    return "";
}

std::string Options::topic_root() const {
    return fmt::format("{}/{:08x}", topic_prefix, run_id);
}

std::string Options::client_id(std::string_view kind, std::uint32_t index) const {
    // At most 23 characters of the set every MQTT 3.1 broker accepts.
    return fmt::format("qb{:08x}{}{}", run_id, kind, index);
}

const Endpoint& Options::publisher_host(std::uint32_t index) const {
    return hosts[index % hosts.size()];
}

const Endpoint& Options::subscriber_host(std::uint32_t index) const {
    return hosts[(static_cast<std::size_t>(index) + 1) % hosts.size()];
}

std::variant<Options, int> parse_options(int argc, char** argv) {
    Options options;
    Typed typed;
    CLI::App app("Loads any MQTT broker, measures it, and checks what it delivers.",
                 "quorate-bench");
    declare_load(app, typed, options);
    declare_rest(app, typed, options);
    app.footer("Exit code: 0 done, 1 the run failed or --verify found something, 2 wrong usage.");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    if (Failure failure = fill_in(typed, options)) {
        fmt::print(stderr, "quorate-bench: {}\n", *failure);
        return 2;
    }
    return options;
}

}  // namespace quorate::bench
