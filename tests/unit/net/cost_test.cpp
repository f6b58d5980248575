// What a connection and a message cost. The second case is a measurement: run it in a Release build
// by its tag, `net_test "[.cost]"`.

#include <atomic>
#include <ctime>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <malloc.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/net/stages/transport_stack.h"
#include "tests/unit/catch.h"
#include "tests/unit/net/support.h"

using namespace quorate::broker;
using namespace quorate::broker::test;
using quorate::ByteView;

namespace {

constexpr int kPairs = 100;
constexpr std::size_t kMessageBytes = 70;
constexpr std::size_t kPerWrite = 64;
constexpr auto kDuration = std::chrono::seconds(2);

struct Quiet : ConnectionHandler {
    void on_open(Connection&) override { opened += 1; }
    std::size_t on_bytes(Connection&, ByteView view) override { return view.size(); }
    void on_writable(Connection&) override {}
    void on_closed(Connection&, EndCause) override {}
    std::size_t opened = 0;
};

// Passes each message on to the partner of its sender: n to n ^ 1.
struct Relay : ConnectionHandler {
    void on_open(Connection& connection) override {
        connection.set_slot(static_cast<uint32_t>(connections.size()));
        connections.push_back(&connection);
    }
    std::size_t on_bytes(Connection& connection, ByteView view) override {
        Connection& partner = *connections[connection.slot() ^ 1U];
        std::size_t at = 0;
        while (view.size() - at >= 2) {
            std::size_t size = 2 + std::to_integer<std::size_t>(view[at + 1]);
            if (view.size() - at < size) break;
            std::byte* out = partner.prepare(size);
            std::copy_n(view.begin() + static_cast<std::ptrdiff_t>(at), size, out);
            partner.commit(size);
            at += size;
            messages += 1;
        }
        return at;
    }
    void on_writable(Connection&) override {}
    void on_closed(Connection&, EndCause) override {}
    std::vector<Connection*> connections;
    uint64_t messages = 0;
};

double thread_cpu_seconds() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

std::string batch() {
    std::string one(kMessageBytes, 'm');
    one[0] = '\x30';
    one[1] = static_cast<char>(kMessageBytes - 2);
    std::string all;
    for (std::size_t i = 0; i < kPerWrite; ++i)
        all += one;
    return all;
}

// Every even client sends a batch when the odd one has received the last.
void keep_sending(std::vector<Client>& clients, const std::atomic<bool>& stop) {
    const std::string bytes = batch();
    for (int i = 0; i < kPairs; ++i)
        clients[2 * static_cast<std::size_t>(i)].send(bytes);
    while (!stop.load(std::memory_order_relaxed)) {
        for (std::size_t i = 0; i < clients.size(); i += 2) {
            clients[i + 1].receive();
            std::string& got = clients[i + 1].received();
            if (got.size() < bytes.size()) continue;
            got.erase(0, bytes.size());
            clients[i].send(bytes);
        }
    }
}

double nanoseconds_per_message(const std::function<uint64_t()>& turn,
                               std::vector<Client>& clients) {
    std::atomic<bool> stop{false};
    std::thread generator([&] { keep_sending(clients, stop); });
    double begin = thread_cpu_seconds();
    uint64_t messages = 0;
    auto end = std::chrono::steady_clock::now() + kDuration;
    while (std::chrono::steady_clock::now() < end)
        messages += turn();
    double used = thread_cpu_seconds() - begin;
    stop.store(true);
    generator.join();
    return used * 1e9 / static_cast<double>(messages);
}

// recv and send of whatever was read, without looking at it: what the system calls cost.
double bare_relay() {
    std::vector<Client> clients;
    std::vector<UniqueFd> served;
    UniqueFd poll(epoll_create1(0));
    for (uint32_t i = 0; i < 2 * kPairs; ++i) {
        int pair[2];
        REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
        served.emplace_back(pair[0]);
        clients.emplace_back(UniqueFd(pair[1]));
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.u32 = i;
        epoll_ctl(poll.get(), EPOLL_CTL_ADD, pair[0], &event);
    }
    std::vector<char> buffer(65'536);
    return nanoseconds_per_message(
        [&] {
            epoll_event events[256];
            uint64_t messages = 0;
            int ready = epoll_wait(poll.get(), events, 256, 10);
            for (int i = 0; i < ready; ++i) {
                uint32_t from = events[i].data.u32;
                ssize_t got = recv(served[from].get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
                if (got <= 0) continue;
                send(served[from ^ 1U].get(), buffer.data(), static_cast<std::size_t>(got), 0);
                messages += static_cast<std::size_t>(got) / kMessageBytes;
            }
            return messages;
        },
        clients);
}

double our_relay() {
    quorate::SystemClock clock;
    EventLoop loop(quorate::LoopId(0), clock);
    Relay relay;
    std::vector<Client> clients;
    for (uint32_t i = 0; i < 2 * kPairs; ++i) {
        int pair[2];
        REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
        Connection::Origin origin;
        origin.socket = UniqueFd(pair[0]);
        loop.connections().add(std::move(origin), relay);
        clients.emplace_back(UniqueFd(pair[1]));
    }
    return nanoseconds_per_message(
        [&] {
            uint64_t before = relay.messages;
            loop.run_once(std::chrono::milliseconds(10));
            return relay.messages - before;
        },
        clients);
}

}  // namespace

TEST_CASE("an idle connection takes at most 700 bytes of user memory") {
    constexpr std::size_t kConnections = 2'000;
    ListenerOptions options = plain();
    auto group = ListenerGroup::open(options, 1);
    REQUIRE(group);
    quorate::SystemClock clock;
    EventLoop loop(quorate::LoopId(0), clock);
    Quiet handler;
    Listener listener(loop, **group, 0, handler);
    REQUIRE(listener.start());
    std::vector<Client> clients;
    clients.reserve(kConnections);
    std::size_t before = mallinfo2().uordblks;
    while (handler.opened < kConnections) {
        if (clients.size() < kConnections) clients.emplace_back("127.0.0.1", (*group)->port());
        if (clients.size() % 100 == 0) loop.run_once(std::chrono::milliseconds(5));
    }
    std::size_t each = (mallinfo2().uordblks - before) / kConnections;
    WARN("bytes per idle connection: " << each << ", of which the object " << sizeof(Connection));
    CHECK(each <= 700);
}

TEST_CASE("the relay's own cost beside a bare relay's system calls", "[.cost]") {
    for (int i = 0; i < 3; ++i) {
        double bare = bare_relay();
        double ours = our_relay();
        WARN("ns per message: bare relay " << bare << ", ours with parsing " << ours
                                           << ", difference " << ours - bare);
    }
}
