#include "broker/net/listener.h"

#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/unit/catch.h"
#include "tests/unit/net/support.h"

using namespace quorate::broker;
using namespace quorate::broker::test;

TEST_CASE("port 0 is given a real port, and the address says it") {
    auto group = ListenerGroup::open(plain(), 3);
    REQUIRE(group);
    uint16_t port = (*group)->port();
    CHECK(port != 0);
    CHECK((*group)->text() == "tcp://127.0.0.1:" + std::to_string(port));
}

TEST_CASE("a port in use is an error that names the address, also within our own process") {
    Server server;
    ListenerOptions options = plain();
    options.address.port = server.group->port();
    auto again = ListenerGroup::open(options, 1);
    REQUIRE_FALSE(again);
    CHECK(again.error().message ==
          "tcp://127.0.0.1:" + std::to_string(options.address.port) + ": address in use");
}

TEST_CASE("a listener can be opened again as soon as it is closed") {
    ListenerOptions options = plain();
    {
        Server server;
        options.address.port = server.group->port();
        Client client = server.connect();
        REQUIRE(server.until([&] { return server.handler.count() == 1; }));
    }
    CHECK(ListenerGroup::open(options, 2));
}

TEST_CASE("what is not an address is refused") {
    ListenerOptions options = plain(TransportKind::Tcp, "broker.example");
    CHECK_FALSE(ListenerGroup::open(options, 1));
    options = plain(TransportKind::Tcp, "192.0.2.1");
    CHECK_FALSE(ListenerGroup::open(options, 1));
    options = plain(TransportKind::Tls);
    CHECK_FALSE(ListenerGroup::open(options, 1));
}

TEST_CASE("IPv6 clients are served") {
    Server server(plain(TransportKind::Tcp, "::1"));
    Client client = server.connect();
    client.send("six");
    CHECK(server.until(
        [&] { return server.handler.count() > 0 && server.handler.seen().bytes == "six"; }));
    CHECK(server.handler.seen().peer.find("[::1]:") == 0);
    CHECK(server.group->text() == "tcp://[::1]:" + std::to_string(server.group->port()));
}

TEST_CASE("a Unix socket is served, its leftover is replaced, its path freed at the end") {
    TempDir dir;
    ListenerOptions options = plain(TransportKind::Unix);
    options.address.path = dir.file("mqtt.sock");
    {
        Server server(options);
        Client client = server.connect();
        client.send("local");
        CHECK(server.until(
            [&] { return server.handler.count() > 0 && server.handler.seen().bytes == "local"; }));
        CHECK(server.handler.seen().peer == "unix");
        auto second = ListenerGroup::open(options, 1);
        REQUIRE_FALSE(second);
        CHECK(second.error().message.find("address in use") != std::string::npos);
        std::filesystem::create_hard_link(dir.file("mqtt.sock"), dir.file("left.sock"));
    }
    CHECK_FALSE(std::filesystem::exists(options.address.path));
    options.address.path = dir.file("left.sock");
    CHECK(ListenerGroup::open(options, 1));
}

TEST_CASE("a file that is not a socket is never removed") {
    TempDir dir;
    ListenerOptions options = plain(TransportKind::Unix);
    options.address.path = dir.file("plain");
    FILE* file = fopen(options.address.path.c_str(), "w");
    REQUIRE(file != nullptr);
    fclose(file);
    CHECK_FALSE(ListenerGroup::open(options, 1));
    CHECK(std::filesystem::exists(options.address.path));
}

TEST_CASE("connections above the maximum are closed at once and counted") {
    ListenerOptions options = plain();
    options.connections_max = 2;
    Server server(options);
    Client first = server.connect();
    Client second = server.connect();
    REQUIRE(server.until([&] { return server.handler.count() == 2; }));
    Client third = server.connect();
    CHECK(server.until([&] { return !third.receive(); }));
    CHECK(server.handler.count() == 2);
    CHECK(server.group->counts().refused_full == 1);
    first.close();
    REQUIRE(server.until([&] { return server.group->counts().connections == 1; }));
    Client fourth = server.connect();
    CHECK(server.until([&] { return server.handler.count() == 3; }));
}

TEST_CASE("connects above the loop's rate wait in the backlog") {
    ListenerOptions options = plain();
    options.connect_limits = {20, 0};
    Server server(options);
    std::vector<Client> clients;
    for (int i = 0; i < 25; ++i)
        clients.push_back(server.connect());
    server.turn(3);
    CHECK(server.handler.count() < 25);
    CHECK(server.group->counts().paused_rate >= 1);
    CHECK(server.until([&] { return server.handler.count() == 25; }));
    CHECK(server.group->counts().refused_rate == 0);
}

TEST_CASE("connects above an address's rate are reset") {
    ListenerOptions options = plain();
    options.connect_limits = {0, 5};
    Server server(options);
    std::vector<Client> clients;
    for (int i = 0; i < 8; ++i)
        clients.push_back(server.connect());
    CHECK(server.until(
        [&] { return server.handler.count() + server.group->counts().refused_rate == 8; }));
    CHECK(server.group->counts().refused_rate >= 2);
    CHECK(server.until([&] { return !clients[7].receive(); }));
}

