#include "broker/config/address.h"

#include "tests/unit/catch.h"

namespace quorate::broker {
namespace {

ListenerUrl url(std::string_view text) {
    Result<ListenerUrl> parsed = parse_listener_url(text);
    REQUIRE(parsed.ok());
    return *parsed;
}

}  // namespace

TEST_CASE("every transport has its scheme", "[config]") {
    CHECK(url("tcp://127.0.0.1:1883") == ListenerUrl{Transport::Tcp, "127.0.0.1", 1883, ""});
    CHECK(url("tls://0.0.0.0:8883").transport == Transport::Tls);
    CHECK(url("ws://localhost:80").path == "/mqtt");
    CHECK(url("wss://broker.example:443/a/b") ==
          ListenerUrl{Transport::SecureWebSocket, "broker.example", 443, "/a/b"});
    CHECK(url("unix:///run/quorate.sock").path == "/run/quorate.sock");
}

TEST_CASE("an IPv6 host stands in brackets and loses them", "[config]") {
    CHECK(url("tcp://[::1]:1883").host == "::1");
    CHECK(url("tcp://[2001:db8::7]:1").text() == "tcp://[2001:db8::7]:1");
}

TEST_CASE("a URL reads back as it is written", "[config]") {
    for (const char* text : {"tcp://127.0.0.1:0", "tls://[::]:8883", "ws://h:1/mqtt",
                             "wss://h:65535/x", "unix:///tmp/s"}) {
        CHECK(url(text).text() == text);
    }
}

TEST_CASE("a malformed URL is refused", "[config]") {
    for (const char* text : {"",
                             "127.0.0.1:1883",
                             "mqtt://h:1",
                             "tcp://",
                             "tcp://h",
                             "tcp://:1",
                             "tcp://h:",
                             "tcp://h:65536",
                             "tcp://h:000001",
                             "tcp://h:-1",
                             "tcp://h:1/path",
                             "tcp://::1:1883",
                             "tcp://[]:1",
                             "tcp://[g::]:1",
                             "tcp://a b:1",
                             "ws://h:1/a b",
                             "ws://h:1/a?b",
                             "unix://relative",
                             "unix:///",
                             "TCP://h:1"}) {
        INFO(text);
        CHECK_FALSE(parse_listener_url(text).ok());
    }
    CHECK_FALSE(parse_listener_url("unix:///" + std::string(107, 'a')).ok());
    CHECK_FALSE(parse_listener_url("tcp://" + std::string(254, 'a') + ":1").ok());
}

TEST_CASE("loopback addresses and Unix sockets are local, all else is not", "[config]") {
    for (const char* text : {"tcp://127.0.0.1:1", "tcp://127.8.8.8:1", "ws://[::1]:1",
                             "tcp://localhost:1", "unix:///a"}) {
        INFO(text);
        CHECK(url(text).local());
    }
    for (const char* text : {"tcp://0.0.0.0:1", "tcp://[::]:1", "tcp://10.0.0.1:1",
                             "tcp://127.evil.example:1", "tcp://localhost.example:1"}) {
        INFO(text);
        CHECK_FALSE(url(text).local());
    }
}

}  // namespace quorate::broker
