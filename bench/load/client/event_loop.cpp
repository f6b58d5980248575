#include "bench/load/client/event_loop.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <netdb.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <fmt/format.h>

namespace quorate::bench {
namespace {

constexpr std::size_t kReadBufferBytes = 512 * 1024;
// A packet longer than this is read into its connection's own buffer.
constexpr std::size_t kLongPacketBytes = 128 * 1024;
constexpr std::size_t kEventsPerTurn = 512;
constexpr std::size_t kIdleOutputBytesMax = 256 * 1024;
constexpr Nanos kPingRound = std::chrono::seconds(1);

std::string errno_text(std::string_view what) {
    return fmt::format("{}: {}", what, std::strerror(errno));
}

}  // namespace

bool Endpoint::loopback_v4() const {
    if (address.ss_family != AF_INET) return false;
    sockaddr_in v4{};
    std::memcpy(&v4, &address, sizeof v4);
    return (ntohl(v4.sin_addr.s_addr) >> 24U) == 127;
}

Failure parse_endpoint(std::string_view text, Endpoint& endpoint) {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos || colon == 0 || colon + 1 == text.size()) {
        return fmt::format("'{}' is not HOST:PORT", text);
    }
    std::string host(text.substr(0, colon));
    const std::string port(text.substr(colon + 1));
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
        host = host.substr(1, host.size() - 2);
    }
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const int status = getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
    if (status != 0) return fmt::format("'{}': {}", text, gai_strerror(status));
    std::memcpy(&endpoint.address, found->ai_addr, found->ai_addrlen);
    endpoint.address_bytes = found->ai_addrlen;
    endpoint.text = text;
    freeaddrinfo(found);
    return std::nullopt;
}

EventLoop::EventLoop(std::size_t packet_bytes_max)
    : packet_bytes_max_(packet_bytes_max), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    events_.resize(kEventsPerTurn);
    buffer_.resize(kReadBufferBytes);
}

EventLoop::~EventLoop() {
    for (const auto& connection : connections_) {
        if (connection->open()) shut(*connection);
    }
    if (epoll_ >= 0) ::close(epoll_);
}

Connection* EventLoop::open(const Endpoint& endpoint, unsigned source_host, std::string& error) {
    const int fd =
        socket(endpoint.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        error = errno_text("socket");
        return nullptr;
    }
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (source_host != 0) {
        // The port is chosen at connect, among those free towards this endpoint.
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        sockaddr_in source{};
        source.sin_family = AF_INET;
        source.sin_addr.s_addr = htonl(0x7F000000U | source_host);
        if (bind(fd, reinterpret_cast<const sockaddr*>(&source), sizeof source) != 0) {
            error = errno_text("bind");
            ::close(fd);
            return nullptr;
        }
    }
    const auto* address = reinterpret_cast<const sockaddr*>(&endpoint.address);
    if (connect(fd, address, endpoint.address_bytes) != 0 && errno != EINPROGRESS) {
        error = errno_text("connect");
        ::close(fd);
        return nullptr;
    }
    connections_.push_back(std::make_unique<Connection>());
    Connection& made = *connections_.back();
    made.fd_ = fd;
    made.wants_writable_ = true;
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT;
    event.data.ptr = &made;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
    ++open_count_;
    return &made;
}

void EventLoop::close(Connection& connection) {
    if (!connection.open()) return;
    if (connection.unsent() > 0 && !connection.connecting_) {
        static_cast<void>(send(connection.fd_, connection.out_.data() + connection.out_head_,
                               connection.unsent(), MSG_NOSIGNAL));
    }
    shut(connection);
}

void EventLoop::shut(Connection& connection) {
    ::close(connection.fd_);  // also takes it out of epoll
    connection.fd_ = -1;
    connection.out_ = Bytes();
    connection.out_head_ = 0;
    connection.partial_ = Bytes();
    connection.partial_filled_ = 0;
    --open_count_;
}

void EventLoop::lose(Connection& connection, std::string_view why, FrameSink& sink) {
    shut(connection);
    sink.on_closed(connection, why);
}

void EventLoop::touch(Connection& connection) {
    if (connection.touched_ || !connection.open()) return;
    connection.touched_ = true;
    touched_.push_back(&connection);
}

int EventLoop::wait(Nanos wait_max) {
    const int room = static_cast<int>(events_.size());
    if (fine_wait_) {
        const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(wait_max);
        timespec limit{};
        limit.tv_sec = seconds.count();
        limit.tv_nsec = (wait_max - seconds).count();
        const int ready = epoll_pwait2(epoll_, events_.data(), room, &limit, nullptr);
        if (ready >= 0 || errno != ENOSYS) return ready;
        fine_wait_ = false;
    }
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(wait_max);
    return epoll_wait(epoll_, events_.data(), room, static_cast<int>(ms.count()));
}

void EventLoop::turn(Nanos wait_max, FrameSink& sink) {
    const int ready = wait(std::max(wait_max, Nanos(0)));
    for (int i = 0; i < ready; ++i) {
        const epoll_event event = events_[static_cast<std::size_t>(i)];
        auto* connection = static_cast<Connection*>(event.data.ptr);
        if (connection->open()) handle(*connection, event.events, sink);
    }
    sink.on_turn_read();
    const Nanos now = monotonic_now();
    if (now >= next_ping_round_) {
        next_ping_round_ = now + kPingRound;
        ping_idle(now);
    }
    flush_touched(sink);
}

