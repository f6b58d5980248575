#include "broker/config/command_line.h"

#include "tests/unit/catch.h"

namespace quorate::broker {
namespace {

std::variant<StartBroker, ExitNow> run(const std::vector<std::string>& arguments) {
    return parse_command_line(arguments, {}, "1.2.3");
}

ExitNow exits(const std::vector<std::string>& arguments) {
    const auto outcome = run(arguments);
    REQUIRE(std::holds_alternative<ExitNow>(outcome));
    return std::get<ExitNow>(outcome);
}

}  // namespace

TEST_CASE("no arguments start a broker with the defaults", "[config]") {
    const auto outcome = run({});
    REQUIRE(std::holds_alternative<StartBroker>(outcome));
    CHECK(std::get<StartBroker>(outcome).config.node.data_dir == "./quorate-data");
}

TEST_CASE("--set may be given many times and hold commas and brackets", "[config]") {
    const auto outcome =
        run({"--set", "listeners=[{url: \"tcp://127.0.0.1:1\"}, {url: \"ws://127.0.0.1:2\"}]",
             "--set", "mqtt.max_qos=1", "--set=node.name=a,b"});
    REQUIRE(std::holds_alternative<StartBroker>(outcome));
    const StartBroker& start = std::get<StartBroker>(outcome);
    CHECK(start.config.listeners.size() == 2);
    CHECK(start.config.mqtt.max_qos == 1);
    CHECK(start.config.node.name == "a,b");
    CHECK(start.sources.sets.size() == 3);
}

TEST_CASE("--version, --help and the reference print and exit with 0", "[config]") {
    CHECK(exits({"--version"}).out == "quorate 1.2.3\n");
    CHECK(exits({"--version"}).code == 0);
    const ExitNow help = exits({"--help"});
    CHECK(help.code == 0);
    CHECK(help.out.find("--check-config") != std::string::npos);
    CHECK(help.out.find("mqtt.max_qos") != std::string::npos);
    CHECK(exits({"--print-config-reference"}).out.starts_with("# Configuration reference"));
}

TEST_CASE("--check-config tells whether a start would accept the configuration", "[config]") {
    CHECK(exits({"--check-config"}).code == 0);
    CHECK(exits({"--check-config"}).out == "configuration ok\n");
    const ExitNow wrong = exits({"--check-config", "--set", "mqtt.max_qos=7"});
    CHECK(wrong.code == 2);
    CHECK(wrong.err.find("mqtt.max_qos") != std::string::npos);
    CHECK(wrong.out.empty());
}

TEST_CASE("what the machine lacks for a configuration is told with the place of its option",
          "[config]") {
    const ConfigCheck check = [](const Config& config) {
        std::vector<ConfigProblem> problems;
        if (config.log.file == "/absent/x") problems.push_back({"log.file", "expected a folder"});
        if (config.listeners.size() == 2) {
            problems.push_back({"listeners[1].tls.cert", "expected a certificate"});
            problems.push_back({"mqtt.max_qos", "expected more", "listeners[1].url"});
        }
        return problems;
    };
    const auto outcome = [&](std::vector<std::string> arguments) {
        return parse_command_line(arguments, {}, "1.2.3", check);
    };
    CHECK(std::holds_alternative<StartBroker>(outcome({})));
    for (const char* flag : {"--check-config", "--set=node.name=x"}) {
        const auto wrong = outcome({flag, "--set", "log.file=/absent/x", "--set",
                                    "listeners=[{url: 'tcp://127.0.0.1:1'}, {url: "
                                    "'tls://127.0.0.1:2', tls: {cert: a, key: b}}]"});
        REQUIRE(std::holds_alternative<ExitNow>(wrong));
        CHECK(std::get<ExitNow>(wrong).code == 2);
        CHECK(std::get<ExitNow>(wrong).err ==
              "--set log.file: log.file: expected a folder\n"
              "--set listeners: listeners[1].tls.cert: expected a certificate\n"
              "--set listeners: mqtt.max_qos: expected more\n");
    }
}

TEST_CASE("a wrong command line or configuration exits with 2", "[config]") {
    CHECK(exits({"--no-such-flag"}).code == 2);
    CHECK(exits({"stray"}).code == 2);
    CHECK(exits({"--set"}).code == 2);
    CHECK(exits({"--config", "/nonexistent"}).code == 2);
    CHECK(exits({"--set", "nothing=1"}).code == 2);
}

}  // namespace quorate::broker
