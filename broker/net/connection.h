// A connection of a client: MQTT bytes in both directions, whatever transport carries them.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "broker/net/address.h"
#include "broker/net/event_loop.h"
#include "broker/net/output_buffer.h"
#include "broker/net/stages/tls_context.h"
#include "proto/base/bytes.h"

namespace quorate::broker {

class Connection;
class TransportStack;

// Why a connection ended.
enum class EndCause : uint8_t {
    Server,           // close_after_flush() or abort() by the handler
    PeerClosed,       // end of stream, WebSocket close or TLS close_notify
    PeerReset,        // the peer or the network broke it
    WriteStalled,     // the peer took nothing for too long
    InputLimit,       // more unconsumed input than input_bytes_max
    TlsFailed,        // handshake or record error; see close_detail()
    WebSocketFailed,  // upgrade refused or protocol violated
    ProxyFailed,      // PROXY header missing or malformed
    LoopStopped,
};

[[nodiscard]] const char* to_string(EndCause cause);

// What a connection tells its user. All calls come on the connection's loop, never from inside a
// call that the handler made: prepare(), commit(), close_after_flush() and abort() call nothing
// back.
class ConnectionHandler {
  public:
    virtual ~ConnectionHandler() = default;

    // Accepted. TLS, PROXY and WebSocket hand-shakes may still be to come, under the handler's own
    // connect timeout; until the first on_bytes() peer() may change (PROXY) and tls() is null.
    virtual void on_open(Connection& connection) = 0;

    // Bytes of the MQTT stream, in place, valid during the call. Returns how many were consumed;
    // the rest comes again in front of what follows, or after resume_reading(). A handler that
    // aborts or closes the connection inside may return anything.
    virtual std::size_t on_bytes(Connection& connection, ByteView bytes) = 0;

    // Once after the socket had refused some output, or after notify_when_writable(), when
    // pending_output() has fallen to output_low_water_bytes.
    virtual void on_writable(Connection& connection) = 0;

    // The TLS handshake is done, and took so long. Default: nothing.
    virtual void on_secured(Connection& /*connection*/, std::chrono::nanoseconds /*took*/) {}

    // The peer took nothing for write_stall_timeout although output waits. Default: abort().
    virtual void on_write_stalled(Connection& connection);

    // The last call, exactly once after on_open(); the connection is gone when it returns.
    virtual void on_closed(Connection& connection, EndCause cause) = 0;
};

// One socket with what is wrapped around it.
//
//   Open --close_after_flush()--> Flushing --all written, shut down--> Lingering --EOF or time-->
//   gone
//    |                               |
//    +------ abort(), error ---------+--> Closed --end of the turn--> gone
//
// on_closed() is called when Flushing has ended; a lingering socket belongs to nobody and only
// waits for the peer's FIN, because closing it with unread input would destroy what was just
// written.
//
// Output is gathered and written once a turn. An idle plain connection owns no buffer: about 450
// bytes with its libuv handle.
//
// Thread: that which holds the turn of the loop that accepted the socket. Owner: ConnectionSet of
// that loop; a reference is valid until on_closed() returns. Errors: by EndCause. Spec: MQTT 5 §4.2
// (Network Connections), §6.
class Connection final : public PollHandle::Target {
  public:
    struct Origin {
        UniqueFd socket;
        PeerAddress peer;
        uint16_t listener = 0;
        TransportKind kind = TransportKind::Tcp;
        std::unique_ptr<TransportStack> transport;  // null: plain
        OpenCount count;
    };
    Connection(ConnectionSet& set, Origin origin, ConnectionHandler& handler);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    // Room for `size` bytes of output, valid until the next call for this connection. After the
    // connection began to close the bytes are dropped.
    [[nodiscard]] std::byte* prepare(std::size_t size) { return output_.prepare(size); }
    // Appends the first `size` bytes of it. They are written at the end of the turn.
    void commit(std::size_t size) {
        if (state_ != State::Open) return;
        output_.commit(size);
        if (!dirty_) mark_dirty();
    }
    void append(ByteView bytes) {
        if (state_ != State::Open) return;
        output_.append(bytes);
        if (!dirty_) mark_dirty();
    }
    // A reference instead of a copy: for payloads above some 4 KiB.
    void append_shared(SharedBytes bytes) {
        if (state_ != State::Open) return;
        output_.append_shared(std::move(bytes));
        if (!dirty_) mark_dirty();
    }
    // Bytes committed and not yet taken by the socket. The caller keeps it bounded.
    [[nodiscard]] std::size_t pending_output() const;
    // Asks for one on_writable().
    void notify_when_writable();

    // Writes what was committed, then ends the stream (TLS close_notify, WebSocket close, FIN).
    // Nothing more is read. Output of a peer that does not read is dropped after close_timeout.
    void close_after_flush(EndCause cause = EndCause::Server);
    // Ends it now, with a reset: pending output is dropped.
    void abort(EndCause cause = EndCause::Server);
    // True from either call, or an error, until the end.
    [[nodiscard]] bool closing() const { return state_ != State::Open; }

