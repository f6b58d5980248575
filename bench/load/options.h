// What the user asked for on the command line, checked and with the defaults of the mode filled in.
//
// Thread: read-only after parse_options(). Errors: a wrong option is told with its name; the
// program then ends with code 2.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "bench/load/client/event_loop.h"

namespace quorate::bench {

enum class Mode : std::uint8_t { pairs, fanin, fanout, shared, conns, retained, sessions };
enum class FilterKind : std::uint8_t { exact, wildcard };

[[nodiscard]] std::string_view mode_name(Mode mode);

struct Options {
    Mode mode = Mode::pairs;
    std::vector<Endpoint> hosts;
    Version version = Version::v311;
    std::uint8_t qos = 0;
    std::uint32_t payload_bytes = 64;
    // Publishers and subscribers of the exchange modes; connections, topics or sessions of the
    // others.
    std::uint32_t publishers = 0;
    std::uint32_t subscribers = 0;
    std::uint32_t clients = 0;
    std::uint32_t threads = 1;
    Nanos measured{0};
    Nanos warmup{0};
    Nanos hold{0};
    Nanos timeout{0};
    Nanos drain{0};            // draining ends when nothing has arrived for so long
    Nanos gather{0};           // pause between turns of a run without --rate
    std::uint32_t window = 0;  // unacknowledged messages of a publisher (QoS 0: as `end_to_end`)
    std::uint32_t end_to_end = 0;  // not yet received by everybody, of a publisher; 0: no limit
    std::uint64_t rate_per_s = 0;  // of all publishers together; 0: as fast as the windows allow
    std::uint64_t connects_per_s = 0;  // 0: as fast as the broker answers
    std::uint32_t messages = 0;        // sessions: for each session
    std::uint32_t filters = 0;         // other subscriptions
    std::uint32_t filters_per_client = 1000;
    FilterKind filter_kind = FilterKind::exact;
    std::uint16_t keep_alive_s = 60;
    bool persistent = false;
    bool subscribe = false;
    bool verify = false;
    bool allow_loss = false;
    bool json = false;
    std::vector<int> pids;
    std::string topic_prefix;
    std::string username;
    std::string password;
    std::uint32_t run_id = 0;  // different in every run; part of topics and client ids

    // The topic all topics of this run begin with, without a slash at the end.
    [[nodiscard]] std::string topic_root() const;
    [[nodiscard]] std::string client_id(std::string_view kind, std::uint32_t index) const;
    // Publishers begin with the first host, subscribers with the second: number i of each is on
    // different nodes when there are several.
    [[nodiscard]] const Endpoint& publisher_host(std::uint32_t index) const;
    [[nodiscard]] const Endpoint& subscriber_host(std::uint32_t index) const;
};

// Options, or the exit code when there is nothing to run: help was asked for, or an option is wrong
// (the message is printed then).
[[nodiscard]] std::variant<Options, int> parse_options(int argc, char** argv);

}  // namespace quorate::bench
