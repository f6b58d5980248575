#include "cluster/link/resolver.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>

#include "cluster/link/transport.h"

namespace quorate::link {

namespace {

constexpr std::size_t kQuestionsMax = 1024;
constexpr std::size_t kAddressesMax = 64;

void add(std::vector<std::string>& out, std::string address) {
    const bool there = std::ranges::find(out, address) != out.end();
    if (!there && out.size() < kAddressesMax) out.push_back(std::move(address));
}

void look_up(const std::string& address, std::vector<std::string>& out) {
    const HostAndPort split = split_address(address);
    if (split.host.empty()) return;
    if (is_numeric(split.host)) {
        add(out, address);
        return;
    }
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (::getaddrinfo(split.host.c_str(), nullptr, &hints, &found) != 0) return;
    const std::string port = std::to_string(split.port);
    for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
        char text[NI_MAXHOST];
        if (::getnameinfo(each->ai_addr, each->ai_addrlen, text, sizeof(text), nullptr, 0,
                          NI_NUMERICHOST) != 0) {
            continue;
        }
        const bool six = each->ai_family == AF_INET6;
        std::string numeric;
        numeric.append(six ? "[" : "").append(text).append(six ? "]:" : ":").append(port);
        add(out, std::move(numeric));
    }
    ::freeaddrinfo(found);
}

bool all_numeric(const std::vector<std::string>& addresses) {
    return std::ranges::all_of(addresses, [](const std::string& each) {
        const HostAndPort split = split_address(each);
        return split.host.empty() || is_numeric(split.host);
    });
}

std::vector<std::string> only_numeric(const std::vector<std::string>& addresses) {
    std::vector<std::string> out;
    for (const std::string& each : addresses) {
        if (is_numeric(split_address(each).host)) add(out, each);
    }
    return out;
}

}  // namespace

struct Resolver::Impl {
    explicit Impl(LoopDoor to) : door(std::move(to)) {}

    struct Lookup {
        std::vector<std::string> addresses;
        Reply reply;
    };

    void give(Lookup lookup, std::vector<std::string> found) {
        door.post_reserved([reply = std::move(lookup.reply), found = std::move(found)]() mutable {
            reply(std::move(found));
        });
    }
    void run() {
        for (;;) {
            Lookup lookup;
            {
                std::unique_lock lock(mutex);
                changed.wait(lock, [this] { return stopping || !waiting.empty(); });
                if (stopping) return;
                lookup = std::move(waiting.front());
                waiting.pop_front();
            }
            std::vector<std::string> found;
            for (const std::string& each : lookup.addresses)
                look_up(each, found);
            give(std::move(lookup), std::move(found));
        }
    }

    const LoopDoor door;
    std::mutex mutex{};  // guards the next three
    std::condition_variable changed{};
    std::deque<Lookup> waiting{};
    bool stopping = false;
    std::thread thread{};
};

Resolver::Resolver(LoopDoor door) : impl_(std::make_unique<Impl>(std::move(door))) {}

Resolver::~Resolver() {
    {
        const std::lock_guard lock(impl_->mutex);
        impl_->stopping = true;
    }
    impl_->changed.notify_all();
    if (impl_->thread.joinable()) impl_->thread.join();
}

void Resolver::ask(std::vector<std::string> addresses, Reply reply) {
    Impl::Lookup lookup{std::move(addresses), std::move(reply)};
    const std::unique_lock lock(impl_->mutex);
    if (all_numeric(lookup.addresses) || impl_->waiting.size() >= kQuestionsMax) {
        std::vector<std::string> found = only_numeric(lookup.addresses);
        impl_->give(std::move(lookup), std::move(found));
        return;
    }
    impl_->waiting.push_back(std::move(lookup));
    if (!impl_->thread.joinable()) {
        impl_->thread = std::thread([this] { impl_->run(); });
    }
    impl_->changed.notify_one();
}

}  // namespace quorate::link