    // Back-pressure: while paused nothing is read and on_bytes() is not called. A peer that goes
    // away meanwhile is noticed on resume, or by failing output.
    void pause_reading();
    // Unconsumed bytes are presented again in the same or the next turn.
    void resume_reading();
    [[nodiscard]] bool reading_paused() const { return paused_; }

    // While on, input of four bytes or fewer wakes nobody: it is read with what follows it, or by
    // the loop's next tick. For a peer that answers each message with a packet that nobody waits
    // for, this saves every other wake-up. Goes off by itself when nothing comes between two ticks;
    // stays off where the kernel does not offer it (all but plain TCP).
    void gather_input(bool on);
    [[nodiscard]] bool gathers_input() const { return gathers_; }

    // When the socket last took output, or got some while it had none.
    [[nodiscard]] std::chrono::nanoseconds last_write_progress() const { return write_progress_; }
    // Memory of unconsumed input and pending output: for the memory high-water mark.
    [[nodiscard]] std::size_t buffered_bytes() const {
        return pending_output() + input_.capacity();
    }

    [[nodiscard]] EventLoop& loop() const;
    // The client's address, as the PROXY header gave it where one is required.
    [[nodiscard]] const PeerAddress& peer() const { return peer_; }
    // Index of the listener, as in ListenerOptions.
    [[nodiscard]] uint16_t listener() const { return listener_; }
    [[nodiscard]] TransportKind kind() const { return kind_; }
    // Null without TLS and before its handshake is done.
    [[nodiscard]] const TlsPeer* tls() const;
    // In the middle of a TLS handshake; until on_closed() returns, if it ended there.
    [[nodiscard]] bool handshaking() const { return handshaking_; }
    // Why it ended, in words for the log; empty when the cause says all. Escaped, no secrets.
    [[nodiscard]] std::string close_detail() const;

    void set_user(void* user) { user_ = user; }
    [[nodiscard]] void* user() const { return user_; }
    void set_slot(uint32_t slot) { slot_ = slot; }
    [[nodiscard]] uint32_t slot() const { return slot_; }

    // Kernel buffers of the socket, for tests and tuning; 0 leaves the system's choice.
    void set_send_buffer(std::size_t bytes);

  private:
    friend class ConnectionSet;
    enum class State : uint8_t { Open, Flushing, Lingering, Closed };

    void on_events(unsigned events) override;
    void read_socket();
    void receive_through_stack(ByteView wire);
    void settle_stack();
    void deliver(std::byte* bytes, std::size_t size);
    void keep(ByteView unconsumed);
    void keep_behind(ByteView bytes);
    void present_kept();
    void discard_input();
    void read_gathered();
    void begin_flushing(EndCause cause);
    void end(EndCause cause);
    // Writes what there is; called once a turn for a dirty connection.
    void flush();
    void flush_borrowed();
    void flush_through_stack();
    void write_wire(OutputBuffer& wire);
    void tell_writable();
    void finish_flushing();
    void stop();
    void update_watch();
    void mark_dirty();
    void check_deadlines(std::chrono::nanoseconds now);
    [[nodiscard]] bool tells_end() const;

    ConnectionSet& set_;
    ConnectionHandler* handler_;  // null when on_closed() was called
    std::unique_ptr<TransportStack> transport_;
    OpenCount count_;
    void* user_ = nullptr;
    OutputBuffer output_;           // plain connections: the wire's bytes; others: MQTT bytes
    std::vector<std::byte> input_;  // received, not consumed; no memory when empty
    std::chrono::nanoseconds write_progress_{0};
    std::chrono::nanoseconds phase_started_{0};  // of the TLS handshake, then of closing
    UniqueFd socket_;
    uint32_t slot_ = 0;
    uint32_t set_index_ = 0;     // in ConnectionSet
    uint32_t watch_index_ = 0;   // in its list of connections with a deadline
    uint32_t gather_index_ = 0;  // in its list of those that gather input
    PeerAddress peer_;
    uint16_t listener_;
    TransportKind kind_;
    State state_ = State::Open;
    EndCause cause_ = EndCause::Server;
    bool dirty_ : 1 = false;
    bool watched_ : 1 = false;  // has a place in the list of connections with a deadline
    bool paused_ : 1 = false;
    bool blocked_ : 1 = false;  // the socket refused output
    bool want_writable_ : 1 = false;
    bool present_again_ : 1 = false;  // kept input is due after resume_reading()
    bool handshaking_ : 1 = false;    // counts as an open TLS handshake of the loop
    bool reset_ : 1 = false;          // abort(): close with RST
    bool gathers_ : 1 = false;        // has a place in the list of those that gather input
    bool heard_ : 1 = false;          // while gathering: something was read since the last tick
    PollHandle poll_;
};

}  // namespace quorate::broker
