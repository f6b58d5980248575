// The PROXY protocol, versions 1 (text) and 2 (binary): a load balancer's note of who connected.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "broker/net/address.h"
#include "proto/base/bytes.h"

namespace quorate::broker {

// Reads one header from the beginning of a stream, in pieces of any size. Version 2's TLVs are
// skipped, LOCAL, UNSPEC and UNKNOWN leave the address as the socket has it.
//
// The peer that sends it must be trusted by the network: the header is believed. A header is at
// most 536 bytes (version 1: 107), enough for the addresses of any family and some TLVs.
//
// Thread: one. Errors: error() says what is wrong; the connection must be closed without an answer.
// Spec: haproxy.org "The PROXY protocol", versions 1 and 2, sections 2.1 and 2.2.
class ProxyParser {
  public:
    static constexpr std::size_t kHeaderBytesMax = 536;
    static constexpr std::size_t kTextBytesMax = 107;

    enum class State : uint8_t { NeedMore, Done, Failed };

    // Takes bytes up to the end of the header and returns how many. What follows is not touched.
    [[nodiscard]] std::size_t feed(ByteView bytes);

    [[nodiscard]] State state() const { return state_; }
    // Requires: Done. Empty when the header names no address.
    [[nodiscard]] const std::optional<PeerAddress>& source() const { return source_; }
    [[nodiscard]] const std::string& error() const { return error_; }

  private:
    [[nodiscard]] bool step(uint8_t byte);
    [[nodiscard]] bool step_text();
    [[nodiscard]] bool step_binary();
    void parse_text();
    void parse_binary();
    [[nodiscard]] bool fail(const char* error);

    std::array<uint8_t, kHeaderBytesMax> header_{};
    std::size_t size_ = 0;
    State state_ = State::NeedMore;
    std::optional<PeerAddress> source_;
    std::string error_;
};

}  // namespace quorate::broker
