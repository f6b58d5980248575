#include "broker/config/address.h"

#include <algorithm>
#include <array>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "broker/config/units.h"

namespace quorate::broker {
namespace {

struct Scheme {
    std::string_view name;
    Transport transport;
};

constexpr std::array<Scheme, 5> kSchemes = {{{"tcp", Transport::Tcp},
                                             {"tls", Transport::Tls},
                                             {"ws", Transport::WebSocket},
                                             {"wss", Transport::SecureWebSocket},
                                             {"unix", Transport::Unix}}};

constexpr size_t kHostBytesMax = 253;      // RFC 1035
constexpr size_t kUnixPathBytesMax = 107;  // sockaddr_un, with its NUL
constexpr size_t kRequestPathBytesMax = 1024;
constexpr std::string_view kDefaultRequestPath = "/mqtt";

Error invalid(std::string message) {
    return {ErrorCode::InvalidArgument, std::move(message)};
}

bool is_alphanumeric(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_host_character(char c) {
    return is_alphanumeric(c) || c == '.' || c == '-' || c == '_';
}

bool is_ipv6_character(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == ':' ||
           c == '.';
}

// Printable ASCII without what would end a request line or a URL.
bool is_path_character(char c) {
    return c > ' ' && c < 0x7F && c != '#' && c != '?';
}

bool is_loopback(const std::string& host) {
    return host == "::1" || host == "localhost" ||
           (host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string::npos);
}

std::string bracketed(const std::string& host) {
    return host.find(':') == std::string::npos ? host : "[" + host + "]";
}

}  // namespace

Result<HostPort> parse_host_port(std::string_view text) {
    const Error malformed = invalid("expected host:port, such as 127.0.0.1:1883 or [::1]:1883");
    const size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return malformed;
    std::string_view host = text.substr(0, colon);
    const bool brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
    if (brackets) host = host.substr(1, host.size() - 2);
    if (host.empty() || host.size() > kHostBytesMax) return malformed;
    if (!std::all_of(host.begin(), host.end(), brackets ? is_ipv6_character : is_host_character)) {
        return malformed;
    }
    const std::string_view digits = text.substr(colon + 1);
    const std::optional<uint64_t> port = parse_count(digits);
    if (!port || *port > 65'535 || digits.size() > 5) {
        return invalid("expected a port from 0 to 65535");
    }
    return HostPort{std::string(host), static_cast<uint16_t>(*port)};
}

Result<ListenerUrl> parse_listener_url(std::string_view text) {
    const Error malformed = invalid(
        "expected tcp://host:port, tls://host:port, ws://host:port/path, wss://host:port/path or "
        "unix:///path");
    const size_t mark = text.find("://");
    if (mark == std::string_view::npos) return malformed;
    const auto scheme = std::ranges::find(kSchemes, text.substr(0, mark), &Scheme::name);
    if (scheme == kSchemes.end()) return malformed;
    const std::string_view rest = text.substr(mark + 3);

    ListenerUrl url;
    url.transport = scheme->transport;
    if (url.transport == Transport::Unix) {
        if (rest.size() < 2 || rest.front() != '/' || rest.size() > kUnixPathBytesMax) {
            return invalid("expected unix:// and an absolute path of at most 107 bytes");
        }
        if (rest.find('\0') != std::string_view::npos) return malformed;
        url.path = rest;
        return url;
    }
    const size_t slash = rest.find('/');
    const std::string_view authority = rest.substr(0, slash);
    const std::string_view path =
        slash == std::string_view::npos ? std::string_view() : rest.substr(slash);
    Result<HostPort> host_port = parse_host_port(authority);
    if (!host_port) return host_port.error();
    url.host = host_port->host;
    url.port = host_port->port;
    if (!url.web_socket()) {
        if (!path.empty()) return invalid("expected nothing after the port");
        return url;
    }
    if (path.size() > kRequestPathBytesMax ||
        !std::all_of(path.begin(), path.end(), is_path_character)) {
        return invalid("expected a path of printable characters, at most 1024, without ? and #");
    }
    url.path = path.empty() ? kDefaultRequestPath : path;
    return url;
}

bool ListenerUrl::local() const {
    return transport == Transport::Unix || is_loopback(host);
}

std::string ListenerUrl::text() const {
    const auto scheme = std::ranges::find(kSchemes, transport, &Scheme::transport);
    std::string out = std::string(scheme->name) + "://";
    if (transport != Transport::Unix) out += bracketed(host) + ":" + std::to_string(port);
    return out + path;
}

std::string HostPort::text() const {
    return empty() ? std::string() : bracketed(host) + ":" + std::to_string(port);
}

bool HostPort::local() const {
    return is_loopback(host);
}

bool HostPort::numeric() const {
    std::array<unsigned char, sizeof(in6_addr)> bytes{};
    return ::inet_pton(AF_INET, host.c_str(), bytes.data()) == 1 ||
           ::inet_pton(AF_INET6, host.c_str(), bytes.data()) == 1;
}

bool ClusterConfig::clustered() const {
    return !seeds.empty() || bootstrap_expect > 1 || !listen.empty();
}

HostPort ClusterConfig::listens_at() const {
    if (listen.empty()) return {"127.0.0.1", 7400};
    return {listen.host == "localhost" ? "127.0.0.1" : listen.host, listen.port};
}

HostPort ClusterConfig::reached_at() const {
    return advertise.empty() ? listens_at() : advertise;
}

bool Config::allow_anonymous() const {
    switch (auth.allow_anonymous) {
        case AllowAnonymous::Yes:
            return true;
        case AllowAnonymous::No:
            return false;
        case AllowAnonymous::Auto:
            break;
    }
    return std::ranges::all_of(listeners,
                               [](const ListenerConfig& each) { return each.url.local(); });
}

bool valid_origin(std::string_view text) {
    if (text == "null") return true;
    const size_t colon = text.find("://");
    if (colon == 0 || colon == std::string_view::npos) return false;
    const std::string_view authority = text.substr(colon + 3);
    const auto plain = [](char c) { return c > ' ' && c < 0x7F && c != '/' && c != '"'; };
    return !authority.empty() && text.size() <= 256 && std::ranges::all_of(authority, plain);
}

}  // namespace quorate::broker
