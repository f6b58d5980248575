#include "broker/net/connection.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <sys/socket.h>

#include "tests/unit/catch.h"
#include "tests/unit/net/support.h"

using namespace std::chrono_literals;
using namespace quorate::broker;
using namespace quorate::broker::test;
using quorate::as_bytes;
using quorate::ByteView;
using quorate::SharedBytes;

TEST_CASE("bytes arrive in place and answers leave in one piece a turn") {
    Server server;
    server.handler.bytes = [](Connection& connection, ByteView view) {
        for (std::size_t i = 0; i < view.size(); ++i) {
            std::byte* out = connection.prepare(1);
            *out = view[i];
            connection.commit(1);
        }
        return view.size();
    };
    Client client = server.connect();
    client.send("hello");
    CHECK(server.until([&] { return client.receive() && client.received() == "hello"; }));
    CHECK(server.handler.seen().bytes == "hello");
    CHECK(server.handler.seen().peer.find("127.0.0.1:") == 0);
    CHECK(server.handler.connection().pending_output() == 0);
    CHECK(server.loop.connections().pool().bytes_in_use() == 0);
}

TEST_CASE("what is not consumed comes again in front of what follows") {
    Server server;
    std::vector<std::size_t> sizes;
    // Packets of eleven bytes, taken whole only.
    server.handler.bytes = [&](Connection&, ByteView view) {
        sizes.push_back(view.size());
        return view.size() - view.size() % 11;
    };
    Client client = server.connect();
    std::string sent;
    for (int i = 0; i < 500; ++i) {
        std::string piece(static_cast<std::size_t>(1 + i % 37), static_cast<char>('a' + i % 26));
        sent += piece;
        client.send(piece);
        server.loop.run_once(0ms);
    }
    std::size_t whole = sent.size() - sent.size() % 11;
    CHECK(server.until([&] { return server.handler.seen().bytes.size() == whole; }));
    CHECK(server.handler.seen().bytes == sent.substr(0, whole));
    CHECK(server.handler.connection().buffered_bytes() < 200);
}

