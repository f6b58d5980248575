// What the modes with steps (retained, sessions) have in common: one connection that publishes a
// list of messages and waits until all are acknowledged, and readers whose messages a mode judges.
//
// Thread: that of the caller. Owner: the mode that derives from it.
// Errors: a step that makes no progress within --timeout fails with its reason; faults of the
// broker that do not stop the run are findings.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/load/ack_window.h"
#include "bench/load/client/dialer.h"
#include "bench/load/report.h"

namespace quorate::bench {

struct FeedMessage {
    std::string topic;
    Stamp stamp;
    bool retain = false;
    bool empty = false;  // no payload: removes a retained message
};

class Feed : public FrameSink {
  public:
    explicit Feed(const Options& options);

    void on_connected(Connection& connection) override;
    void on_frame(Connection& connection, const Frame& frame, Nanos now) override;
    void on_closed(Connection& connection, std::string_view why) override;
    void on_drained(Connection& connection) override;
    void on_turn_read() override;

  protected:
    // A well-formed, not yet judged message for a reader; it has been acknowledged.
    virtual void on_message(Connection& reader, const Publish& publish, Nanos now) = 0;

    [[nodiscard]] Failure connect_publisher();
    // Publishes `count` messages, made by `make` from their number, and waits for every
    // acknowledgement (QoS 0: for the answer to a PINGREQ sent behind them).
    [[nodiscard]] Failure publish_all(std::uint64_t count,
                                      const std::function<FeedMessage(std::uint64_t)>& make);
    [[nodiscard]] DialPlan plan(std::string_view kind, std::uint32_t number) const;
    // Turns the loop until `done`, or until nothing has arrived for --drain; then a little longer
    // for repeated messages.
    void wait_until(const std::function<bool()>& done);
    void disconnect(Connection& connection, bool end_session);

    const Options& options_;
    EventLoop loop_;
    Findings findings_;
    Nanos last_arrival_{0};
    std::uint64_t acknowledged_ = 0;

  private:
    void append(const FeedMessage& message, Nanos now);
    void on_ack(Connection& connection, const Frame& frame, Nanos now);
    void broken(const Connection& connection, std::uint8_t first);

    Connection* publisher_ = nullptr;
    std::unique_ptr<AckWindow> acks_;
    bool pong_ = false;
};

}  // namespace quorate::bench
