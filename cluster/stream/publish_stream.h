// A loop's end of the stream of publishes to one topic shard: numbers them, keeps what is
// unanswered, sends it again to a new owner, and gives answers back in order.
//
//            begin(term)                  refused(attempt), broken()
//   Broken ───────────────► Open (attempt n) ───────────────────────► Broken
//     nothing leaves          Begin{n, term, first unanswered}, then every unanswered item in
//     order,
//                             then new ones as they come; QoS 0 in between, once or never
//
// Answers to an earlier attempt settle nothing: the item may be on its way again, and an older copy
// must not arrive after a newer message that the publisher knows to be acknowledged. The answers
// of one connection leave in the order of its numbers.
//
// Pure. Thread: the loop's. Owner: the loop's port, one stream a topic shard.
// Errors: add() refuses when the window is full; the loop then takes no PUBLISH from that socket
// . What the owner says is checked, never asserted.
// Spec: rules R-2; MQTT 5 §4.6 (Message ordering), §4.3.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "cluster/stream/stream.h"
#include "proto/base/ids.h"
#include "proto/mqtt/types.h"

namespace quorate::cluster {

struct StreamWindow {
    uint32_t items_max = 16'384;
    uint64_t bytes_max = 64ULL << 20;  // one message may be larger when it is alone
};

class PublishStream {
  public:
    explicit PublishStream(const StreamWindow& window = {}) : window_(window) {}

    struct Publish {
        uint64_t connection = 0;
        uint64_t ticket = 0;  // the loop's own; comes back in Settled
        // A retained QoS 0 is numbered and sent again like QoS 1, and settled in its turn, in
        // silence.
        bool silent = false;
        std::chrono::nanoseconds deadline{0};
        SharedBytes message;
    };
    // Its number; nothing when the window is full.
    [[nodiscard]] std::optional<uint64_t> add(Publish publish);
    // QoS 0 that is not retained. False: dropped, because no owner is known now.
    bool add_qos0(const SharedBytes& message);

    // The owner of the shard leads with this term.
    void begin(Term term);
    // The link broke, or the owner is not known any more.
    void broken() { open_ = false; }
    // The owner refused an item or the Begin of `attempt`. True when that is news: find out who
    // owns the shard and begin() again, after a pause when it is still the same.
    bool refused(uint32_t attempt);
    void answered(uint32_t attempt, uint64_t number, mqtt::ReasonCode code, uint32_t receivers);
    // Items whose deadline has passed are settled as timed out and leave the stream. Requires: the
    // deadlines of what was added never fell.
    void expire(std::chrono::nanoseconds now);
    // Nobody waits for its answers: what was not sent is dropped, what was sent is awaited and
    // never sent again, since the client may have gone on at another node.
    void connection_gone(uint64_t connection);

    struct Output {
        std::optional<StreamBegin> begin;
        std::vector<StreamItem> items;
    };
    // What is to be sent now, in order.
    [[nodiscard]] Output take();

    struct Settled {
        uint64_t connection = 0;
        uint64_t ticket = 0;
        bool timed_out = false;
        mqtt::ReasonCode code = mqtt::ReasonCode::Success;
        uint32_t receivers = 0;
    };
    [[nodiscard]] std::vector<Settled> take_settled();

    [[nodiscard]] bool open() const { return open_; }
    [[nodiscard]] bool full() const;
    [[nodiscard]] std::size_t unanswered() const { return items_.size(); }
    [[nodiscard]] uint64_t bytes() const { return bytes_; }
    // The number the next message gets.
    [[nodiscard]] uint64_t next() const { return next_; }

  private:
    struct Item {
        Publish publish;
        uint32_t sent_in = 0;  // the attempt that sent it last; 0: not sent
        bool gone = false;     // its connection is
    };
    // What waits for an earlier one of the same connection.
    struct Answer {
        uint64_t number = 0;
        bool silent = false;
        std::optional<Settled> settled;
    };

    void settle(uint64_t number, const Settled& settled);
    void forget(std::map<uint64_t, Item>::iterator at);
    void release(std::deque<Answer>& answers);
    void stage(uint64_t number, Item& item);
    [[nodiscard]] uint64_t first_unanswered() const;

    StreamWindow window_;
    bool open_ = false;
    uint32_t attempt_ = 0;
    uint64_t next_ = 1;
    uint64_t last_sent_ = 0;  // in this attempt, or `first` - 1
    uint64_t bytes_ = 0;
    std::map<uint64_t, Item> items_;               // by number
    std::map<uint64_t, std::deque<Answer>> owed_;  // by connection, in n order
    std::vector<Settled> settled_;
    Output out_;
};

}  // namespace quorate::cluster
