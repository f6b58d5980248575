#include "tests/unit/net/support.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/catch.h"

namespace quorate::broker::test {

TempDir::TempDir() {
    std::string path = (std::filesystem::temp_directory_path() / "quorate-net-XXXXXX").string();
    REQUIRE(mkdtemp(path.data()) != nullptr);
    path_ = path;
}

TempDir::~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

std::string TempDir::file(std::string_view name) const {
    return path_ + "/" + std::string(name);
}

namespace {

UniqueFd connected(int family, const void* address, socklen_t size) {
    UniqueFd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(fd);
    REQUIRE(::connect(fd.get(), static_cast<const sockaddr*>(address), size) == 0);
    return fd;
}

UniqueFd connect_inet(const std::string& host, uint16_t port) {
    if (host.find(':') == std::string::npos) {
        sockaddr_in v4{};
        v4.sin_family = AF_INET;
        v4.sin_port = htons(port);
        inet_pton(AF_INET, host.c_str(), &v4.sin_addr);
        return connected(AF_INET, &v4, sizeof(v4));
    }
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr);
    return connected(AF_INET6, &v6, sizeof(v6));
}

UniqueFd connect_unix(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), std::min(path.size(), sizeof(address.sun_path) - 1));
    return connected(AF_UNIX, &address, sizeof(address));
}

}  // namespace

Client::Client(const std::string& host, uint16_t port) : fd_(connect_inet(host, port)) {}
Client::Client(const std::string& unix_path) : fd_(connect_unix(unix_path)) {}
Client::Client(UniqueFd fd) : fd_(std::move(fd)) {}

std::size_t Client::send(std::string_view bytes) {
    std::size_t sent = 0;
    while (sent < bytes.size()) {
        ssize_t now = ::send(fd_.get(), bytes.data() + sent, bytes.size() - sent,
                             MSG_NOSIGNAL | MSG_DONTWAIT);
        if (now < 0) break;
        sent += static_cast<std::size_t>(now);
    }
    return sent;
}

bool Client::receive() {
    char buffer[65'536];
    while (true) {
        ssize_t got = ::recv(fd_.get(), buffer, sizeof(buffer), MSG_DONTWAIT);
        if (got > 0) {
            received_.append(buffer, static_cast<std::size_t>(got));
            continue;
        }
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) return true;
        ended_ = true;
        reset_ = got < 0;
        return false;
    }
}

void Client::shut_down_writing() {
    ::shutdown(fd_.get(), SHUT_WR);
}

void Client::set_receive_buffer(int bytes) {
    setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
}

void Client::break_off() {
    linger reset{1, 0};
    setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    fd_.reset();
}

void Recorder::on_open(Connection& connection) {
    connection.set_slot(static_cast<uint32_t>(all_.size()));
    all_.push_back(std::make_unique<Seen>());
    live_.push_back(&connection);
    all_.back()->open = true;
    if (opened) opened(connection);
}

std::size_t Recorder::on_bytes(Connection& connection, ByteView view) {
    Seen& seen = of(connection);
    REQUIRE(seen.open);
    seen.peer = connection.peer().text();
    if (const TlsPeer* tls = connection.tls()) {
        seen.common_name = tls->common_name;
        seen.verified = tls->verified;
    }
    std::size_t consumed = bytes ? bytes(connection, view) : view.size();
    seen.bytes += text(view.first(consumed));
    return consumed;
}

void Recorder::on_writable(Connection& connection) {
    of(connection).writable += 1;
    if (writable) writable(connection);
}

void Recorder::on_write_stalled(Connection& connection) {
    of(connection).stalled += 1;
    if (stalled) {
        stalled(connection);
    } else {
        ConnectionHandler::on_write_stalled(connection);
    }
}

void Recorder::on_closed(Connection& connection, EndCause cause) {
    Seen& seen = of(connection);
    REQUIRE(seen.open);
    REQUIRE_FALSE(seen.closed.has_value());
    seen.open = false;
    seen.closed = cause;
    seen.detail = connection.close_detail();
    if (closed) closed(connection);
}

std::size_t Recorder::open_now() const {
    return static_cast<std::size_t>(
        std::count_if(all_.begin(), all_.end(), [](const auto& seen) { return seen->open; }));
}

ListenerOptions plain(TransportKind kind, std::string host) {
    ListenerOptions options;
    options.address.kind = kind;
    options.address.host = std::move(host);
    if (uses_websocket(kind)) options.address.path = "/mqtt";
    options.connect_limits = {0, 0};
    return options;
}

namespace {

std::unique_ptr<ListenerGroup> open_group(ListenerOptions options) {
    Result<std::unique_ptr<ListenerGroup>> opened = ListenerGroup::open(std::move(options), 1);
    if (!opened) FAIL(opened.error().message);
    return std::move(opened).value();
}

}  // namespace

Server::Server(ListenerOptions options, EventLoopOptions loop_options)
    : group(open_group(std::move(options))), loop(LoopId(0), clock, loop_options) {
    listener = std::make_unique<Listener>(loop, *group, 0, handler);
    REQUIRE(listener->start());
}

bool Server::until(const std::function<bool()>& done) {
    auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!done()) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        loop.run_once(std::chrono::milliseconds(5));
    }
    return true;
}

void Server::turn(int times) {
    for (int i = 0; i < times; ++i)
        loop.run_once(std::chrono::milliseconds(1));
}

Client Server::connect() {
    const ListenAddress& address = group->options().address;
    if (address.kind == TransportKind::Unix) return Client(address.path);
    return Client(address.host, address.port);
}

std::string text(ByteView bytes) {
    return std::string(as_text(bytes));
}

}  // namespace quorate::broker::test
