// What is wrapped around the MQTT bytes of a connection: PROXY header, TLS, WebSocket, in this
// order.
#pragma once

#include <cstddef>
#include <cstdint>
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
//   feed(wire); while ((n = read(scratch)) > 0) handler gets scratch[0, n); then send output()
//
// Thread: the connection's loop. Owner: Connection; a plain one has none. Errors: state() Failed
// with layer() and error(); what is in output() (a TLS alert, an HTTP answer, a close frame) shall
// still be sent.
class TransportStack {
  public:
    // `read()` needs a buffer of at least this size.
    static constexpr std::size_t kReadBytesMin = WebSocketStream::kReadBytesMin;

    enum class Layer : uint8_t { Proxy, Tls, WebSocket };
    // Handshake: no MQTT bytes yet. Ended: the peer closed in the layer's own way.
    enum class State : uint8_t { Handshake, Open, Ended, Failed };

    struct Options {
        bool proxy_protocol = false;
        std::shared_ptr<const TlsContext> tls;    // null: no TLS
        const UpgradeRules* websocket = nullptr;  // null: no WebSocket; outlives the stack
    };
    TransportStack(Options options, ChunkPool& pool);
    ~TransportStack();

    // Takes note of received bytes. Valid and unchanged until read() returned 0.
    void feed(ByteView wire) { wire_ = wire; }
    // Fills `into` with MQTT bytes as far as there are; 0 when all that was fed is used up. Answers
    // that the layers give by themselves go to output().
    [[nodiscard]] std::size_t read(std::span<std::byte> into);
    // Wraps what is in `plain`, as much as keeps output() of a bounded size; call again when that
    // is written. True when nothing is left unwrapped. Requires: state() Open.
    [[nodiscard]] bool write(OutputBuffer& plain);
    // Appends the polite end of the stream: WebSocket close 1000, TLS close_notify. Once.
    void close();

    // What is to be written to the socket.
    [[nodiscard]] OutputBuffer& output() { return output_; }
    // Bytes taken by write() or made by the layers, and not yet taken from output().
    [[nodiscard]] std::size_t pending() const { return framed_.size() + output_.size(); }

    [[nodiscard]] State state() const { return state_; }
    // Requires: Failed.
    [[nodiscard]] Layer layer() const { return layer_; }
    [[nodiscard]] const std::string& error() const { return error_; }

    [[nodiscard]] bool in_tls_handshake() const {
        return tls_ && tls_->state() == TlsStream::State::Handshake;
    }
    // Null before the TLS handshake is done or without TLS.
    [[nodiscard]] const TlsPeer* tls() const { return tls_ ? tls_->peer() : nullptr; }
    // The client's address from the PROXY header; null when there is none (LOCAL, UNKNOWN).
    [[nodiscard]] const PeerAddress* proxied() const { return proxied_ ? &*proxied_ : nullptr; }
    // Nothing is wrapped any more: a PROXY header was all, further bytes need no stack.
    [[nodiscard]] bool passes_through() const {
        return state_ == State::Open && !tls_ && !websocket_ && wire_.empty() && output_.empty();
    }

  private:
    void read_proxy();
    void read_upgrade();
    [[nodiscard]] bool fetch_lower();
    [[nodiscard]] std::size_t read_wire(std::span<std::byte> into);
    [[nodiscard]] std::size_t read_tls(std::span<std::byte> into);
    [[nodiscard]] std::size_t read_websocket(std::span<std::byte> into);
    // Stops when output() holds `ahead_max` bytes.
    void encrypt(OutputBuffer& plain, std::size_t ahead_max);
    [[nodiscard]] OutputBuffer& below_websocket() { return tls_ ? framed_ : output_; }
    void fail(Layer layer, std::string error);

    ByteView wire_;
    ByteView decrypted_;  // of lower_, not yet taken by the WebSocket
    std::unique_ptr<std::byte[]> lower_;
    OutputBuffer framed_;  // WebSocket frames that are to be encrypted
    OutputBuffer output_;
    // A stage is freed when its work is done; the parsers are large, an idle connection is not.
    std::unique_ptr<ProxyParser> proxy_;
    std::unique_ptr<TlsStream> tls_;
    std::unique_ptr<HttpUpgrade> upgrade_;
    std::unique_ptr<WebSocketStream> websocket_;
    std::optional<PeerAddress> proxied_;
    uint64_t frame_bytes_max_ = 0;  // of a WebSocket frame
    State state_ = State::Handshake;
    Layer layer_ = Layer::Proxy;
    bool close_sent_ = false;
    std::string error_;
};

}  // namespace quorate::broker
