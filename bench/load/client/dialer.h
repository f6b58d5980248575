// Brings up many connections at once, but only so many at a time as a listen queue bears: TCP,
// CONNECT, CONNACK, and then the subscriptions of each, a SUBSCRIBE of at most 100 filters after
// the other.
//
// Thread: that of its EventLoop. Owner: a mode, for one run().
// Errors: the first connection that fails ends run() with its reason, unless failures are allowed;
// then they are counted. No progress of any connection for `timeout` is a failure of those not
// finished. Spec: MQTT 5 §3.1, §3.2, §3.8, §3.9.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "bench/load/client/event_loop.h"

namespace quorate::bench {

struct DialPlan {
    const Endpoint* endpoint = nullptr;
    unsigned source_host = 0;  // see EventLoop::open
    ConnectFields fields;
    std::vector<std::string> filters;
    std::uint8_t qos = 0;
    Role role = Role::bystander;
    std::uint32_t index = 0;
};

struct Dialed {
    Connection* connection = nullptr;  // null: this one failed
    Connack connack;
};

struct DialLimits {
    unsigned in_progress_max = 128;
    Nanos timeout = std::chrono::seconds(10);
    bool failures_allowed = false;
    std::uint64_t connects_per_s = 0;  // 0: as fast as they are answered
};

class Dialer final : public FrameSink {
  public:
    // What arrives on connections that are up already goes to `next`.
    Dialer(EventLoop& loop, FrameSink& next, DialLimits limits);

    [[nodiscard]] Failure run(std::span<const DialPlan> plans);

    // In the order of the plans.
    [[nodiscard]] const std::vector<Dialed>& dialed() const { return dialed_; }
    [[nodiscard]] std::size_t failed() const { return failed_; }
    [[nodiscard]] const std::string& first_failure() const { return first_failure_; }

    void on_connected(Connection& connection) override;
    void on_frame(Connection& connection, const Frame& frame, Nanos now) override;
    void on_closed(Connection& connection, std::string_view why) override;
    void on_drained(Connection& connection) override;
    void on_turn_read() override;

  private:
    void start_more();
    [[nodiscard]] bool too_fast() const;
    void take_connack(Connection& connection, const Frame& frame);
    void take_suback(Connection& connection, const Frame& frame);
    // The next SUBSCRIBE, or done.
    void go_on(Connection& connection);
    void fail(Connection* connection, std::uint32_t slot, std::string why);
    // Closes whatever has not come up in time.
    void abandon();

    EventLoop& loop_;
    FrameSink& next_;
    const DialLimits limits_;
    std::span<const DialPlan> plans_;
    std::vector<Dialed> dialed_;
    std::vector<Connection*> opened_;  // by slot
    std::vector<std::uint32_t> filters_sent_;
    std::vector<std::uint32_t> filters_granted_;
    std::size_t started_ = 0;
    std::size_t finished_ = 0;
    std::size_t failed_ = 0;
    Nanos begin_{0};
    Nanos last_progress_{0};
    std::string first_failure_;
};

}  // namespace quorate::bench
