// What the tests of broker/net share: a client socket, a handler that records, a loop that is
// driven by the test until something holds.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/net/connection.h"
#include "broker/net/connection_set.h"
#include "broker/net/event_loop.h"
#include "broker/net/listener.h"
#include "proto/base/environment.h"

namespace quorate::broker::test {

// A directory that is gone with its object.
class TempDir {
  public:
    TempDir();
    ~TempDir();
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    [[nodiscard]] std::string file(std::string_view name) const;

  private:
    std::string path_;
};

// A non-blocking client socket on loopback.
class Client {
  public:
    // `host` is 127.0.0.1 or ::1. Fails the test when nobody listens.
    Client(const std::string& host, uint16_t port);
    explicit Client(const std::string& unix_path);
    // Adopts one end of a pair.
    explicit Client(UniqueFd fd);

    // Sends as much as the socket takes and returns how much that was.
    std::size_t send(std::string_view bytes);
    // Appends what there is to received(). False at the end of the stream or after a reset.
    bool receive();
    [[nodiscard]] std::string& received() { return received_; }
    [[nodiscard]] bool ended() const { return ended_; }
    [[nodiscard]] bool reset() const { return reset_; }
    void shut_down_writing();
    void set_receive_buffer(int bytes);
    // Closes with a reset.
    void break_off();
    void close() { fd_.reset(); }

  private:
    UniqueFd fd_;
    std::string received_;
    bool ended_ = false;
    bool reset_ = false;
};

// Records what a connection tells. By default consumes everything.
class Recorder : public ConnectionHandler {
  public:
    struct Seen {
        std::string bytes;
        bool open = false;
        int writable = 0;
        int stalled = 0;
        std::optional<EndCause> closed;
        std::string detail;
        std::string peer;
        std::string common_name;
        bool verified = false;
    };

    std::function<void(Connection&)> opened;
    // Returns how much is consumed.
    std::function<std::size_t(Connection&, ByteView)> bytes;
    std::function<void(Connection&)> writable;
    std::function<void(Connection&)> stalled;
    std::function<void(Connection&)> closed;

    void on_open(Connection& connection) override;
    std::size_t on_bytes(Connection& connection, ByteView view) override;
    void on_writable(Connection& connection) override;
    void on_write_stalled(Connection& connection) override;
    void on_closed(Connection& connection, EndCause cause) override;

    // Of the n-th connection that was opened.
    Seen& seen(std::size_t n = 0) { return *all_.at(n); }
    Connection& connection(std::size_t n = 0) { return *live_.at(n); }
    [[nodiscard]] std::size_t count() const { return all_.size(); }
    [[nodiscard]] std::size_t open_now() const;

  private:
    Seen& of(Connection& connection) { return *all_.at(connection.slot()); }

    std::vector<std::unique_ptr<Seen>> all_;
    std::vector<Connection*> live_;
};

// On a port that the system picks, without limits on connects.
[[nodiscard]] ListenerOptions plain(TransportKind kind = TransportKind::Tcp,
                                    std::string host = "127.0.0.1");

// A loop with one listener and a recorder; the test's thread drives it.
class Server {
  public:
    explicit Server(ListenerOptions options = plain(), EventLoopOptions loop_options = {});

    // Turns the loop until `done`, at most ten seconds. Returns what `done` said last.
    bool until(const std::function<bool()>& done);
    // Some turns, to see that nothing happens.
    void turn(int times = 5);
    [[nodiscard]] Client connect();

    SystemClock clock;
    std::unique_ptr<ListenerGroup> group;
    EventLoop loop;
    Recorder handler;
    std::unique_ptr<Listener> listener;
};

[[nodiscard]] std::string text(ByteView bytes);

}  // namespace quorate::broker::test
