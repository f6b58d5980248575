// The frames of one WebSocket connection, server's side.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "broker/net/output_buffer.h"
#include "proto/base/bytes.h"

namespace quorate::broker {

// Status codes of RFC 6455 §7.4.1 that we send.
enum class WebSocketStatus : uint16_t {
    Normal = 1000,
    ProtocolError = 1002,
    UnsupportedData = 1003,
    MessageTooBig = 1009,
};

// Frames are envelopes only: MQTT packets may start and end anywhere in them, so payload is passed
// on as it arrives, and neither a frame of any length nor a fragmented message needs memory. Pings
// are answered, pongs ignored.
//
// Thread: the connection's loop. Owner: Transport. Errors: Failed with status() and error() (text
// message 1003, unmasked or malformed frame 1002, frame above the bound 1009); a close frame is in
// `out`. Spec: RFC 6455 §5,
// MQTT 5 §6 [MQTT-6.0.0-1], [MQTT-6.0.0-2].
class WebSocketStream {
  public:
    // read() needs a buffer of at least this size: the most wslay hands over at once.
    static constexpr std::size_t kReadBytesMin = 4'096;

    // Ended: the peer's close frame was read, and answered.
    enum class State : uint8_t { Open, Ended, Failed };

    // A longer frame is refused at its first byte.
    explicit WebSocketStream(uint64_t frame_bytes_max = std::numeric_limits<uint64_t>::max());
    ~WebSocketStream();
    WebSocketStream(const WebSocketStream&) = delete;
    WebSocketStream& operator=(const WebSocketStream&) = delete;

    // Takes note of received bytes; they stay valid until read() returned 0.
    void feed(ByteView bytes) { input_ = bytes; }
    // Fills `into` with payload as far as there is some; 0 when all that was fed is used up.
    [[nodiscard]] std::size_t read(std::span<std::byte> into, OutputBuffer& out);
    // One binary frame of all of `payload`, moved without a copy. Nothing when it is empty.
    void write(OutputBuffer& payload, OutputBuffer& out);
    // Appends a close frame, once.
    void close(WebSocketStatus status, OutputBuffer& out);

    [[nodiscard]] State state() const { return state_; }
    [[nodiscard]] WebSocketStatus status() const { return status_; }
    [[nodiscard]] const std::string& error() const { return error_; }

  private:
    struct Decoder;  // wslay
    [[nodiscard]] bool accept_header(OutputBuffer& out);
    void take_control(uint8_t opcode, std::string_view payload, OutputBuffer& out);
    void end_of_frame(OutputBuffer& out);
    void fail(WebSocketStatus status, std::string_view error, OutputBuffer& out);
    void send_control(uint8_t opcode, ByteView payload, OutputBuffer& out);

    const uint64_t frame_bytes_max_;
    ByteView input_;
    std::unique_ptr<Decoder> decoder_;  // none between frames: an idle connection needs no buffer
    std::string control_;               // payload of the control frame under way, at most 125 bytes
    State state_ = State::Open;
    WebSocketStatus status_ = WebSocketStatus::Normal;
    bool in_message_ = false;  // between the first and the last fragment
    bool close_sent_ = false;
    std::string error_;
};

}  // namespace quorate::broker
