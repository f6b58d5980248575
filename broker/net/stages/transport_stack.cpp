#include "broker/net/stages/transport_stack.h"

#include <algorithm>
#include <utility>

#include "proto/base/assert.h"

namespace quorate::broker {

namespace {

// What is encrypted ahead of the socket. More would only be copied earlier.
constexpr std::size_t kEncryptedAheadMax = 256U << 10;
constexpr std::size_t kLowerBytes = 16'384;  // the payload of one TLS record
constexpr std::size_t kRecordBytes = 16'384;

}  // namespace

TransportStack::TransportStack(Options options, ChunkPool& pool) : framed_(pool), output_(pool) {
    if (options.proxy_protocol) proxy_ = std::make_unique<ProxyParser>();
    if (options.tls) tls_ = std::make_unique<TlsStream>(std::move(options.tls));
    if (options.websocket == nullptr) return;
    upgrade_ = std::make_unique<HttpUpgrade>(*options.websocket);
    frame_bytes_max_ = options.websocket->frame_bytes_max;
}

TransportStack::~TransportStack() = default;

void TransportStack::fail(Layer layer, std::string error) {
    state_ = State::Failed;
    layer_ = layer;
    error_ = std::move(error);
}

std::size_t TransportStack::read(std::span<std::byte> into) {
    ASSERT(into.size() >= kReadBytesMin, "the buffer is too small");
    if (proxy_) read_proxy();
    if (proxy_ || state_ == State::Failed || state_ == State::Ended) return 0;
    if (upgrade_) read_upgrade();
    if (upgrade_ || state_ == State::Failed) return 0;
    if (websocket_) return read_websocket(into);
    std::size_t size = tls_ ? read_tls(into) : read_wire(into);
    if (state_ == State::Handshake && !(tls_ && tls_->peer() == nullptr)) state_ = State::Open;
    return size;
}

void TransportStack::read_proxy() {
    wire_ = wire_.subspan(proxy_->feed(wire_));
    switch (proxy_->state()) {
        case ProxyParser::State::NeedMore:
            return;
        case ProxyParser::State::Failed:
            fail(Layer::Proxy, proxy_->error());
            return;
        case ProxyParser::State::Done:
            proxied_ = proxy_->source();
            proxy_.reset();
            return;
    }
}

std::size_t TransportStack::read_wire(std::span<std::byte> into) {
    std::size_t size = std::min(into.size(), wire_.size());
    std::copy_n(wire_.begin(), size, into.begin());
    wire_ = wire_.subspan(size);
    return size;
}

std::size_t TransportStack::read_tls(std::span<std::byte> into) {
    if (!wire_.empty()) tls_->feed(std::exchange(wire_, {}));
    std::size_t size = tls_->read(into, output_);
    switch (tls_->state()) {
        case TlsStream::State::Handshake:
        case TlsStream::State::Open:
            break;
        case TlsStream::State::Ended:
            // What came before the end is delivered first; the next call reports it again.
            if (size == 0 && decrypted_.empty()) state_ = State::Ended;
            break;
        case TlsStream::State::Failed:
            if (size == 0) fail(Layer::Tls, tls_->error());
            break;
    }
    return size;
}

// The bytes of the layer below: the wire itself, or a piece of what TLS made of it.
bool TransportStack::fetch_lower() {
    if (!tls_) return !wire_.empty();
    if (!decrypted_.empty()) return true;
    if (!lower_) lower_ = std::make_unique<std::byte[]>(kLowerBytes);
    std::size_t size = read_tls({lower_.get(), kLowerBytes});
    decrypted_ = {lower_.get(), size};
    if (size == 0) lower_.reset();
    return size > 0;
}

void TransportStack::read_upgrade() {
    while (upgrade_->state() == HttpUpgrade::State::NeedMore && fetch_lower()) {
        // The answer goes through TLS like everything else.
        ByteView& lower = tls_ ? decrypted_ : wire_;
        lower = lower.subspan(upgrade_->feed(lower, below_websocket()));
    }
    if (tls_) encrypt(framed_, kEncryptedAheadMax);
    switch (upgrade_->state()) {
        case HttpUpgrade::State::NeedMore:
            return;
        case HttpUpgrade::State::Refused:
            fail(Layer::WebSocket, upgrade_->error());
            return;
        case HttpUpgrade::State::Upgraded:
            upgrade_.reset();
            websocket_ = std::make_unique<WebSocketStream>(frame_bytes_max_);
            state_ = State::Open;
            return;
    }
}

std::size_t TransportStack::read_websocket(std::span<std::byte> into) {
    std::size_t filled = 0;
    while (into.size() - filled >= kReadBytesMin) {
        std::size_t size = websocket_->read(into.subspan(filled), below_websocket());
        filled += size;
        if (websocket_->state() != WebSocketStream::State::Open) break;
        if (into.size() - filled < kReadBytesMin) break;
        if (!fetch_lower()) break;
        websocket_->feed(std::exchange(tls_ ? decrypted_ : wire_, {}));
    }
    if (tls_) encrypt(framed_, kEncryptedAheadMax);
    if (filled > 0 || state_ != State::Open) return filled;
    switch (websocket_->state()) {
        case WebSocketStream::State::Open:
            break;
        case WebSocketStream::State::Ended:
            state_ = State::Ended;
            break;
        case WebSocketStream::State::Failed:
            fail(Layer::WebSocket, "WebSocket: " + websocket_->error());
            break;
    }
    return 0;
}

bool TransportStack::write(OutputBuffer& plain) {
    ASSERT(state_ == State::Open, "the transport cannot carry output");
    if (websocket_) websocket_->write(plain, below_websocket());
    if (!tls_) {
        if (!websocket_) output_.splice(plain);
        return true;
    }
    OutputBuffer& source = websocket_ ? framed_ : plain;
    encrypt(source, kEncryptedAheadMax);
    if (tls_->state() == TlsStream::State::Failed) {
        source.clear();
        fail(Layer::Tls, tls_->error());
    }
    return source.empty();
}

void TransportStack::encrypt(OutputBuffer& plain, std::size_t ahead_max) {
    while (!plain.empty() && output_.size() < ahead_max &&
           tls_->state() == TlsStream::State::Open) {
        ByteView piece = plain.front();
        if (piece.size() > kRecordBytes) piece = piece.first(kRecordBytes);
        tls_->write(piece, output_);
        plain.consume(piece.size());
    }
}

void TransportStack::close() {
    if (close_sent_ || state_ != State::Open) return;
    close_sent_ = true;
    if (websocket_) websocket_->close(WebSocketStatus::Normal, below_websocket());
    if (!tls_) return;
    encrypt(framed_, SIZE_MAX);  // write() has left a close frame's worth at most
    tls_->close(output_);
}

}  // namespace quorate::broker
