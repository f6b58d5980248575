// One publisher of an exchange: it builds its messages and knows how many more it may send.
//
// Thread: that of its EventLoop. Owner: Exchange.
#pragma once

#include <string>
#include <vector>

#include "bench/load/ack_window.h"
#include "bench/load/client/event_loop.h"
#include "bench/load/options.h"

namespace quorate::bench {

// Counts which messages of a publisher have not yet been received by everybody, so that the
// publisher can be held back before a correct broker would have to drop for a receiver.
class Receipts {
  public:
    // `limit` 0: nothing is counted. `any_one`: one receiver is enough (a shared group).
    Receipts(std::uint32_t receivers, std::uint32_t limit, bool any_one);

    [[nodiscard]] bool has_room(std::uint64_t next) const;
    void on_sent(std::uint64_t sequence);
    // A receiver that had seen everything below `from` has now got `to`; what lies between is taken
    // as lost for it, since order is promised. Requires: from <= to.
    void on_received(std::uint64_t from, std::uint64_t to);
    // One more message has reached the group.
    void on_received_by_any(std::uint64_t next);
    // Ends the wait for everything sent so far.
    void give_up(std::uint64_t next) { head_ = next; }
    // All below have been received or given up.
    [[nodiscard]] std::uint64_t head() const { return head_; }

  private:
    std::uint32_t receivers_;
    std::uint32_t limit_;
    bool any_one_;
    std::uint64_t head_ = 0;
    std::size_t mask_ = 0;
    std::vector<std::uint32_t> waiting_;  // receivers still to come, by sequence; only with several
};

class Publisher {
  public:
    struct Plan {
        std::uint32_t id = 0;  // in payloads; unique in the run
        std::string topic;
        std::uint32_t receivers = 1;
        bool any_one = false;
    };

    Publisher(const Options& options, Plan plan);

    // Up: may publish over this connection. `receive_maximum` is the broker's.
    void attach(Connection& connection, std::uint16_t receive_maximum);
    // Queues at most `count` messages, as many as the windows and the socket allow; returns how
    // many.
    std::uint32_t publish(std::uint32_t count, Nanos now);
    // Messages are not sent because receivers have not got earlier ones.
    [[nodiscard]] bool waits_for_receipts() const { return !receipts.has_room(next_); }
    // It stopped because its socket had enough, and goes on when that is empty.
    [[nodiscard]] bool held_by_socket() const { return held_by_socket_; }
    // The broker is bound to deliver those below: all, or after a lost connection those
    // acknowledged.
    [[nodiscard]] std::uint64_t owed() const;
    [[nodiscard]] std::uint64_t next() const { return next_; }
    [[nodiscard]] const std::string& topic() const { return topic_; }
    [[nodiscard]] Connection* connection() const { return connection_; }
    [[nodiscard]] bool connected() const { return connection_ != nullptr && connection_->open(); }

    AckWindow acks;
    Receipts receipts;
    std::uint64_t refused = 0;
    bool ready = false;              // stands in the list of those that may publish
    std::uint64_t stalled_head = 0;  // receipts.head() at the last look
    std::uint32_t stalled_looks = 0;

  private:
    std::uint32_t id_;
    std::string topic_;
    std::uint8_t qos_;
    PublishTemplate template_;
    Stamper stamper_;
    Connection* connection_ = nullptr;
    std::uint32_t window_;
    bool held_by_socket_ = false;
    std::uint64_t next_ = 0;
};

}  // namespace quorate::bench
