#include "broker/config/yaml_loader.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include <unistd.h>

#include "tests/unit/catch.h"

namespace quorate::broker {
namespace {

Config good(const std::string& yaml) {
    Result<Config> config = parse_config(yaml, "quorate.yaml");
    INFO((config ? std::string() : config.error().message));
    REQUIRE(config.ok());
    return *config;
}

std::string bad(const std::string& yaml) {
    const Result<Config> config = parse_config(yaml, "quorate.yaml");
    REQUIRE_FALSE(config.ok());
    return config.error().message;
}

Result<Config> with_sets(std::vector<std::string> sets) {
    ConfigSources sources;
    sources.sets = std::move(sets);
    return load_config(sources);
}

std::string refused(const std::string& setting) {
    const Result<Config> config = with_sets({setting});
    REQUIRE_FALSE(config.ok());
    return config.error().message;
}

// A file that is removed at the end of the test.
class TemporaryFile {
  public:
    explicit TemporaryFile(const std::string& text)
        : path_(std::filesystem::temp_directory_path() /
                ("quorate-config-" + std::to_string(::getpid()) + ".yaml")) {
        std::ofstream(path_) << text;
    }
    ~TemporaryFile() { std::filesystem::remove(path_); }
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;
    [[nodiscard]] std::string path() const { return path_.string(); }

