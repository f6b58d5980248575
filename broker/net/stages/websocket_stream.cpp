#include "broker/net/stages/websocket_stream.h"

#include <algorithm>
#include <cstring>

#include <wslay/wslay.h>

#include "proto/base/assert.h"

namespace quorate::broker {

namespace {

constexpr uint8_t kContinuation = 0x0;
constexpr uint8_t kText = 0x1;
constexpr uint8_t kBinary = 0x2;
constexpr uint8_t kClose = 0x8;
constexpr uint8_t kPing = 0x9;
constexpr uint8_t kPong = 0xA;
constexpr uint8_t kFin = 0x80;
constexpr std::size_t kHeaderBytesMax = 10;
constexpr std::size_t kMaskBytes = 4;
// Pings are answered while less output than this waits: a peer may send them without reading, and
// an answer to the latest one is all that it may expect (RFC 6455 §5.5.3).
constexpr std::size_t kPongBacklogMax = 65'536;

// Bytes of the length field beyond the two that every frame has (RFC 6455 §5.2).
std::size_t extended_length_bytes(uint64_t payload) {
    if (payload <= 125) return 0;
    return payload <= 0xFFFF ? 2 : 8;
}

// A server's frames are not masked: the header is all that is added. `into` has kHeaderBytesMax.
std::size_t encode_header(uint8_t first, uint64_t payload, std::byte* into) {
    std::size_t extended = extended_length_bytes(payload);
    uint64_t length = extended == 0 ? payload : extended == 2 ? 126 : 127;
    into[0] = std::byte{first};
    into[1] = static_cast<std::byte>(length);
    for (std::size_t i = 0; i < extended; ++i)
        into[2 + i] = static_cast<std::byte>(payload >> (8 * (extended - 1 - i)));
    return 2 + extended;
}

// Status codes that may stand in a close frame (RFC 6455 §7.4).
bool is_valid_close(uint16_t code) {
    if (code >= 3000 && code <= 4999) return true;
    return code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006;
}

}  // namespace

// wslay's frame reader. It copies what it is given, some bytes ahead of what it returns.
struct WebSocketStream::Decoder {
    ByteView* input = nullptr;
    wslay_frame_context_ptr context = nullptr;
    std::size_t buffered = 0;   // taken from the input, not yet returned
    uint64_t payload_left = 0;  // of the frame under way
    bool in_frame = false;      // its header was returned
    wslay_frame_iocb frame{};

    explicit Decoder(ByteView& bytes) : input(&bytes) {
        wslay_frame_callbacks callbacks{nullptr, take, nullptr};
        ASSERT(wslay_frame_context_init(&context, &callbacks, this) == 0, "out of memory");
    }
    Decoder(const Decoder&) = delete;
    Decoder& operator=(const Decoder&) = delete;
    ~Decoder() { wslay_frame_context_free(context); }