void EventLoop::handle(Connection& connection, std::uint32_t events, FrameSink& sink) {
    if (connection.connecting_) {
        finish_connect(connection, sink);
        return;
    }
    if ((events & EPOLLOUT) != 0) flush(connection, sink);
    if (connection.open() && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
        read(connection, sink);
}

void EventLoop::finish_connect(Connection& connection, FrameSink& sink) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(connection.fd_, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) {
        lose(connection, fmt::format("connect: {}", std::strerror(error)), sink);
        return;
    }
    connection.connecting_ = false;
    watch(connection, false);
    sink.on_connected(connection);
}

void EventLoop::watch(Connection& connection, bool writable) {
    if (connection.wants_writable_ == writable) return;
    connection.wants_writable_ = writable;
    epoll_event event{};
    event.events = writable ? EPOLLIN | EPOLLOUT : EPOLLIN;
    event.data.ptr = &connection;
    epoll_ctl(epoll_, EPOLL_CTL_MOD, connection.fd_, &event);
}

void EventLoop::read(Connection& connection, FrameSink& sink) {
    if (connection.partial_.size() > kLongPacketBytes) {
        if (!read_long_packet(connection, sink)) return;
    }
    const std::size_t kept = connection.partial_filled_;
    if (kept > 0) std::memcpy(buffer_.data(), connection.partial_.data(), kept);
    const ssize_t got = recv(connection.fd_, buffer_.data() + kept, buffer_.size() - kept, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
        lose(connection, got == 0 ? "closed by the broker" : errno_text("recv"), sink);
        return;
    }
    const ByteSpan data(buffer_.data(), kept + static_cast<std::size_t>(got));
    const std::optional<std::size_t> used = cut(connection, data, sink);
    if (!used) return;
    const ByteSpan rest = data.subspan(*used);
    connection.partial_filled_ = rest.size();
    if (rest.empty()) {
        connection.partial_.clear();
        return;
    }
    const std::size_t total = scan_frame(rest).total;
    connection.partial_.assign(rest.begin(), rest.end());
    if (total > kLongPacketBytes) connection.partial_.resize(total);
}

bool EventLoop::read_long_packet(Connection& connection, FrameSink& sink) {
    Bytes& packet = connection.partial_;
    std::size_t& filled = connection.partial_filled_;
    const ssize_t got = recv(connection.fd_, packet.data() + filled, packet.size() - filled, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (got <= 0) {
        lose(connection, got == 0 ? "closed by the broker" : errno_text("recv"), sink);
        return false;
    }
    filled += static_cast<std::size_t>(got);
    if (filled < packet.size()) return false;
    const Bytes whole = std::move(packet);
    packet = Bytes();
    filled = 0;
    return cut(connection, whole, sink).has_value();
}

std::optional<std::size_t> EventLoop::cut(Connection& connection, ByteSpan data, FrameSink& sink) {
    const Nanos now = monotonic_now();
    std::size_t used = 0;
    while (used < data.size()) {
        const FrameScan scan = scan_frame(data.subspan(used));
        if (scan.status == ScanStatus::malformed || scan.total > packet_bytes_max_) {
            lose(connection, "the broker sent a malformed or oversized packet", sink);
            return std::nullopt;
        }
        if (scan.status == ScanStatus::incomplete) break;
        used += scan.total;
        sink.on_frame(connection, scan.frame, now);
        if (!connection.open()) return std::nullopt;
    }
    return used;
}

void EventLoop::flush(Connection& connection, FrameSink& sink) {
    if (connection.connecting_ || connection.unsent() == 0) return;
    const ssize_t sent = send(connection.fd_, connection.out_.data() + connection.out_head_,
                              connection.unsent(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        lose(connection, errno_text("send"), sink);
        return;
    }
    if (sent > 0) {
        connection.out_head_ += static_cast<std::size_t>(sent);
        connection.last_write_ = monotonic_now();
    }
    if (connection.unsent() > 0) {
        watch(connection, true);
        if (connection.out_head_ > connection.out_.size() / 2) {
            const auto sent_end =
                connection.out_.begin() + static_cast<Bytes::difference_type>(connection.out_head_);
            connection.out_.erase(connection.out_.begin(), sent_end);
            connection.out_head_ = 0;
        }
        return;
    }
    connection.out_.clear();
    connection.out_head_ = 0;
    if (connection.out_.capacity() > kIdleOutputBytesMax) connection.out_ = Bytes();
    watch(connection, false);
    sink.on_drained(connection);
}

void EventLoop::flush_touched(FrameSink& sink) {
    // on_drained and on_closed may queue more; that waits for the next turn.
    std::vector<Connection*> touched;
    touched.swap(touched_);
    for (Connection* connection : touched) {
        connection->touched_ = false;
        // While the socket is full, epoll says when to go on.
        if (connection->open() && !connection->wants_writable_) flush(*connection, sink);
    }
    if (touched_.empty()) {
        touched.clear();
        touched_.swap(touched);
    }
}

void EventLoop::ping_idle(Nanos now) {
    for (const auto& connection : connections_) {
        if (!connection->open() || connection->keep_alive_s == 0) continue;
        if (now - connection->last_write_ < std::chrono::seconds(connection->keep_alive_s) / 2)
            continue;
        append_pingreq(connection->output());
        touch(*connection);
    }
}

}  // namespace quorate::bench
