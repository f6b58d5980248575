// The HTTP/1.1 request that turns a connection into a WebSocket.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "broker/net/output_buffer.h"
#include "proto/base/bytes.h"

namespace quorate::broker {

struct UpgradeRules {
    std::string path = "/mqtt";  // "/" is always accepted too
    // Values of Origin that may connect, compared without case; empty: any. A request without
    // Origin does not come from a browser and is not concerned.
    std::vector<std::string> origins;
    std::size_t header_bytes_max = 8'192;  // of the request
    // Of a frame after it; see WebSocketStream.
    uint64_t frame_bytes_max = std::numeric_limits<uint64_t>::max();
};

// Parses the request and writes the answer.
//
//   101 when all is well; 400 malformed, wrong method, or no subprotocol "mqtt"/"mqttv3.1";
//   403 foreign Origin; 404 other path; 426 a WebSocket version other than 13, or no upgrade at
//   all; 431 a header above its bound
//
// Extensions (compression) are never agreed to. Bytes behind the request are left alone.
//
// Thread: one. Errors: Refused with error(); the answer is in `out`. Spec: RFC 6455 §4.2, MQTT 5
// §6 [MQTT-6.0.0-3], [MQTT-6.0.0-4].
class HttpUpgrade {
  public:
    enum class State : uint8_t { NeedMore, Upgraded, Refused };

    // Requires: `rules` outlives the object.
    explicit HttpUpgrade(const UpgradeRules& rules);

    // Takes bytes up to the end of the request and returns how many.
    [[nodiscard]] std::size_t feed(ByteView bytes, OutputBuffer& out);

    [[nodiscard]] State state() const { return state_; }
    [[nodiscard]] const std::string& error() const { return error_; }
    // "mqtt" or "mqttv3.1". Requires: Upgraded.
    [[nodiscard]] const std::string& subprotocol() const { return subprotocol_; }

  private:
    void decide(OutputBuffer& out);
    void refuse(unsigned status, std::string_view reason, OutputBuffer& out);

    const UpgradeRules* rules_;
    std::string received_;  // at most rules_->header_bytes_max
    State state_ = State::NeedMore;
    std::string subprotocol_;
    std::string error_;
};

}  // namespace quorate::broker
