// Addresses: where a listener listens, the address of a peer, and the owner of a file descriptor.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "proto/base/result.h"

struct sockaddr;

namespace quorate::broker {

// Owns a file descriptor; -1 is none. Thread: any, one at a time: it may be posted to another loop.
class UniqueFd {
  public:
    UniqueFd() = default;
    explicit UniqueFd(int fd) : fd_(fd) {}
    UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    UniqueFd& operator=(UniqueFd&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~UniqueFd() { reset(); }

    [[nodiscard]] int get() const { return fd_; }
    [[nodiscard]] int release() { return std::exchange(fd_, -1); }
    void reset();
    explicit operator bool() const { return fd_ >= 0; }

  private:
    int fd_ = -1;
};

// One of a number of things that are counted while they exist: raises the count when made, lowers
// it when destroyed. Thread: any. Requires: the counter outlives it.
class OpenCount {
  public:
    OpenCount() = default;
    explicit OpenCount(std::atomic<uint64_t>& counter) : counter_(&counter) {
        counter.fetch_add(1, std::memory_order_relaxed);
    }
    OpenCount(OpenCount&& other) noexcept : counter_(std::exchange(other.counter_, nullptr)) {}
    OpenCount& operator=(OpenCount&& other) noexcept {
        std::swap(counter_, other.counter_);
        return *this;
    }
    ~OpenCount() {
        if (counter_ != nullptr) counter_->fetch_sub(1, std::memory_order_relaxed);
    }

  private:
    std::atomic<uint64_t>* counter_ = nullptr;
};

// What a listener speaks. Http is plain TCP whose handler speaks HTTP itself (metrics, health).
enum class TransportKind : uint8_t { Tcp, Tls, WebSocket, WebSocketTls, Unix, Http };

// "tcp", "tls", "ws", "wss", "unix", "http".
[[nodiscard]] std::string_view to_string(TransportKind kind);
[[nodiscard]] bool uses_tls(TransportKind kind);
[[nodiscard]] bool uses_websocket(TransportKind kind);

struct ListenAddress {
    TransportKind kind = TransportKind::Tcp;
    std::string host;   // numeric IPv4 or IPv6 without brackets; empty for Unix
    uint16_t port = 0;  // 0: the system picks one
    std::string path;   // ws, wss: path of the upgrade, default "/mqtt"; unix: path of the socket

    // "tcp://[::1]:1883", "unix:///run/quorate.sock".
    [[nodiscard]] std::string text() const;
};

// The address of the other side in 20 bytes: an idle connection keeps no text.
struct PeerAddress {
    enum class Family : uint8_t { Unknown, V4, V6, Unix };

    std::array<uint8_t, 16> bytes{};  // V4 uses the first four
    uint16_t port = 0;
    Family family = Family::Unknown;

    [[nodiscard]] static PeerAddress from(const sockaddr& address);
    // "192.0.2.1", "2001:db8::1", "unix", "unknown": without port, for logs, bans and limits.
    [[nodiscard]] std::string host() const;
    // "192.0.2.1:5012", "[2001:db8::1]:5012", "unix", "unknown".
    [[nodiscard]] std::string text() const;
    [[nodiscard]] bool operator==(const PeerAddress&) const = default;
};

}  // namespace quorate::broker
