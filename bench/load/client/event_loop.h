// The generator's event loop: epoll over all connections of a thread. It reads into one shared
// buffer and hands out packets in place, and sends what was queued once per turn, so that the cost
// of a system call is shared by all messages of that turn.
//
// Thread: the one that calls turn(); nothing here is shared.
// Errors: a socket that fails or a broker that closes is reported by FrameSink::on_closed, once.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "bench/load/client/connection.h"

namespace quorate::bench {

// An error text; std::nullopt means success.
using Failure = std::optional<std::string>;

struct Endpoint {
    sockaddr_storage address{};
    socklen_t address_bytes = 0;
    std::string text;  // as the user wrote it

    // Whether it is in 127.0.0.0/8, where we may choose among many source addresses.
    [[nodiscard]] bool loopback_v4() const;
};

// "HOST:PORT", "[IPv6]:PORT"; a name is resolved now, its first address is taken.
[[nodiscard]] Failure parse_endpoint(std::string_view text, Endpoint& endpoint);

// Who is told what happens on the connections of a loop. Every call is made from EventLoop::turn().
class FrameSink {
  public:
    virtual ~FrameSink() = default;
    // The TCP connection is made, nothing is sent yet.
    virtual void on_connected(Connection& connection) = 0;
    // A whole packet; `frame` is valid during the call. `now` is when its bytes were read.
    virtual void on_frame(Connection& connection, const Frame& frame, Nanos now) = 0;
    // The other side or the network ended it; not called for EventLoop::close().
    virtual void on_closed(Connection& connection, std::string_view why) = 0;
    // All its output has been sent.
    virtual void on_drained(Connection& connection) = 0;
    // All that was ready has been read; output queued now leaves in this turn.
    virtual void on_turn_read() = 0;
};

class EventLoop {
  public:
    // Packets longer than `packet_bytes_max` end their connection.
    explicit EventLoop(std::size_t packet_bytes_max);
    ~EventLoop();
    EventLoop(const EventLoop&) = delete;
    EventLoop& operator=(const EventLoop&) = delete;

    // Starts to connect. `source_host` is the last byte of the loopback address to connect from, 0
    // for any. Null with `error` set when the socket cannot be made, for instance for want of
    // descriptors.
    Connection* open(const Endpoint& endpoint, unsigned source_host, std::string& error);
    // Sends what the kernel takes at once and closes.
    void close(Connection& connection);
    // Output was appended: send it at the end of this turn.
    void touch(Connection& connection);
    // Waits up to `wait_max` for something to happen, then handles all that did.
    void turn(Nanos wait_max, FrameSink& sink);

    [[nodiscard]] std::size_t open_count() const { return open_count_; }

  private:
    int wait(Nanos wait_max);
    void handle(Connection& connection, std::uint32_t events, FrameSink& sink);
    void finish_connect(Connection& connection, FrameSink& sink);
    void read(Connection& connection, FrameSink& sink);
    bool read_long_packet(Connection& connection, FrameSink& sink);
    // Hands out the packets in `data`; returns how many bytes they took, or nothing when the
    // connection ended.
    std::optional<std::size_t> cut(Connection& connection, ByteSpan data, FrameSink& sink);
    void flush(Connection& connection, FrameSink& sink);
    void flush_touched(FrameSink& sink);
    void lose(Connection& connection, std::string_view why, FrameSink& sink);
    void shut(Connection& connection);
    void watch(Connection& connection, bool writable);
    void ping_idle(Nanos now);

    const std::size_t packet_bytes_max_;
    int epoll_ = -1;
    bool fine_wait_ = true;  // epoll_pwait2 is there
    std::size_t open_count_ = 0;
    Nanos next_ping_round_{0};
    std::vector<std::unique_ptr<Connection>> connections_;
    std::vector<Connection*> touched_;
    std::vector<epoll_event> events_;
    Bytes buffer_;
};

}  // namespace quorate::bench