TEST_CASE("a paused listener leaves clients in the backlog, a stopped one has none") {
    Server server;
    server.listener->pause();
    Client early = server.connect();
    server.turn();
    CHECK(server.handler.count() == 0);
    server.listener->resume();
    CHECK(server.until([&] { return server.handler.count() == 1; }));
    server.listener->stop();
    server.turn();
    CHECK(server.handler.open_now() == 1);
}

TEST_CASE("accepting pauses when descriptors run short and goes on when some are free") {
    Server server;
    struct rlimit before {};
    REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
    ListenerOptions options = plain();
    options.reserved_descriptors = static_cast<uint32_t>(before.rlim_cur) / 2;
    struct rlimit low = before;
    low.rlim_cur = 120;
    REQUIRE(setrlimit(RLIMIT_NOFILE, &low) == 0);
    options.reserved_descriptors = 50;
    {
        Server scarce(options);
        std::vector<Client> clients;
        // Each takes two descriptors of this process: the client's end and the server's.
        for (int i = 0; i < 40 && scarce.group->counts().paused_descriptors == 0; ++i) {
            clients.push_back(scarce.connect());
            scarce.turn(1);
        }
        CHECK(scarce.group->counts().paused_descriptors >= 1);
        std::size_t served = scarce.handler.count();
        Client waiting = scarce.connect();
        scarce.turn(3);
        CHECK(scarce.handler.count() == served);
        clients.clear();
        CHECK(scarce.until([&] { return scarce.handler.count() == served + 1; }));
    }
    REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
}

TEST_CASE("an accepted socket can be handed to another loop", "[threads]") {
    quorate::SystemClock clock;
    TempDir dir;
    ListenerOptions options = plain(TransportKind::Unix);
    options.address.path = dir.file("mqtt.sock");
    auto group = ListenerGroup::open(options, 2);
    REQUIRE(group);
    EventLoop loop0(quorate::LoopId(0), clock);
    EventLoop loop1(quorate::LoopId(1), clock);
    Recorder handler0;
    Recorder handler1;
    struct Router : AcceptRouter {
        void on_accepted(AcceptedSocket accepted) override {
            posted.push_back(std::move(accepted));
        }
        std::vector<AcceptedSocket> posted;
    } router;
    Listener on0(loop0, **group, 0, handler0, &router);
    Listener on1(loop1, **group, 1, handler1, &router);
    REQUIRE(on0.start());
    REQUIRE(on1.start());
    Client a(options.address.path);
    Client b(options.address.path);
    a.send("to loop 1");
    for (int i = 0; i < 100 && router.posted.size() < 2; ++i)
        loop0.run_once(std::chrono::milliseconds(5));
    REQUIRE(router.posted.size() == 2);
    CHECK((*group)->counts().connections == 2);
    on1.adopt(std::move(router.posted[0]));
    router.posted.clear();  // the second one is dropped, and closed
    CHECK((*group)->counts().connections == 1);
    for (int i = 0; i < 100 && handler1.seen().bytes.empty(); ++i)
        loop1.run_once(std::chrono::milliseconds(5));
    CHECK(handler1.seen().bytes == "to loop 1");
    CHECK(handler0.count() == 0);
    CHECK_FALSE(b.receive());
}

TEST_CASE("several loops accept on one port, each with its own socket", "[threads]") {
    constexpr std::size_t kLoops = 2;
    quorate::SystemClock clock;
    auto group = ListenerGroup::open(plain(), kLoops);
    REQUIRE(group);
    struct Side {
        explicit Side(const quorate::SystemClock& c, std::size_t n)
            : loop(quorate::LoopId(static_cast<uint16_t>(n)), c) {}
        EventLoop loop;
        Recorder handler;
        std::unique_ptr<Listener> listener;
    };
    std::vector<std::unique_ptr<Side>> sides;
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < kLoops; ++i) {
        sides.push_back(std::make_unique<Side>(clock, i));
        Side& side = *sides.back();
        side.handler.bytes = [](Connection& connection, quorate::ByteView view) {
            connection.append(view);
            return view.size();
        };
        side.listener = std::make_unique<Listener>(side.loop, **group, i, side.handler);
        REQUIRE(side.listener->start());
        threads.emplace_back([&side] { side.loop.run(); });
    }
    std::vector<Client> clients;
    for (int i = 0; i < 200; ++i) {
        clients.emplace_back("127.0.0.1", (*group)->port());
        clients.back().send("ping");
    }
    auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    std::size_t answered = 0;
    while (answered < clients.size() && std::chrono::steady_clock::now() < deadline) {
        answered = 0;
        for (Client& client : clients) {
            client.receive();
            if (client.received() == "ping") answered += 1;
        }
    }
    CHECK(answered == clients.size());
    for (auto& side : sides)
        side->loop.stop();
    for (std::thread& thread : threads)
        thread.join();
    CHECK(sides[0]->handler.count() + sides[1]->handler.count() == 200);
    CHECK(sides[0]->handler.count() > 0);
    CHECK(sides[1]->handler.count() > 0);
}
