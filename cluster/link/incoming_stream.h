// The acceptor's end of one stream: judges the greeting, then hands batches up and sends receipts.
//
//     Offered --a dialer came--> Greeting --greeted--> Up
//                                    \__________________/
//                                             v  broken, refused, silent, ended
//                                          Ending --open operations complete--> done()
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

#include "cluster/link/completion.h"
#include "cluster/link/receipts.h"
#include "cluster/link/wire/handshake.h"
#include "cluster/link/wire/peer.h"

namespace quorate::link {

class LinkCore;

// *Thread*: the link thread. *Owner*: LinkCore, until done().
class IncomingStream final : public Completion {
  public:
    using TimePoint = CompletionLoop::TimePoint;

    explicit IncomingStream(LinkCore& core);
    ~IncomingStream() override;

    // Waits for a dialer. The core is told with incoming_arrived().
    void offer();
    // Sends receipts and pongs if there are some and no write is open.
    void pump();
    // Time limits; returns when to be called next.
    [[nodiscard]] TimePoint on_time(TimePoint now);
    // Ends it; done() soon after. The core is told with incoming_ended() if it was up.
    void end(LinkEnd reason);

    [[nodiscard]] bool waits() const { return state_ == State::Offered; }
    [[nodiscard]] bool greeting() const { return state_ == State::Greeting; }
    [[nodiscard]] bool up() const { return state_ == State::Up; }
    [[nodiscard]] bool done() const;
    // Requires: it was up.
    [[nodiscard]] const StreamId& id() const { return id_; }
    // Received and not yet let go. Requires: it was up.
    [[nodiscard]] uint64_t unread_bytes() const;

    void on_completion(uint8_t kind, bool ok) noexcept override;

  private:
    enum class State : uint8_t { Offered, Greeting, Up, Ending };
    struct Wire;  // gRPC's objects

    void on_arrived(bool ok);
    void on_read(bool ok);
    void on_greeting();
    // False: what was read is no message of this protocol, or more than the window; it was ended.
    [[nodiscard]] bool on_message();
    void refuse(const Verdict& verdict, const Hello& hello);
    void cancel();

    LinkCore& core_;
    const std::unique_ptr<Wire> wire_;
    State state_ = State::Offered;
    bool arrived_ = false;  // false: there is no call, nothing to cancel
    bool closed_ = false;   // by the peer, or with the connection
    bool cancelled_ = false;
    StreamId id_;
    ReceiptAccount account_;
    uint64_t sequence_ = 0;
    uint64_t received_bytes_ = 0;
    uint64_t told_bytes_ = 0;
    uint64_t pong_ = 0;
    uint64_t receipt_step_ = 0;
    TimePoint since_{};
    TimePoint heard_{};
    Operation arrival_;
    Operation closing_;
    Operation read_;
    Operation write_;
};

}  // namespace quorate::link
