// One TCP connection of the generator: its socket, what is still to be sent, and the beginning of a
// packet that has not arrived whole. It holds no protocol state but the version; modes keep theirs
// by `index`.
//
// Thread: the one of its EventLoop. Owner: EventLoop, until that is destroyed; a closed connection
// stays as an object, so that a reference kept by a mode never dangles.
#pragma once

#include <cstdint>
#include <string>

#include "bench/load/client/payload.h"
#include "bench/load/client/wire.h"

namespace quorate::bench {

enum class Role : std::uint8_t { publisher, subscriber, bystander };

class Connection {
  public:
    [[nodiscard]] bool open() const { return fd_ >= 0; }
    // Bytes not yet taken by the kernel.
    [[nodiscard]] std::size_t unsent() const { return out_.size() - out_head_; }

    // What to send is appended here, and EventLoop::touch() called once after it.
    [[nodiscard]] Bytes& output() { return out_; }

    Version version = Version::v311;
    Role role = Role::bystander;
    std::uint32_t index = 0;         // meaning given by the mode
    std::uint16_t keep_alive_s = 0;  // 0: no PINGREQ
    // Which plan of a Dialer brings it up; kNotDialing before and after.
    static constexpr std::uint32_t kNotDialing = UINT32_MAX;
    std::uint32_t dial_slot = kNotDialing;

  private:
    friend class EventLoop;

    int fd_ = -1;
    bool connecting_ = true;
    bool touched_ = false;
    bool wants_writable_ = false;
    Bytes out_;
    std::size_t out_head_ = 0;
    Bytes partial_;  // start of an incomplete packet
    std::size_t partial_filled_ = 0;
    Nanos last_write_{0};
};

}  // namespace quorate::bench
