// The dialer's end of one stream: greets, then writes what waits in its queue.
//
//     Dialing --connected--> Greeting --greeted--> Up
//        \________________________|________________/
//                                 v  broken, refused, silent, ended
//                              Ending --open operations complete--> Finishing --status--> Done
//
// One write is open at a time; what gathers meanwhile goes with the next ones, so batches grow with
// the load and no timer holds anything back. All but the last write of a burst carry gRPC's buffer
// hint; that one follows is certain, since only this stream takes from the queue and the window
// only opens.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "cluster/link/completion.h"
#include "cluster/link/send_queue.h"
#include "cluster/link/wire/handshake.h"
#include "cluster/link/wire/peer.h"

namespace quorate::link {

class LinkCore;

// *Thread*: the link thread. *Owner*: LinkCore, until done().
class OutgoingStream final : public Completion {
  public:
    using TimePoint = CompletionLoop::TimePoint;
    struct Route {
        NodeId node;
        TrafficClass traffic = TrafficClass::Consensus;
        StreamEpoch epoch;
        std::string address;  // numeric
    };

    OutgoingStream(LinkCore& core, SendQueue& queue, Route route);
    ~OutgoingStream() override;

    void start(TimePoint now);
    // Writes if something waits and no write is open.
    void pump();
    // Pings and time limits; returns when to be called next.
    [[nodiscard]] TimePoint on_time(TimePoint now);
    // Ends it; done() soon after. The core is told with outgoing_ended().
    void end(LinkEnd reason);

    [[nodiscard]] bool up() const { return state_ == State::Up; }
    [[nodiscard]] bool done() const { return state_ == State::Done; }
    [[nodiscard]] const Route& route() const { return route_; }
    // Requires: it was up.
    [[nodiscard]] StreamId id() const;
    [[nodiscard]] Incarnation incarnation() const { return peer_; }
    [[nodiscard]] bool was_up() const { return was_up_; }
    // Why it ended, for people; empty when there is nothing to say.
    [[nodiscard]] const std::string& failure() const { return failure_; }

    void on_completion(uint8_t kind, bool ok) noexcept override;

  private:
    enum class State : uint8_t { Dialing, Greeting, Up, Ending, Finishing, Done };
    struct Wire;  // gRPC's objects

    void on_started(bool ok);
    void on_read(bool ok);
    void on_greeting();
    void on_receipt();
    void on_finished();
    void finish_if_quiet();
    [[nodiscard]] uint64_t unreceipted() const { return sent_bytes_ - taken_bytes_; }

    LinkCore& core_;
    SendQueue& queue_;
    const Route route_;
    const std::unique_ptr<Wire> wire_;
    State state_ = State::Dialing;
    bool was_up_ = false;
    bool ping_due_ = false;
    bool connected_ = false;
    bool broken_ = false;  // a write failed
    bool ended_by_peer_ = false;
    Incarnation peer_;
    uint64_t window_bytes_ = 0;
    uint64_t sequence_ = 0;
    uint64_t sent_bytes_ = 0;
    uint64_t taken_bytes_ = 0;
    TimePoint since_{};  // of the present state
    TimePoint heard_{};
    TimePoint next_ping_{};
    std::string failure_;
    Operation start_;
    Operation read_;
    Operation write_;
    Operation finish_;
};

}  // namespace quorate::link
