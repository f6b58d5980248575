// The connections of one loop, and what they share: buffers, the list of those that have output,
// the list of those with a deadline.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "broker/net/connection.h"
#include "broker/net/output_buffer.h"

namespace quorate::broker {

// A read buffer with room in front for what an earlier read left over, so that both parts can be
// presented as one without moving the larger one.
class ReadBuffer {
  public:
    static constexpr std::size_t kHeadroom = 16'384;

    // Memory is taken at the first call.
    [[nodiscard]] std::byte* data() {
        if (!memory_) memory_ = std::make_unique<std::byte[]>(kHeadroom + size_);
        return memory_.get() + kHeadroom;
    }
    [[nodiscard]] std::size_t size() const { return size_; }
    explicit ReadBuffer(std::size_t size) : size_(size) {}

  private:
    std::size_t size_;
    std::unique_ptr<std::byte[]> memory_;
};

// What the sockets of one loop did: plain numbers that only rise, for the metrics.
struct NetCounters {
    static constexpr std::size_t kKinds = 6;  // of TransportKind
    std::array<uint64_t, kKinds> bytes_in{};
    std::array<uint64_t, kKinds> bytes_out{};
    uint64_t reads = 0;
    uint64_t writes = 0;
};

// Thread: the loop's. Owner: EventLoop. Errors: none.
class ConnectionSet {
  public:
    explicit ConnectionSet(EventLoop& loop);
    ~ConnectionSet();
    ConnectionSet(const ConnectionSet&) = delete;
    ConnectionSet& operator=(const ConnectionSet&) = delete;

    // Takes over the socket and calls handler.on_open().
    Connection& add(Connection::Origin origin, ConnectionHandler& handler);

    [[nodiscard]] std::size_t size() const { return connections_.size(); }
    [[nodiscard]] uint32_t open_handshakes() const { return open_handshakes_; }
    [[nodiscard]] ChunkPool& pool() { return pool_; }
    [[nodiscard]] EventLoop& loop() { return loop_; }
    [[nodiscard]] const NetCounters& counters() const { return counters_; }
    // Connections that gather their input, for tests.
    [[nodiscard]] std::size_t gathering() const { return gathering_.size(); }
    // Bytes that sockets refused and that wait for them.
    [[nodiscard]] std::size_t waiting_output() const;

    // The rest is called by EventLoop and Connection only.

    // Writes all dirty connections, then ends those that are closed. True when nothing is left to
    // do before the loop may sleep.
    [[nodiscard]] bool flush();
    // The same in a borrowed turn: only writes. True when nothing is left for the loop's thread.
    [[nodiscard]] bool flush_borrowed();
    // In a borrowed turn nothing is watched, ended or freed: that is put off until the next
    // flush().
    void set_borrowed(bool borrowed) { borrowed_ = borrowed; }
    void start_turn();
    // Makes what connections have gathered due; checks deadlines once a second.
    void tick(std::chrono::nanoseconds now);
    // A part of what is due: reading all of it at once would let the sockets that are ready wait.
    // True when there was some; more may be left.
    bool read_due();
    [[nodiscard]] bool has_due() const { return due_ > 0; }
    // Ends every connection with EndCause::LoopStopped; output is written as far as it goes.
    void stop();

  private:
    friend class Connection;

    void mark_dirty(Connection& connection) { dirty_.push_back(&connection); }
    void watch(Connection& connection);
    void unwatch(Connection& connection);
    void start_gathering(Connection& connection);
    void end_gathering(Connection& connection);
    void tell_end(Connection& connection);
    void remove(Connection& connection);
    [[nodiscard]] bool take_handshake_step();
    void end_handshake(Connection& connection);

    EventLoop& loop_;
    ChunkPool pool_;
    ReadBuffer wire_;   // what recv() fills
    ReadBuffer plain_;  // what a transport makes of it
    std::vector<std::unique_ptr<Connection>> connections_;
    std::vector<Connection*> dirty_;
    std::vector<Connection*> flushing_;  // dirty_ of the round under way
    std::vector<Connection*> watched_;
    std::vector<Connection*> gathering_;
    std::size_t due_ = 0;    // the first ones of gathering_, to be read soon
    std::size_t slice_ = 0;  // of them, in one turn
    std::chrono::nanoseconds last_check_{0};
    NetCounters counters_;
    uint32_t open_handshakes_ = 0;
    uint32_t handshake_steps_left_ = 0;
    bool borrowed_ = false;
};

}  // namespace quorate::broker