  private:
    std::filesystem::path path_;
};

}  // namespace

TEST_CASE("an empty file is the default configuration", "[config]") {
    for (const char* yaml : {"", "# nothing\n", "{}", "node:\n", "mqtt: {}"}) {
        const Config config = good(yaml);
        CHECK(config.listeners.size() == 1);
        CHECK(config.listeners[0].url.text() == "tcp://127.0.0.1:1883");
        CHECK(config.mqtt.max_packet_size == mib(1));
        CHECK(config.allow_anonymous());
    }
}

TEST_CASE("a file sets options of every type", "[config]") {
    const Config config = good(R"(
node: {name: n1, data_dir: /tmp/x, drain_timeout: 5s}
listeners:
  - {url: "tcp://127.0.0.1:2883"}
  - url: "wss://[::1]:8884/m"
    tls: {cert: server.crt, key: server.key, ca: clients.crt, verify_client: require}
    proxy_protocol: true
    max_connections: 7
storage: {sync: "interval:100ms"}
mqtt: {max_packet_size: 268435460, retain: false, session_expiry_max: never,
       queue_full: drop_newest}
shared: {strategy: sticky, handover: disconnect}
limits: {connect_rate: off, takeover_rate: 3/min, publish_bytes: 1MiB/s}
log: {level: debug, format: json}
metrics: {listen: "[::1]:9000"}
)");
    CHECK(config.node.name == "n1");
    CHECK(config.node.drain_timeout == Milliseconds(5000));
    REQUIRE(config.listeners.size() == 2);
    CHECK(config.listeners[1].url.text() == "wss://[::1]:8884/m");
    CHECK(config.listeners[1].tls.verify_client == VerifyClient::Require);
    CHECK(config.listeners[1].proxy_protocol);
    CHECK(config.listeners[1].max_connections == 7);
    CHECK(config.storage.sync.interval == Milliseconds(100));
    CHECK(config.mqtt.max_packet_size.value == 268'435'460);
    CHECK_FALSE(config.mqtt.retain);
    CHECK(config.mqtt.session_expiry_max == kNever);
    CHECK(config.mqtt.queue_full == QueueFullOption::DropNewest);
    CHECK(config.shared.strategy == SharedStrategy::Sticky);
    CHECK(config.shared.handover == SharedHandover::Disconnect);
    CHECK(config.limits.connect_rate.off());
    CHECK(config.limits.takeover_rate == Rate{3, Milliseconds(60'000)});
    CHECK(config.limits.publish_bytes.per_second == 1'048'576);
    CHECK(config.log.level == LogLevelOption::Debug);
    CHECK(config.metrics.listen == HostPort{"::1", 9000});
}

TEST_CASE("an empty value keeps the default", "[config]") {
    const Config config =
        good("limits: {connect_rate: , publish_rate: }\ncluster: {tls: {cert: , key: , ca: }}\n");
    CHECK(config.limits.connect_rate.count == 1000);
    CHECK(config.cluster.tls.cert.empty());
}

TEST_CASE("an unknown option is told with file, line and the nearest known name", "[config]") {
    CHECK(bad("node:\n  name: a\nmqtt:\n  max_qoss: 1\n") ==
          "quorate.yaml:4: mqtt.max_qoss: unknown option; did you mean mqtt.max_qos?");
    CHECK(bad("max_qos: 1\n") ==
          "quorate.yaml:1: max_qos: unknown option; did you mean mqtt.max_qos?");
    CHECK(bad("zzzzzzzzzzzzzzz: 1\n") == "quorate.yaml:1: zzzzzzzzzzzzzzz: unknown option");
}

TEST_CASE("an ill-typed value is told with what was expected", "[config]") {
    CHECK(bad("\nmqtt: {max_qos: 3}\n") ==
          "quorate.yaml:2: mqtt.max_qos: expected a whole number from 0 to 2, got \"3\"");
    CHECK(bad("mqtt: {max_qos: [1]}\n") ==
          "quorate.yaml:1: mqtt.max_qos: expected count, got \"a list\"");
    CHECK(bad("mqtt: {retain: maybe}\n") ==
          "quorate.yaml:1: mqtt.retain: expected true or false, got \"maybe\"");
    CHECK(bad("mqtt: {max_packet_size: 1GB}\n") ==
          "quorate.yaml:1: mqtt.max_packet_size: expected a size from 128B to 268435460B, got "
          "\"1GB\"");
    CHECK(bad("node: {drain_timeout: 30}\n") ==
          "quorate.yaml:1: node.drain_timeout: expected a duration such as 30s, from 0 to 1h, got "
          "\"30\"");
    CHECK(bad("log: {format: xml}\n") ==
          "quorate.yaml:1: log.format: expected one of `text`, `json`, got \"xml\"");
    CHECK(bad("mqtt: 5\n") == "quorate.yaml:1: mqtt: expected a mapping of options");
    CHECK(bad("- a\n") == "quorate.yaml:1: file: expected a mapping of options");
}

TEST_CASE("all problems are told at once, at most twenty", "[config]") {
    const std::string two = bad("mqtt: {max_qos: 3}\nlog: {level: loud}\n");
    CHECK(std::count(two.begin(), two.end(), '\n') == 1);
    std::string many;
    for (int i = 0; i < 50; ++i)
        many += "unknown" + std::to_string(i) + ": 1\n";
    const std::string told = bad(many);
    CHECK(std::count(told.begin(), told.end(), '\n') == 19);
}

TEST_CASE("an option set twice, a bad document and several documents are refused", "[config]") {
    CHECK(bad("mqtt: {max_qos: 1, max_qos: 2}\n") == "quorate.yaml:1: mqtt.max_qos: set twice");
    CHECK(bad("mqtt: [\n").starts_with("quorate.yaml:2: not YAML: "));
    CHECK(bad("mqtt: *nowhere\n").find("not YAML") != std::string::npos);
}

TEST_CASE("listener problems name the listener", "[config]") {
    CHECK(bad("listeners: [{url: \"tcp://127.0.0.1:1\", color: red}]\n") ==
          "quorate.yaml:1: listeners[0].color: unknown key; expected one of url, tls, "
          "proxy_protocol, max_connections, origins");
    CHECK(bad("listeners: [{}]\n") == "quorate.yaml:1: listeners[0]: expected the key url");
    CHECK(bad("listeners: []\n") == "quorate.yaml:1: listeners: expected at least one");
    CHECK(bad("listeners: 5\n").find("expected a list of at most 64 listeners") !=
          std::string::npos);
    CHECK(bad("listeners: [{url: \"tcp://h\"}]\n").find("listeners[0].url: expected host:port") !=
          std::string::npos);
    CHECK(
        bad("listeners: [{url: \"tls://127.0.0.1:1\"}]\n").find("expected tls.cert and tls.key") !=
        std::string::npos);
    CHECK(bad("listeners: [{url: \"tcp://127.0.0.1:1\", tls: {cert: a, key: b}}]\n")
              .find("expected tls:// or wss://") != std::string::npos);
    CHECK(bad("listeners: [{url: \"tcp://127.0.0.1:1\"}, {url: \"ws://127.0.0.1:1\"}]\n")
              .find("127.0.0.1:1 is taken") != std::string::npos);
    CHECK(bad("listeners: [{url: \"wss://127.0.0.1:1\", tls: {cert: a, key: b, "
              "verify_client: require}}]\n")
              .find("expected tls.ca") != std::string::npos);
}

TEST_CASE("an open listener needs an explicit choice about anonymous clients", "[config]") {
    CHECK(bad("listeners: [{url: \"tcp://0.0.0.0:1883\"}]\n")
              .starts_with("quorate.yaml:1: auth.allow_anonymous: expected true or false"));
    CHECK(good("listeners: [{url: \"tcp://0.0.0.0:1883\"}]\nauth: {allow_anonymous: true}\n")
              .allow_anonymous());
    CHECK_FALSE(good("listeners: [{url: \"tcp://0.0.0.0:1883\"}]\nauth: {allow_anonymous: false}\n")
                    .allow_anonymous());
    CHECK_FALSE(good("auth: {allow_anonymous: false}\n").allow_anonymous());
}

TEST_CASE("rules between options name where the options stand", "[config]") {
    CHECK(bad("mqtt: {max_qos: 1}\nlisteners:\n  - {url: \"tcp://127.0.0.1:1\"}\n"
              "  - {url: \"tls://127.0.0.1:2\"}\n")
              .starts_with("quorate.yaml:4: listeners[1]: expected tls.cert and tls.key"));
    CHECK(bad("storage:\n  disk_high_water: 99\n")
              .starts_with("quorate.yaml:2: storage.disk_stop: expected at least"));
}

TEST_CASE("a node is alone until something says that there are others", "[config]") {
    CHECK_FALSE(good("").cluster.clustered());
    CHECK_FALSE(good("cluster: {shards: 8, replication_factor: 3}\n").cluster.clustered());
    CHECK(good("cluster: {seeds: [\"a:7400\"]}\n").cluster.clustered());
    CHECK(good("cluster: {bootstrap_expect: 3}\n").cluster.clustered());
    const Config one = good("cluster: {listen: \"localhost:7500\"}\n");
    CHECK(one.cluster.clustered());
    CHECK(one.cluster.listens_at().text() == "127.0.0.1:7500");
    CHECK(one.cluster.reached_at().text() == "127.0.0.1:7500");
    CHECK(good("cluster: {bootstrap_expect: 3}\n").cluster.listens_at().text() == "127.0.0.1:7400");
}

TEST_CASE("links leave the machine with TLS, or when that was said not to matter", "[config]") {
    const std::string open = "cluster:\n  listen: \"10.1.2.3:7400\"\n";
    CHECK(bad(open).starts_with("quorate.yaml:2: cluster.tls: expected cert, key and ca (or "));
    CHECK(good(open + "  allow_plaintext: true\n").cluster.allow_plaintext);
    CHECK(good(open + "  tls: {cert: c, key: k, ca: a}\n").cluster.tls.ca == "a");
    CHECK(bad(open + "  tls: {cert: c, key: k}\n")
              .starts_with("quorate.yaml:3: cluster.tls: expected cert, key and ca, or none"));
    const std::string any = "cluster: {listen: \"0.0.0.0:7400\", allow_plaintext: true";
    CHECK(bad(any + "}\n").starts_with("quorate.yaml:1: cluster.advertise: expected what other"));
    CHECK(good(any + ", advertise: \"n1.example:7400\"}\n").cluster.reached_at().text() ==
          "n1.example:7400");
    CHECK(bad("cluster: {listen: \"n1:7400\"}\n").find("expected a numeric address") !=
          std::string::npos);
    CHECK(bad("cluster: {listen: \"127.0.0.1:0\"}\n").find("and a port of its own") !=
          std::string::npos);
}

TEST_CASE("what only one node can do is refused in a cluster", "[config]") {
    const std::string cluster = "cluster: {seeds: [\"127.0.0.1:7400\"]}\n";
    CHECK(bad(cluster + "mqtt: {max_packet_size: 4MiB}\n") ==
          "quorate.yaml:2: mqtt.max_packet_size: expected at most 3MiB in a cluster");
    CHECK(good(cluster + "mqtt: {max_packet_size: 3MiB}\n").mqtt.max_packet_size == mib(3));
    CHECK(bad(cluster + "storage: {sync: \"interval:1s\"}\n")
              .starts_with("quorate.yaml:2: storage.sync: expected always in a cluster"));
    CHECK(bad(cluster + "node: {name: \"a/b\"}\n")
              .starts_with("quorate.yaml:2: node.name: expected at most 128 letters"));
    CHECK(bad("cluster: {seeds: [nowhere]}\n").find("expected host:port") != std::string::npos);
    CHECK(bad("cluster: {bootstrap_expect: 65}\n").find("from 1 to 64") != std::string::npos);
}

TEST_CASE("origins belong to WebSocket listeners and look like origins", "[config]") {
    CHECK(good("listeners: [{url: \"ws://127.0.0.1:1\", origins: [\"https://a.example:8443\", "
               "\"null\"]}]\n")
              .listeners[0]
              .origins.size() == 2);
    CHECK(bad("listeners: [{url: \"tcp://127.0.0.1:1\", origins: [\"https://a.example\"]}]\n")
              .find("expected ws:// or wss://") != std::string::npos);
    for (const char* origin : {"a.example", "https://", "://a", "https://a.example/path", "a b"}) {
        CAPTURE(std::string(origin));
        CHECK(bad("listeners: [{url: \"ws://127.0.0.1:1\", origins: [\"" + std::string(origin) +
                  "\"]}]\n")
                  .find("expected an origin") != std::string::npos);
    }
}

TEST_CASE("--set takes YAML for an option or a whole section", "[config]") {
    const Result<Config> config =
        with_sets({"node.data_dir=/tmp/x=y", "listeners=[{url: \"tcp://127.0.0.1:2883\"}]",
                   "mqtt={max_qos: 1}"});
    REQUIRE(config.ok());
    CHECK(config->node.data_dir == "/tmp/x=y");
    CHECK(config->listeners[0].url.port == 2883);
    CHECK(config->mqtt.max_qos == 1);
    CHECK(refused("mqtt.max_qos=9") ==
          "--set mqtt.max_qos: mqtt.max_qos: expected a whole number from 0 to 2, got \"9\"");
    CHECK(refused("mqtt.max_qoss=1") ==
          "--set mqtt.max_qoss: mqtt.max_qoss: unknown option; did you mean mqtt.max_qos?");
    CHECK(refused("novalue") == "--set novalue: expected PATH=VALUE");
}

TEST_CASE("the environment beats the file and --set beats both", "[config]") {
    const TemporaryFile file("node: {name: file}\nmqtt: {max_qos: 0}\nlog: {level: warn}\n");
    ConfigSources sources;
    sources.file = file.path();
    sources.environment = {"QUORATE_NODE__NAME=environment",
                           "QUORATE_MQTT__MAX_QOS=1",
                           "PATH=/bin",
                           "QUORATE_SERVICE_HOST=10.0.0.1",
                           "QUORATE_PORT_1883_TCP=tcp://10.0.0.1:1883",
                           "QUORATE_LISTENERS=[{url: \"tcp://127.0.0.1:4883\"}]"};
    sources.sets = {"mqtt.max_qos=2"};
    const Result<Config> config = load_config(sources);
    REQUIRE(config.ok());
    CHECK(config->node.name == "environment");
    CHECK(config->mqtt.max_qos == 2);
    CHECK(config->log.level == LogLevelOption::Warn);
    CHECK(config->listeners[0].url.port == 4883);
    sources.environment = {"QUORATE_MQTT__MAX_QOSS=1"};
    const Result<Config> wrong = load_config(sources);
    REQUIRE_FALSE(wrong.ok());
    CHECK(wrong.error().message.starts_with("QUORATE_MQTT__MAX_QOSS: mqtt.max_qoss: unknown"));
}

TEST_CASE("a file that cannot be read is an error, not an empty configuration", "[config]") {
    ConfigSources sources;
    sources.file = "/nonexistent/quorate.yaml";
    const Result<Config> config = load_config(sources);
    REQUIRE_FALSE(config.ok());
    CHECK(config.error().code == ErrorCode::Io);
}

TEST_CASE("hostile documents end with an error and not with the process", "[config]") {
    CHECK_FALSE(parse_config(std::string(100'000, '['), "f").ok());
    CHECK_FALSE(parse_config(std::string(100'000, '{'), "f").ok());
    CHECK_FALSE(parse_config("a: &x [*x]\n", "f").ok());
    CHECK_FALSE(parse_config("<<: {mqtt: {max_qos: 1}}\n", "f").ok());
    CHECK_FALSE(parse_config(std::string("\xff\xfe\x00\x01", 4), "f").ok());
    CHECK(bad("node: {name: \"a\\0b\"}\n").find("without NUL") != std::string::npos);
    const std::string told = bad("mqtt: {max_qos: \"\\e[31m" + std::string(1000, 'x') + "\"}\n");
    CHECK(told.find('\x1b') == std::string::npos);
    CHECK(told.size() < 300);
}

}  // namespace quorate::broker
