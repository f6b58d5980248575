// Publishers and subscribers of one thread, exchanging messages: pairs, fan-in, fan-out or a shared
// group. It keeps every publisher at its windows (or the whole at a rate), acknowledges what
// subscribers get, and judges each stream of messages.
//
// Phases, called in this order by exchange_run:
//     setup -> start -> run_for (warm-up) -> begin_measuring -> run_for -> end_measuring -> drain
//     -> finish
//
// Thread: the one that calls; nothing is shared with other exchanges. Owner: exchange_run.
// Errors: setup() tells why the clients did not come up; all later faults of the broker are
// findings. Spec: MQTT 5 §4.3, §4.6, §4.8.2 (Shared Subscriptions), §4.9 (Flow Control).
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "bench/load/client/dialer.h"
#include "bench/load/measure/checker.h"
#include "bench/load/publisher.h"
#include "bench/load/report.h"

namespace quorate::bench {

// Which part of the publishers (and, in pairs, subscribers) belongs to this exchange.
struct Share {
    std::uint32_t first_publisher = 0;
    std::uint32_t publishers = 0;
    std::uint32_t subscribers = 0;
    bool holds_filters = true;     // brings up the holders of --filters too
    std::uint64_t rate_per_s = 0;  // of --rate
};

// Cumulative since start().
struct Counters {
    std::uint64_t sent = 0;
    std::uint64_t delivered = 0;
    std::uint64_t acknowledged = 0;
};

class Exchange final : public FrameSink {
  public:
    Exchange(const Options& options, const Share& share);

    [[nodiscard]] Failure setup();
    void start();
    void run_for(Nanos duration);
    void begin_measuring();
    void end_measuring();
    // Stops publishing, waits for what is owed, and judges.
    void drain();
    // Disconnects; durable sessions are removed from the broker.
    void finish();

    // Of the measured time, and all findings; complete after drain().
    void add_to(Result& result) const;

    void on_connected(Connection& connection) override;
    void on_frame(Connection& connection, const Frame& frame, Nanos now) override;
    void on_closed(Connection& connection, std::string_view why) override;
    void on_drained(Connection& connection) override;
    void on_turn_read() override;

  private:
    struct Subscriber {
        Connection* connection = nullptr;
        std::vector<std::uint64_t> next_by_publisher;  // shared only: order within this member
    };

    [[nodiscard]] std::vector<DialPlan> plan_filter_holders() const;
    [[nodiscard]] std::vector<DialPlan> plan_subscribers() const;
    [[nodiscard]] std::vector<DialPlan> plan_publishers() const;
    [[nodiscard]] DialPlan plan(std::string_view kind, std::uint32_t number) const;
    [[nodiscard]] Failure dial(const std::vector<DialPlan>& plans, std::vector<Dialed>& dialed);

    [[nodiscard]] std::size_t stream_of(std::uint32_t subscriber, std::uint32_t publisher) const;
    void on_publish(Connection& connection, const Frame& frame, Nanos now);
    void on_message(Connection& connection, const Publish& publish, Nanos now);
    void judge(std::uint32_t subscriber, std::uint32_t publisher, std::uint64_t sequence);
    void on_ack(Connection& connection, const Frame& frame, Nanos now);
    void broken(Connection& connection, std::string_view what);
    void make_ready(Publisher& publisher);
    void publish(Publisher& publisher, std::uint32_t count, Nanos now);
    void publish_paced(Nanos now);
    [[nodiscard]] Nanos until_next_due(Nanos now) const;
    void gather() const;
    void look_for_stalls(Nanos now);
    [[nodiscard]] bool settled() const;
    void count_missing();
    [[nodiscard]] std::string name(const Connection& connection) const;

    const Options& options_;
    const Share share_;
    EventLoop loop_;
    std::deque<Publisher> publishers_;
    std::vector<Subscriber> subscribers_;
    std::vector<StreamChecker> streams_;  // see stream_of
    std::vector<Publisher*> ready_;
    std::vector<DialPlan> durable_;  // to be removed at the end
    bool publishing_ = false;
    bool measuring_ = false;
    Counters counters_;
    Counters at_begin_;
    Counters at_end_;
    Histogram end_to_end_;
    Histogram ack_;
    Findings findings_;
    std::uint64_t stalls_ = 0;
    std::uint64_t skipped_ = 0;
    // Pacing: `scheduled_` messages were due since `pace_start_`.
    Nanos pace_start_{0};
    std::uint64_t scheduled_ = 0;
    std::uint32_t pace_turn_ = 0;
    Nanos last_arrival_{0};
    Nanos next_stall_look_{0};
};

}  // namespace quorate::bench
