// What is wrapped around the MQTT bytes of a connection: PROXY header, TLS, WebSocket, in this
// order.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "broker/net/address.h"
#include "broker/net/output_buffer.h"
#include "broker/net/stages/http_upgrade.h"
#include "broker/net/stages/proxy_protocol.h"
#include "broker/net/stages/tls_stream.h"
#include "broker/net/stages/websocket_stream.h"
#include "proto/base/bytes.h"

namespace quorate::broker {

// The stages of one connection, sans I/O: wire bytes in, MQTT bytes out, and back.
//
//   feed(wire); while ((n = read(scratch, out)) > 0) handler gets scratch[0, n)
//
// Thread: the connection's loop. Owner: Connection; a plain one has none. Errors: state() Failed
// with layer() and error(); what was put in `out` (a TLS alert, an HTTP answer, a close frame)
// shall still be sent.
class TransportStack {
  public:
    enum class Layer : uint8_t { Proxy, Tls, WebSocket };
    // Handshake: no MQTT bytes yet. Ended: the peer closed in the layer's own way.
    enum class State : uint8_t { Handshake, Open, Ended, Failed };

    struct Options {
        bool proxy_protocol = false;
        std::shared_ptr<const TlsContext> tls;  // null: no TLS
        std::optional<UpgradeRules> websocket;  // empty: no WebSocket
        std::size_t websocket_frame_bytes_max = 1U << 20;
    };
    explicit TransportStack(Options options);
    ~TransportStack();

    // Takes note of received bytes. Valid and unchanged until read() returned 0.
    void feed(ByteView wire) { wire_ = wire; }
    // Fills `into` with MQTT bytes as far as there are; 0 when all that was fed is used up.
    // Answers that the layers give by themselves go to `out`. `into` is at least 1 KiB.
    [[nodiscard]] std::size_t read(std::span<std::byte> into, OutputBuffer& out);
    // Wraps all of `plain`, which is empty afterwards. Requires: state() Open.
    void write(OutputBuffer& plain, OutputBuffer& out);
    // Appends the polite end of the stream: WebSocket close 1000, TLS close_notify.
    void close(OutputBuffer& out);

    [[nodiscard]] State state() const { return state_; }
    // Requires: Failed.
    [[nodiscard]] Layer layer() const { return layer_; }
    [[nodiscard]] const std::string& error() const { return error_; }

    [[nodiscard]] bool in_tls_handshake() const {
        return tls_.has_value() && tls_->state() == TlsStream::State::Handshake;
    }
    // Null before the TLS handshake is done or without TLS.
    [[nodiscard]] const TlsPeer* tls() const;
    // The client's address from the PROXY header; null when there is none (LOCAL, UNKNOWN).
    [[nodiscard]] const PeerAddress* proxied() const { return proxied_ ? &*proxied_ : nullptr; }
    // Nothing is wrapped any more: a PROXY header was all, further bytes need no transport.
    [[nodiscard]] bool passes_through() const {
        return state_ == State::Open && !tls_ && !websocket_ && wire_.empty();
    }

  private:
    void read_proxy();
    [[nodiscard]] std::size_t read_lower(std::span<std::byte> into, OutputBuffer& out);
    [[nodiscard]] std::size_t read_websocket(std::span<std::byte> into, OutputBuffer& out);
    void write_lower(OutputBuffer& plain, OutputBuffer& out);
    void settle();
    void fail(Layer layer, std::string error);

    ByteView wire_;
    std::optional<ProxyParser> proxy_;
    std::optional<TlsStream> tls_;
    std::optional<HttpUpgrade> upgrade_;
    std::optional<WebSocketStream> websocket_;
    std::size_t frame_bytes_max_;
    std::optional<PeerAddress> proxied_;
    State state_ = State::Handshake;
    Layer layer_ = Layer::Proxy;
    std::string error_;
};

}  // namespace quorate::broker