    static ssize_t take(uint8_t* into, std::size_t size, int, void* data) noexcept {
        auto* self = static_cast<Decoder*>(data);
        std::size_t count = std::min(size, self->input->size());
        if (count == 0) return -1;
        std::memcpy(into, self->input->data(), count);
        *self->input = self->input->subspan(count);
        self->buffered += count;
        return static_cast<ssize_t>(count);
    }
};

WebSocketStream::WebSocketStream(uint64_t frame_bytes_max) : frame_bytes_max_(frame_bytes_max) {}
WebSocketStream::~WebSocketStream() = default;

std::size_t WebSocketStream::read(std::span<std::byte> into, OutputBuffer& out) {
    std::size_t filled = 0;
    // wslay hands over up to kReadBytesMin bytes and cannot be asked for fewer.
    while (state_ == State::Open && into.size() - filled >= kReadBytesMin) {
        if (!decoder_) {
            if (input_.empty()) break;
            decoder_ = std::make_unique<Decoder>(input_);
        }
        Decoder& decoder = *decoder_;
        ssize_t got = wslay_frame_recv(decoder.context, &decoder.frame);
        if (got == WSLAY_ERR_WANT_READ) break;
        if (got < 0) {
            fail(WebSocketStatus::ProtocolError, "malformed frame", out);
            break;
        }
        std::size_t size = static_cast<std::size_t>(got);
        if (!decoder.in_frame && !accept_header(out)) break;
        if (size > 0) {
            ByteView payload = std::as_bytes(std::span(decoder.frame.data, size));
            if (wslay_is_ctrl_frame(decoder.frame.opcode)) {
                control_.append(as_text(payload));
            } else {
                std::memcpy(into.data() + filled, payload.data(), size);
                filled += size;
            }
            decoder.payload_left -= size;
            decoder.buffered -= size;
        }
        if (decoder.payload_left == 0) end_of_frame(out);
    }
    return filled;
}

bool WebSocketStream::accept_header(OutputBuffer& out) {
    Decoder& decoder = *decoder_;
    const wslay_frame_iocb& frame = decoder.frame;
    decoder.in_frame = true;
    decoder.payload_left = frame.payload_length;
    std::size_t header =
        2 + extended_length_bytes(frame.payload_length) + (frame.mask != 0 ? kMaskBytes : 0);
    decoder.buffered -= header;
    auto refuse = [&](WebSocketStatus status, std::string_view error) {
        fail(status, error, out);
        return false;
    };
    if (frame.mask == 0) return refuse(WebSocketStatus::ProtocolError, "unmasked frame");
    if (frame.rsv != 0) return refuse(WebSocketStatus::ProtocolError, "reserved bits are set");
    if (frame.payload_length > frame_bytes_max_) {
        return refuse(WebSocketStatus::MessageTooBig, "frame above the packet limit");
    }
    switch (frame.opcode) {
        case kText:
            return refuse(WebSocketStatus::UnsupportedData, "text message [MQTT-6.0.0-1]");
        case kBinary:
            if (in_message_) return refuse(WebSocketStatus::ProtocolError, "message in a message");
            break;
        case kContinuation:
            if (!in_message_) return refuse(WebSocketStatus::ProtocolError, "stray continuation");
            break;
        case kClose:
        case kPing:
        case kPong:
            return true;
        default:
            return refuse(WebSocketStatus::ProtocolError, "unknown opcode");
    }
    in_message_ = frame.fin == 0;
    return true;
}

void WebSocketStream::end_of_frame(OutputBuffer& out) {
    Decoder& decoder = *decoder_;
    decoder.in_frame = false;
    uint8_t opcode = decoder.frame.opcode;
    if (decoder.buffered == 0) decoder_.reset();
    if (!wslay_is_ctrl_frame(opcode)) return;
    std::string payload;
    payload.swap(control_);
    take_control(opcode, payload, out);
}

void WebSocketStream::take_control(uint8_t opcode, std::string_view payload, OutputBuffer& out) {
    if (opcode == kPing) {
        if (out.size() < kPongBacklogMax) send_control(kPong, as_bytes(payload), out);
        return;
    }
    if (opcode != kClose) return;
    if (payload.size() == 1) {
        fail(WebSocketStatus::ProtocolError, "malformed close frame", out);
        return;
    }
    WebSocketStatus answer = WebSocketStatus::Normal;
    if (payload.size() >= 2) {
        auto code = static_cast<uint16_t>((static_cast<uint8_t>(payload[0]) << 8) |
                                          static_cast<uint8_t>(payload[1]));
        if (!is_valid_close(code)) {
            fail(WebSocketStatus::ProtocolError, "invalid close status", out);
            return;
        }
    }
    close(answer, out);
    state_ = State::Ended;
}

void WebSocketStream::write(OutputBuffer& payload, OutputBuffer& out) {
    if (payload.empty() || close_sent_) return;
    std::byte* header = out.prepare(kHeaderBytesMax);
    out.commit(encode_header(kFin | kBinary, payload.size(), header));
    out.splice(payload);
}

void WebSocketStream::close(WebSocketStatus status, OutputBuffer& out) {
    if (close_sent_) return;
    auto code = static_cast<uint16_t>(status);
    std::byte payload[2] = {static_cast<std::byte>(code >> 8), static_cast<std::byte>(code)};
    send_control(kClose, payload, out);
    close_sent_ = true;
}

void WebSocketStream::send_control(uint8_t opcode, ByteView payload, OutputBuffer& out) {
    std::byte* header = out.prepare(kHeaderBytesMax);
    out.commit(encode_header(static_cast<uint8_t>(kFin | opcode), payload.size(), header));
    out.append(payload);
}

void WebSocketStream::fail(WebSocketStatus status, std::string_view error, OutputBuffer& out) {
    state_ = State::Failed;
    status_ = status;
    error_ = error;
    close(status, out);
}

}  // namespace quorate::broker
