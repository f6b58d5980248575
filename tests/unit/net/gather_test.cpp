// Connection::gather_input().
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

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

TEST_CASE("what many connections gathered is read in parts, a few a turn, and all of it") {
    constexpr std::size_t kConnections = 40;
    Server server;
    std::vector<Client> clients;
    for (std::size_t i = 0; i < kConnections; ++i) {
        clients.push_back(server.connect());
        REQUIRE(server.until([&] { return server.handler.count() == i + 1; }));
        server.handler.connection(i).gather_input(true);
        clients.back().send("lone");
    }
    uint64_t most = 0;
    uint64_t before = server.loop.connections().counters().reads;
    const auto all_read = [&] {
        const uint64_t reads = server.loop.connections().counters().reads;
        most = std::max(most, reads - before);
        before = reads;
        for (std::size_t i = 0; i < kConnections; ++i) {
            if (server.handler.seen(i).bytes != "lone") return false;
        }
        return true;
    };
    CHECK(server.until(all_read));
    CHECK(most <= 8);
    // One of those that wait for their part ends: the others are read all the same.
    for (Client& client : clients)
        client.send("next");
    clients[3].close();
    clients.back().close();
    CHECK(server.until([&] {
        std::size_t read = 0;
        for (std::size_t i = 0; i < kConnections; ++i)
            if (server.handler.seen(i).bytes == "lonenext") ++read;
        return read == kConnections;
    }));
}
