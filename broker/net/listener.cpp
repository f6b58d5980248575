#include "broker/net/listener.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <climits>
#include <fmt/format.h>

#include "broker/net/connection_set.h"
#include "broker/net/stages/transport_stack.h"
#include "proto/base/assert.h"

namespace quorate::broker {

namespace {

// New clients a turn: the established ones are waiting meanwhile.
constexpr int kAcceptsPerTurn = 64;
constexpr std::chrono::milliseconds kRetryInterval{100};

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t size = 0;

    [[nodiscard]] sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
    [[nodiscard]] const sockaddr* get() const {
        return reinterpret_cast<const sockaddr*>(&storage);
    }
};

Error failed(const ListenAddress& address, std::string_view what, int error) {
    std::string reason =
        error == EADDRINUSE ? "address in use" : std::generic_category().message(error);
    return {ErrorCode::Io,
            fmt::format("{}: {}{}{}", address.text(), what, what.empty() ? "" : ": ", reason)};
}

Result<SocketAddress> resolve(const ListenAddress& address) {
    std::string host = address.host;
    if (host.empty() || host == "*") host = "0.0.0.0";
    if (host == "localhost") host = "127.0.0.1";
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
    addrinfo* found = nullptr;
    if (getaddrinfo(host.c_str(), std::to_string(address.port).c_str(), &hints, &found) != 0) {
        return Error{ErrorCode::InvalidArgument,
                     fmt::format("{}: not a numeric address", address.text())};
    }
    SocketAddress result;
    std::memcpy(&result.storage, found->ai_addr, found->ai_addrlen);
    result.size = found->ai_addrlen;
    freeaddrinfo(found);
    return result;
}

void set_option(int fd, int level, int name, int value) {
    setsockopt(fd, level, name, &value, sizeof(value));
}

// A bound socket, or errno in `error`.
UniqueFd bind_socket(const SocketAddress& address, bool share, int& error) {
    int family = address.get()->sa_family;
    UniqueFd fd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd) {
        error = errno;
        return {};
    }
    set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
    if (share) set_option(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1);
    if (family == AF_INET6) set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
    if (::bind(fd.get(), address.get(), address.size) == 0) return fd;
    error = errno;
    return {};
}

// True when somebody listens at the path; a socket that nobody answers is a leftover.
bool is_served(const sockaddr_un& address) {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    return fd &&
           ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
}

int highest_usable_descriptor(uint32_t reserved) {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > INT_MAX) return INT_MAX;
    auto descriptors = static_cast<int>(limit.rlim_cur);
    return descriptors - std::min(static_cast<int>(reserved), descriptors / 2);
}

}  // namespace

ListenerGroup::ListenerGroup(Passkey, ListenerOptions options)
    : options_(std::move(options)), connections_max_(options_.connections_max) {
    if (!options_.address.path.empty()) options_.websocket.path = options_.address.path;
}

ListenerGroup::~ListenerGroup() {
    if (unlink_on_close_) ::unlink(options_.address.path.c_str());
}

Result<std::unique_ptr<ListenerGroup>> ListenerGroup::open(ListenerOptions options,
                                                           std::size_t loops) {
    ASSERT(loops > 0, "a listener needs a loop");
    if (uses_tls(options.address.kind) && options.tls == nullptr) {
        return Error{ErrorCode::InvalidArgument,
                     fmt::format("{}: no certificate is configured", options.address.text())};
    }
    auto group = std::make_unique<ListenerGroup>(Passkey{}, std::move(options));
    bool is_unix = group->options_.address.kind == TransportKind::Unix;
    Status status = is_unix ? group->bind_unix() : group->bind_inet(loops);
    if (!status) return status.error();
    return group;
}

