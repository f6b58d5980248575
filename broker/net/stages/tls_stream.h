// The server's side of one TLS connection, without a socket.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "broker/net/output_buffer.h"
#include "broker/net/stages/tls_context.h"
#include "proto/base/bytes.h"

struct ssl_st;

namespace quorate::broker {

// Thread: the connection's loop. Owner: Transport. Errors: state() Failed with error(); an alert
// for the peer is then in `out`. Spec: RFC 8446 (1.3), RFC 5246 (1.2), RFC 9325 (recommendations).
class TlsStream {
  public:
    // Ended: the peer sent close_notify.
    enum class State : uint8_t { Handshake, Open, Ended, Failed };

    explicit TlsStream(std::shared_ptr<const TlsContext> context);
    ~TlsStream();
    TlsStream(const TlsStream&) = delete;
    TlsStream& operator=(const TlsStream&) = delete;

    // How OpenSSL reaches the bytes of a stream: one method for all streams of a context.
    [[nodiscard]] static bio_method_st* make_bio_method();

    // Takes note of received bytes; they stay valid until read() returned 0.
    void feed(ByteView wire);
    // Advances the handshake, then decrypts into `into` as far as there is something. 0 when all
    // that was fed is used up (an incomplete record is kept by OpenSSL, at most 16 KiB).
    [[nodiscard]] std::size_t read(std::span<std::byte> into, OutputBuffer& out);
    // Encrypts. Requires: Open.
    void write(ByteView plain, OutputBuffer& out);
    // Appends close_notify.
    void close(OutputBuffer& out);

    [[nodiscard]] State state() const { return state_; }
    [[nodiscard]] const std::string& error() const { return error_; }
    // Null before the handshake is done.
    [[nodiscard]] const TlsPeer* peer() const { return peer_.get(); }

  private:
    struct Wire;  // what OpenSSL reads from and writes to
    void handshake();
    void fail();

    std::shared_ptr<const TlsContext> context_;
    std::unique_ptr<Wire> wire_;
    ssl_st* ssl_ = nullptr;  // owned
    std::unique_ptr<TlsPeer> peer_;
    State state_ = State::Handshake;
    std::string error_;
};

}  // namespace quorate::broker
