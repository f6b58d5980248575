// Connection::gather_input().
#include <string>

#include "tests/unit/catch.h"
#include "tests/unit/net/support.h"

using namespace quorate::broker;
using namespace quorate::broker::test;

TEST_CASE("gathered input of four bytes wakes nobody, and waits no longer than a tick") {
    Server server;
    Client client = server.connect();
    REQUIRE(server.until([&] { return server.handler.count() == 1; }));
    Connection& connection = server.handler.connection();
    connection.gather_input(true);
    REQUIRE(connection.gathers_input());
    const uint64_t reads = server.loop.connections().counters().reads;
    for (char c = 'a'; c <= 'j'; ++c) {
        client.send(std::string(4, c));
        client.send(std::string(4, c));
    }
    // Nothing is awaited but the tick, and the pairs that came before it in one read.
    REQUIRE(server.until([&] { return server.handler.seen().bytes.size() == 80; }));
    CHECK(server.loop.connections().counters().reads - reads < 20);
    client.send("last");
    CHECK(server.until([&] { return server.handler.seen().bytes.size() == 84; }));
}

TEST_CASE("a connection gathers until nothing came between two ticks, or until it is told") {
    Server server;
    Client client = server.connect();
    REQUIRE(server.until([&] { return server.handler.count() == 1; }));
    Connection& connection = server.handler.connection();
    connection.gather_input(true);
    CHECK(server.until([&] { return !connection.gathers_input(); }));
    connection.gather_input(true);
    client.send("abcd");
    connection.gather_input(false);
    CHECK(server.until([&] { return server.handler.seen().bytes == "abcd"; }));
    CHECK(server.loop.connections().gathering() == 0);
    connection.gather_input(true);
    client.close();
    CHECK(server.until([&] { return server.handler.seen().closed.has_value(); }));
    CHECK(server.loop.connections().gathering() == 0);
}

TEST_CASE("the peer's end is heard at once by a connection that gathers") {
    Server server;
    Client client = server.connect();
    REQUIRE(server.until([&] { return server.handler.count() == 1; }));
    server.handler.connection().gather_input(true);
    client.send("bye");
    client.shut_down_writing();
    CHECK(server.until([&] { return server.handler.seen().closed.has_value(); }));
    CHECK(server.handler.seen().bytes == "bye");
    CHECK(server.handler.seen().closed == EndCause::PeerClosed);
}
