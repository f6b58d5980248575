#include "broker/net/address.h"

#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fmt/format.h>

namespace quorate::broker {

void UniqueFd::reset() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
}

std::string_view to_string(TransportKind kind) {
    switch (kind) {
        case TransportKind::Tcp:
            return "tcp";
        case TransportKind::Tls:
            return "tls";
        case TransportKind::WebSocket:
            return "ws";
        case TransportKind::WebSocketTls:
            return "wss";
        case TransportKind::Unix:
            return "unix";
        case TransportKind::Http:
            return "http";
    }
    return "?";
}

bool uses_tls(TransportKind kind) {
    return kind == TransportKind::Tls || kind == TransportKind::WebSocketTls;
}

bool uses_websocket(TransportKind kind) {
    return kind == TransportKind::WebSocket || kind == TransportKind::WebSocketTls;
}

std::string ListenAddress::text() const {
    if (kind == TransportKind::Unix) return fmt::format("unix://{}", path);
    bool v6 = host.find(':') != std::string::npos;
    return fmt::format("{}://{}{}{}:{}{}", to_string(kind), v6 ? "[" : "", host, v6 ? "]" : "",
                       port, uses_websocket(kind) ? path : "");
}

PeerAddress PeerAddress::from(const sockaddr& address) {
    PeerAddress peer;
    if (address.sa_family == AF_INET) {
        sockaddr_in v4{};
        std::memcpy(&v4, &address, sizeof(v4));
        std::memcpy(peer.bytes.data(), &v4.sin_addr, 4);
        peer.port = ntohs(v4.sin_port);
        peer.family = Family::V4;
    } else if (address.sa_family == AF_INET6) {
        sockaddr_in6 v6{};
        std::memcpy(&v6, &address, sizeof(v6));
        peer.port = ntohs(v6.sin6_port);
        // An IPv4 client of a socket for both families is the same client.
        if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
            std::memcpy(peer.bytes.data(), &v6.sin6_addr.s6_addr[12], 4);
            peer.family = Family::V4;
        } else {
            std::memcpy(peer.bytes.data(), &v6.sin6_addr, 16);
            peer.family = Family::V6;
        }
    } else if (address.sa_family == AF_UNIX) {
        peer.family = Family::Unix;
    }
    return peer;
}

std::string PeerAddress::host() const {
    char text[INET6_ADDRSTRLEN] = "";
    switch (family) {
        case Family::Unknown:
            return "unknown";
        case Family::Unix:
            return "unix";
        case Family::V4:
            inet_ntop(AF_INET, bytes.data(), text, sizeof(text));
            return text;
        case Family::V6:
            inet_ntop(AF_INET6, bytes.data(), text, sizeof(text));
            return text;
    }
    return "unknown";
}

std::string PeerAddress::text() const {
    switch (family) {
        case Family::Unknown:
        case Family::Unix:
            return host();
        case Family::V4:
            return fmt::format("{}:{}", host(), port);
        case Family::V6:
            return fmt::format("[{}]:{}", host(), port);
    }
    return host();
}

}  // namespace quorate::broker