Status ListenerGroup::bind_inet(std::size_t loops) {
    Result<SocketAddress> resolved = resolve(options_.address);
    if (!resolved) return resolved.error();
    SocketAddress address = std::move(resolved).value();
    int error = 0;
    // With SO_REUSEPORT a second broker of this user would share the port without a word: a socket
    // without it finds out.
    if (options_.address.port != 0 && !bind_socket(address, false, error))
        return failed(options_.address, "", error);
    for (std::size_t i = 0; i < loops; ++i) {
        UniqueFd fd = bind_socket(address, true, error);
        if (!fd) return failed(options_.address, "", error);
        if (options_.address.port == 0) {
            getsockname(fd.get(), address.get(), &address.size);
            options_.address.port = PeerAddress::from(*address.get()).port;
        }
        sockets_.push_back(std::move(fd));
    }
    return {};
}

Status ListenerGroup::bind_unix() {
    const std::string& path = options_.address.path;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof(address.sun_path)) {
        return Error{ErrorCode::InvalidArgument,
                     fmt::format("{}: the path is empty or too long", options_.address.text())};
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    struct stat existing {};
    if (::lstat(path.c_str(), &existing) == 0) {
        if (!S_ISSOCK(existing.st_mode) || is_served(address))
            return failed(options_.address, "", EADDRINUSE);
        ::unlink(path.c_str());
    }
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd || ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
        return failed(options_.address, "", errno);
    unlink_on_close_ = true;
    sockets_.push_back(std::move(fd));
    return {};
}

ListenerCounts ListenerGroup::counts() const {
    auto read = [](const std::atomic<uint64_t>& value) {
        return value.load(std::memory_order_relaxed);
    };
    ListenerCounts counts;
    counts.accepted = read(counts_.accepted);
    counts.connections = read(counts_.connections);
    counts.refused_full = read(counts_.refused_full);
    counts.refused_rate = read(counts_.refused_rate);
    counts.paused_rate = read(counts_.paused_rate);
    counts.paused_descriptors = read(counts_.paused_descriptors);
    counts.paused_handshakes = read(counts_.paused_handshakes);
    return counts;
}

Listener::Listener(EventLoop& loop, ListenerGroup& group, std::size_t loop_number,
                   ConnectionHandler& handler, AcceptRouter* router)
    : loop_(loop),
      group_(group),
      handler_(handler),
      router_(router),
      limiter_(group.options().connect_limits, system_seed()),
      retry_(loop, [this] { try_again(); }),
      highest_descriptor_(highest_usable_descriptor(group.options().reserved_descriptors)) {
    if (loop_number < group.sockets_.size()) socket_ = std::move(group.sockets_[loop_number]);
}

Listener::~Listener() {
    stop();
}

Status Listener::start() {
    if (!socket_) return {};
    if (::listen(socket_.get(), group_.options().backlog) != 0)
        return failed(group_.options().address, "listen", errno);
    poll_ = std::make_unique<PollHandle>(loop_, socket_.get(), *this);
    if (!poll_->valid()) return failed(group_.options().address, "poll", EMFILE);
    update_watch();
    return {};
}

void Listener::stop() {
    retry_.stop();
    poll_.reset();
    socket_.reset();
}

void Listener::pause() {
    asked_to_pause_ = true;
    update_watch();
}

void Listener::resume() {
    asked_to_pause_ = false;
    update_watch();
}

void Listener::set_limits(const ConnectLimits& limits, uint32_t reserved_descriptors) {
    limiter_.set_limits(limits);
    highest_descriptor_ = highest_usable_descriptor(reserved_descriptors);
}

void Listener::update_watch() {
    bool accepting = !asked_to_pause_ && pause_ == Pause::None;
    if (poll_) poll_->watch(accepting ? PollHandle::kReadable : PollHandle::kNone);
}

void Listener::on_events(unsigned events) {
    static_cast<void>(events);
    const ListenerOptions& options = group_.options();
    for (int i = 0; i < kAcceptsPerTurn; ++i) {
        if (Pause reason = obstacle(); reason != Pause::None) {
            pause_because(reason);
            return;
        }
        SocketAddress address;
        address.size = sizeof(address.storage);
        int fd =
            ::accept4(socket_.get(), address.get(), &address.size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            int error = errno;
            if (error == EINTR || error == ECONNABORTED || error == EPROTO) continue;
            if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM)
                pause_because(Pause::Descriptors);
            break;
        }
        limiter_.count_loop(loop_.now());
        AcceptedSocket accepted;
        accepted.socket = UniqueFd(fd);
        accepted.peer = PeerAddress::from(*address.get());
        accepted.listener = options.index;
        take_in(std::move(accepted));
        // Descriptors are given out lowest first: a high one says how many are in use.
        if (fd >= highest_descriptor_) {
            pause_because(Pause::Descriptors);
            return;
        }
    }
    update_watch();
}

