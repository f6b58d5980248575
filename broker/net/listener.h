// Listening sockets: one configured listener has a socket on every loop (SO_REUSEPORT).
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "broker/net/address.h"
#include "broker/net/connect_limiter.h"
#include "broker/net/connection.h"
#include "broker/net/event_loop.h"
#include "broker/net/stages/http_upgrade.h"
#include "broker/net/stages/tls_context.h"
#include "proto/base/result.h"

namespace quorate::broker {

struct ListenerOptions {
    uint16_t index = 0;  // of the listener in the configuration; see Connection::listener()
    ListenAddress address;
    TlsContextSlot* tls = nullptr;       // required for tls and wss; outlives the listener
    bool proxy_protocol = false;         // every connection must begin with a PROXY header
    uint32_t connections_max = 100'000;  // on all loops; one more is closed at once and counted
    int backlog = 4'096;
    ConnectLimits connect_limits;
    uint32_t reserved_descriptors = 256;  // accepting pauses when only so many are left
    // Of WebSocket listeners: `path` is the address's.
    UpgradeRules websocket;
};

// Counts of one listener over all loops.
struct ListenerCounts {
    uint64_t accepted = 0;
    uint64_t connections = 0;   // open now
    uint64_t refused_full = 0;  // connections_max
    uint64_t refused_rate = 0;  // per address
    uint64_t paused_rate = 0;   // per loop: times accepting waited for tokens
    uint64_t paused_descriptors = 0;
    uint64_t paused_handshakes = 0;
};

// A listener's sockets, bound but not yet accepting, and its counts.
//
// Thread: opened by one, then read by all loops. Owner: the broker; outlives its Listeners and
// the connections they made, so make it before the loops.
// Errors: open() names the address ("tcp://127.0.0.1:1883: address in use").
class ListenerGroup {
    struct Passkey {};  // only open() makes groups

  public:
    ListenerGroup(Passkey, ListenerOptions options);
    // Binds a socket per loop; an IPv6 one is for IPv6 only. A Unix socket has one, which loop 0
    // accepts on. Binding fails also when another process of ours listens there, although
    // SO_REUSEPORT would let us share.
    [[nodiscard]] static Result<std::unique_ptr<ListenerGroup>> open(ListenerOptions options,
                                                                     std::size_t loops);
    ~ListenerGroup();
    ListenerGroup(const ListenerGroup&) = delete;
    ListenerGroup& operator=(const ListenerGroup&) = delete;

    // As given to open(); what set_connections_max() and Listener::set_limits() changed is not
    // here.
    [[nodiscard]] const ListenerOptions& options() const { return options_; }
    // Thread: any. Connections that are open stay.
    void set_connections_max(uint32_t most) { connections_max_.store(most); }
    [[nodiscard]] uint32_t connections_max() const { return connections_max_.load(); }
    // The real port, when 0 was asked for; options().address has it too.
    [[nodiscard]] uint16_t port() const { return options_.address.port; }
    // The URL with the real port.
    [[nodiscard]] std::string text() const { return options_.address.text(); }
    [[nodiscard]] ListenerCounts counts() const;

  private:
    friend class Listener;
    [[nodiscard]] Status bind_unix();
    [[nodiscard]] Status bind_inet(std::size_t loops);

    struct Atomics {
        std::atomic<uint64_t> accepted{0};
        std::atomic<uint64_t> connections{0};
        std::atomic<uint64_t> refused_full{0};
        std::atomic<uint64_t> refused_rate{0};
        std::atomic<uint64_t> paused_rate{0};
        std::atomic<uint64_t> paused_descriptors{0};
        std::atomic<uint64_t> paused_handshakes{0};
    };

    ListenerOptions options_;
    std::vector<UniqueFd> sockets_;  // one per loop; a Unix listener has only the first
    bool unlink_on_close_ = false;
    std::atomic<uint32_t> connections_max_;
    Atomics counts_;
};

// A socket that was accepted and is not yet a connection: may be posted to another loop.
struct AcceptedSocket {
    UniqueFd socket;
    PeerAddress peer;
    uint16_t listener = 0;
    OpenCount count;
};

// Decides where an accepted socket shall live. Without one it stays on the loop that accepted it,
// which for a Unix listener is always loop 0, and for TCP what SO_REUSEPORT happened to choose.
class AcceptRouter {
  public:
    virtual ~AcceptRouter() = default;
    // Called on the accepting loop. Posts the socket to a loop, where Listener::adopt() takes it;
    // or adopts it here. A socket that is destroyed is closed.
    virtual void on_accepted(AcceptedSocket accepted) = 0;
};

// A listener on one loop.
//
// Thread: its loop's (start() also before the loop runs). Owner: the front-end of that loop; it
// outlives the connections it made, so destroy it after the loop has stopped.
class Listener final : public PollHandle::Target {
  public:
    // Requires: `loop_number` < loops given to open(). `router` null: adopt on this loop.
    Listener(EventLoop& loop, ListenerGroup& group, std::size_t loop_number,
             ConnectionHandler& handler, AcceptRouter* router = nullptr);
    ~Listener();
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

    // Listens and accepts. On a loop without a socket of this group (Unix, loop > 0) it does
    // nothing but make adopt() possible.
    [[nodiscard]] Status start();
    // Stops accepting and closes this loop's socket; connections stay. Idempotent. With
    // SO_REUSEPORT the kernel resets what waited in this socket's backlog.
    void stop();
    // Stops and resumes accepting while the socket stays; what arrives waits in the backlog.
    void pause();
    void resume();
    // For what is accepted from now on.
    void set_limits(const ConnectLimits& limits, uint32_t reserved_descriptors);

    // Makes a connection of a socket that this or another loop accepted. It counts against
    // connections_max from its acceptance on.
    void adopt(AcceptedSocket accepted);

    [[nodiscard]] const ListenerGroup& group() const { return group_; }

  private:
    enum class Pause : uint8_t { None, Rate, Descriptors, Handshakes };

    void on_events(unsigned events) override;
    // Why nothing may be accepted at the moment.
    [[nodiscard]] Pause obstacle() const;
    [[nodiscard]] bool descriptors_left() const;
    void take_in(AcceptedSocket accepted);
    void pause_because(Pause reason);
    void try_again();
    void update_watch();

    EventLoop& loop_;
    ListenerGroup& group_;
    ConnectionHandler& handler_;
    AcceptRouter* router_;
    UniqueFd socket_;
    std::unique_ptr<PollHandle> poll_;
    ConnectLimiter limiter_;
    Timer retry_;  // looks every 100 ms whether the obstacle is gone
    int highest_descriptor_;
    Pause pause_ = Pause::None;
    bool asked_to_pause_ = false;
};

}  // namespace quorate::broker