TEST_CASE("a large packet is gathered as it arrives and its memory is given back") {
    Server server;
    constexpr std::size_t kSize = 20U << 20;
    server.handler.bytes = [&](Connection& connection, ByteView view) {
        REQUIRE(connection.buffered_bytes() <= 2 * view.size() + 131'072);
        return view.size() < kSize ? 0 : kSize;
    };
    Client client = server.connect();
    std::string packet(kSize, 'p');
    std::memcpy(packet.data() + kSize - 4, "tail", 4);
    std::size_t sent = 0;
    CHECK(server.until([&] {
        sent += client.send(std::string_view(packet).substr(sent));
        return server.handler.count() > 0 && server.handler.seen().bytes.size() == kSize;
    }));
    CHECK(server.handler.seen().bytes == packet);
    CHECK(server.handler.connection().buffered_bytes() == 0);
}

TEST_CASE("more unconsumed input than allowed ends the connection") {
    EventLoopOptions options;
    options.input_bytes_max = 100'000;
    Server server(plain(), options);
    server.handler.bytes = [](Connection&, ByteView) { return std::size_t{0}; };
    Client client = server.connect();
    std::string bytes(400'000, 'x');
    std::size_t sent = 0;
    CHECK(server.until([&] {
        sent += client.send(std::string_view(bytes).substr(sent));
        return server.handler.count() > 0 && server.handler.seen().closed.has_value();
    }));
    CHECK(server.handler.seen().closed == EndCause::InputLimit);
}

TEST_CASE("a paused connection reads nothing and goes on where it stopped") {
    Server server;
    bool pausing = true;
    server.handler.bytes = [&](Connection& connection, ByteView view) {
        if (pausing) {
            connection.pause_reading();
            return std::min<std::size_t>(3, view.size());
        }
        return view.size();
    };
    Client client = server.connect();
    client.send("abcdef");
    REQUIRE(server.until(
        [&] { return server.handler.count() > 0 && !server.handler.seen().bytes.empty(); }));
    client.send("ghi");
    server.turn(10);
    CHECK(server.handler.seen().bytes == "abc");
    pausing = false;
    server.handler.connection().resume_reading();
    CHECK(server.until([&] { return server.handler.seen().bytes == "abcdefghi"; }));
}

TEST_CASE("a slow reader's output waits, is told when it may go on, and arrives whole") {
    Server server;
    constexpr std::size_t kSize = 16U << 20;
    server.handler.opened = [&](Connection& connection) {
        connection.set_send_buffer(1U << 20);
        std::byte* out = connection.prepare(kSize);
        for (std::size_t i = 0; i < kSize; ++i)
            out[i] = static_cast<std::byte>(i * 7 / 64);
        connection.commit(kSize);
        connection.append(as_bytes("end"));
    };
    Client client = server.connect();
    REQUIRE(server.until([&] { return server.handler.count() > 0; }));
    server.turn(3);
    CHECK(server.handler.connection().pending_output() > kSize / 2);
    CHECK(server.handler.seen().writable == 0);
    CHECK(server.until([&] { return client.receive() && client.received().size() == kSize + 3; }));
    bool same = true;
    for (std::size_t i = 0; i < kSize; ++i)
        same = same &&
               static_cast<std::byte>(client.received()[i]) == static_cast<std::byte>(i * 7 / 64);
    CHECK(same);
    CHECK(client.received().substr(kSize) == "end");
    server.turn(2);
    CHECK(server.handler.seen().writable == 1);
    CHECK(server.loop.connections().pool().bytes_in_use() == 0);
}

TEST_CASE("notify_when_writable is answered once, also without any output") {
    Server server;
    Client client = server.connect();
    REQUIRE(server.until([&] { return server.handler.count() > 0; }));
    server.handler.connection().notify_when_writable();
    server.turn(5);
    CHECK(server.handler.seen().writable == 1);
}

TEST_CASE("a peer that takes nothing for too long is told of, and ended by default") {
    EventLoopOptions options;
    options.write_stall_timeout = 500ms;
    Server server(plain(), options);
    server.handler.opened = [](Connection& connection) {
        connection.set_send_buffer(4'096);
        connection.append(as_bytes(std::string(8U << 20, 'x')));
    };
    Client client = server.connect();
    client.set_receive_buffer(4'096);
    CHECK(server.until(
        [&] { return server.handler.count() > 0 && server.handler.seen().closed.has_value(); }));
    CHECK(server.handler.seen().closed == EndCause::WriteStalled);
    CHECK(server.handler.seen().stalled == 1);
    CHECK(server.loop.connections().size() == 0);
}

TEST_CASE("a peer that reads slowly but steadily is not stalled") {
    EventLoopOptions options;
    options.write_stall_timeout = 1500ms;
    Server server(plain(), options);
    server.handler.opened = [](Connection& connection) {
        connection.set_send_buffer(16'384);
        connection.append(as_bytes(std::string(6U << 20, 'x')));
    };
    Client client = server.connect();
    auto begin = std::chrono::steady_clock::now();
    auto next = begin;
    CHECK(server.until([&] {
        auto now = std::chrono::steady_clock::now();
        if (now >= next) {
            next = now + 300ms;
            client.receive();
        }
        return now - begin > 3s;
    }));
    CHECK_FALSE(server.handler.seen().closed.has_value());
}

TEST_CASE("close_after_flush delivers everything, then ends the stream") {
    Server server;
    std::string goodbye(3U << 20, 'g');
    server.handler.bytes = [&](Connection& connection, ByteView view) {
        connection.append(as_bytes(goodbye));
        connection.close_after_flush();
        connection.append(as_bytes("too late"));
        return view.size();
    };
    Client client = server.connect();
    client.send("x");
    CHECK(server.until([&] {
        // Unread input at the server: closing at once would reset the connection.
        client.send("more that nobody reads");
        return !client.receive();
    }));
    CHECK(client.received() == goodbye);
    CHECK_FALSE(client.reset());
    CHECK(server.handler.seen().closed == EndCause::Server);
    client.close();
    CHECK(server.until([&] { return server.loop.connections().size() == 0; }));
}

TEST_CASE("a connection that the peer does not let go is dropped after close_timeout") {
    EventLoopOptions options;
    options.close_timeout = 300ms;
    Server server(plain(), options);
    server.handler.opened = [](Connection& connection) { connection.close_after_flush(); };
    Client client = server.connect();
    REQUIRE(
        server.until([&] { return server.handler.count() > 0 && server.handler.seen().closed; }));
    CHECK(server.loop.connections().size() == 1);
    CHECK(server.until([&] { return server.loop.connections().size() == 0; }));
    CHECK(server.group->counts().connections == 0);
}

TEST_CASE("abort drops output and resets, and tells at the end of the turn") {
    Server server;
    bool inside = false;
    server.handler.closed = [&](Connection&) { CHECK_FALSE(inside); };
    server.handler.bytes = [&](Connection& connection, ByteView view) {
        inside = true;
        connection.append(as_bytes("never seen"));
        connection.abort();
        CHECK(connection.closing());
        inside = false;
        return view.size();
    };
    Client client = server.connect();
    client.send("x");
    CHECK(server.until([&] { return !client.receive(); }));
    CHECK(client.received().empty());
    CHECK(client.reset());
    CHECK(server.handler.seen().closed == EndCause::Server);
}

TEST_CASE("the peer's end and its reset are told apart") {
    Server server;
    Client polite = server.connect();
    Client rude = server.connect();
    REQUIRE(server.until([&] { return server.handler.count() == 2; }));
    polite.shut_down_writing();
    rude.send("last words");
    server.turn();
    rude.break_off();
    CHECK(server.until([&] { return server.handler.open_now() == 0; }));
    CHECK(server.handler.seen(0).closed == EndCause::PeerClosed);
    CHECK(server.handler.seen(1).closed == EndCause::PeerReset);
    CHECK(server.handler.seen(1).bytes == "last words");
}

TEST_CASE("a half-open peer that sends and ends at once is heard to the end") {
    Server server;
    Client client = server.connect();
    client.send(std::string(200'000, 'x'));
    client.shut_down_writing();
    CHECK(server.until([&] { return server.handler.count() > 0 && server.handler.seen().closed; }));
    CHECK(server.handler.seen().bytes.size() == 200'000);
    CHECK(server.handler.seen().closed == EndCause::PeerClosed);
}

TEST_CASE("a handler may end other connections from any call") {
    Server server;
    std::vector<Client> clients;
    for (int i = 0; i < 30; ++i)
        clients.push_back(server.connect());
    REQUIRE(server.until([&] { return server.handler.count() == 30; }));
    server.handler.closed = [&](Connection& connection) {
        std::size_t next = connection.slot() + 1U;
        if (next < 30 && server.handler.seen(next).open) {
            server.handler.connection(next).append(as_bytes("bye"));
            if (next % 2 == 0) {
                server.handler.connection(next).abort();
            } else {
                server.handler.connection(next).close_after_flush();
            }
        }
        connection.append(as_bytes("nothing comes of this"));
        connection.abort();
    };
    for (std::size_t i = 0; i < 30; ++i)
        server.handler.connection(i).append(as_bytes("output"));
    server.handler.connection(0).abort();
    CHECK(server.until([&] { return server.handler.open_now() == 0; }));
    clients.clear();
    CHECK(server.until([&] { return server.loop.connections().size() == 0; }));
}

TEST_CASE("closing while much output waits leaves nothing behind") {
    Server server;
    server.handler.opened = [](Connection& connection) {
        connection.set_send_buffer(4'096);
        connection.append(as_bytes(std::string(4U << 20, 'x')));
    };
    std::vector<Client> clients;
    for (int i = 0; i < 20; ++i)
        clients.push_back(server.connect());
    REQUIRE(server.until([&] { return server.handler.count() == 20; }));
    for (std::size_t i = 0; i < 20; i += 2)
        server.handler.connection(i).abort();
    for (std::size_t i = 1; i < 20; i += 2)
        clients[i].break_off();
    CHECK(server.until([&] { return server.handler.open_now() == 0; }));
    CHECK(server.loop.connections().size() == 0);
    CHECK(server.loop.connections().pool().bytes_in_use() == 0);
}

TEST_CASE("shared bytes reach many receivers without a copy each") {
    Server server;
    std::vector<Client> clients;
    for (int i = 0; i < 10; ++i)
        clients.push_back(server.connect());
    REQUIRE(server.until([&] { return server.handler.count() == 10; }));
    SharedBytes payload(as_bytes(std::string(1U << 20, 's')));
    for (std::size_t i = 0; i < 10; ++i) {
        server.handler.connection(i).append(as_bytes("<"));
        server.handler.connection(i).append_shared(payload);
        server.handler.connection(i).append(as_bytes(">"));
    }
    CHECK(server.loop.connections().pool().bytes_in_use() < 100'000);
    for (Client& client : clients)
        CHECK(server.until(
            [&] { return client.receive() && client.received().size() == (1U << 20) + 2; }));
    CHECK(clients[9].received().back() == '>');
}

TEST_CASE("a thousand connections talk at once") {
    Server server;
    server.handler.bytes = [](Connection& connection, ByteView view) {
        connection.append(view);
        return view.size();
    };
    std::vector<Client> clients;
    clients.reserve(1'000);
    for (int i = 0; i < 1'000; ++i) {
        clients.push_back(server.connect());
        if (i % 100 == 99) server.turn(2);
    }
    REQUIRE(server.until([&] { return server.handler.count() == 1'000; }));
    for (std::size_t i = 0; i < clients.size(); ++i)
        clients[i].send("message " + std::to_string(i));
    CHECK(server.until([&] {
        for (std::size_t i = 0; i < clients.size(); ++i) {
            if (clients[i].received().empty()) clients[i].receive();
            if (clients[i].received() != "message " + std::to_string(i)) return false;
        }
        return true;
    }));
    CHECK(server.group->counts().connections == 1'000);
    clients.clear();
    CHECK(server.until([&] { return server.loop.connections().size() == 0; }));
    CHECK(server.group->counts().connections == 0);
}

TEST_CASE("a loop that stops tells every connection and sends what waits") {
    Server server;
    Client client = server.connect();
    REQUIRE(server.until([&] { return server.handler.count() == 1; }));
    server.handler.connection().append(as_bytes("last words"));
    server.loop.stop();
    server.loop.run();
    CHECK(server.handler.seen().closed == EndCause::LoopStopped);
    CHECK(server.loop.connections().size() == 0);
    while (client.receive()) {
    }
    CHECK(client.received() == "last words");
}