void Listener::take_in(AcceptedSocket accepted) {
    const ListenerOptions& options = group_.options();
    ListenerGroup::Atomics& counts = group_.counts_;
    bool is_inet = options.address.kind != TransportKind::Unix;
    if (is_inet && !options.proxy_protocol && !limiter_.admit(accepted.peer, loop_.now())) {
        counts.refused_rate.fetch_add(1, std::memory_order_relaxed);
        linger reset{1, 0};  // a refused flood shall not leave TIME_WAIT behind
        setsockopt(accepted.socket.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        return;
    }
    accepted.count = OpenCount(counts.connections);
    if (counts.connections.load(std::memory_order_relaxed) >
        group_.connections_max_.load(std::memory_order_relaxed)) {
        counts.refused_full.fetch_add(1, std::memory_order_relaxed);
        return;
    }
    counts.accepted.fetch_add(1, std::memory_order_relaxed);
    // Output is gathered by us; Nagle's delay on top of it costs 40 ms against delayed ACKs.
    if (is_inet) set_option(accepted.socket.get(), IPPROTO_TCP, TCP_NODELAY, 1);
    if (router_ != nullptr) {
        router_->on_accepted(std::move(accepted));
    } else {
        adopt(std::move(accepted));
    }
}

void Listener::adopt(AcceptedSocket accepted) {
    const ListenerOptions& options = group_.options();
    Connection::Origin origin;
    origin.socket = std::move(accepted.socket);
    origin.peer = accepted.peer;
    origin.listener = accepted.listener;
    origin.kind = options.address.kind;
    origin.count = std::move(accepted.count);
    TransportStack::Options stack;
    stack.proxy_protocol = options.proxy_protocol;
    if (uses_tls(origin.kind)) stack.tls = options.tls->get();
    if (uses_websocket(origin.kind)) stack.websocket = &group_.options_.websocket;
    if (stack.proxy_protocol || stack.tls || stack.websocket != nullptr) {
        origin.transport =
            std::make_unique<TransportStack>(std::move(stack), loop_.connections().pool());
    }
    loop_.connections().add(std::move(origin), handler_);
}

Listener::Pause Listener::obstacle() const {
    if (!limiter_.loop_ready(loop_.now())) return Pause::Rate;
    if (uses_tls(group_.options().address.kind) &&
        loop_.connections().open_handshakes() >= loop_.options().handshakes_open_max)
        return Pause::Handshakes;
    return Pause::None;
}

void Listener::pause_because(Pause reason) {
    pause_ = reason;
    ListenerGroup::Atomics& counts = group_.counts_;
    switch (reason) {
        case Pause::None:
            return;
        case Pause::Rate:
            counts.paused_rate.fetch_add(1, std::memory_order_relaxed);
            break;
        case Pause::Descriptors:
            counts.paused_descriptors.fetch_add(1, std::memory_order_relaxed);
            break;
        case Pause::Handshakes:
            counts.paused_handshakes.fetch_add(1, std::memory_order_relaxed);
            break;
    }
    update_watch();
    retry_.start(kRetryInterval);
}

bool Listener::descriptors_left() const {
    UniqueFd lowest(::fcntl(socket_.get(), F_DUPFD_CLOEXEC, 0));
    return lowest && lowest.get() < highest_descriptor_;
}

void Listener::try_again() {
    bool gone = pause_ == Pause::Descriptors ? descriptors_left() : obstacle() == Pause::None;
    if (!gone) {
        retry_.start(kRetryInterval);
        return;
    }
    pause_ = Pause::None;
    update_watch();
}

}  // namespace quorate::broker
