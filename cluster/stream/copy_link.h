// Numbered copies of publishes of QoS 1 and 2 from the owner of a shard's topics to another node,
// for the sessions that live in the memory of its loops.
//
// A copy is done when the loops took it into their sessions' queues, or when that incarnation is
// down.
// After a break of the link everything unanswered is sent again in order; the receiver takes each
// number once, refuses gaps, refuses older terms of the source (the number is consumed), and drops
// what an outbox hands over a second time.
//
// Pure. Thread: the worker's of the shard's group at either end. Owner: the same.
// Errors: send() refuses when the window is full; verdicts say the rest. What a peer sends is
// checked, never asserted. Bounded by the window, and by the producers of nodes that are up.
// Spec: rules R-0, R-1 ("loop took it | inc down"), R-5, "Nodes as destinations".
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "cluster/sessions/outbox_source.h"
#include "cluster/sessions/repeat_filter.h"
#include "cluster/stream/node_fence.h"
#include "proto/base/bytes.h"
#include "proto/base/ids.h"

namespace quorate::cluster {

struct Copy {
    uint64_t number = 0;
    SourceFence fence;                   // the topic's shard, and the term of its owner
    std::optional<OutboxSource> source;  // of what came through an outbox
    SharedBytes message;                 // flat
};

enum class CopyVerdict : uint8_t {
    Queue,   // new: to the loops' sessions, then answer Taken
    Taken,   // had before, or a repeat of an outbox: answer Taken, queue nothing
    Stale,   // an older term of its source; number consumed
    Gap,     // not the next number: send again from the first unanswered
    Fenced,  // the sender's incarnation is down; not counted
};

struct CopyWindow {
    uint32_t copies_max = 4096;
    uint64_t bytes_max = 32ULL << 20;  // one copy may be larger when it is alone
};

class CopySender {
  public:
    explicit CopySender(const CopyWindow& window = {}) : window_(window) {}

    struct Done {
        uint64_t token = 0;
        bool stale = false;
    };

    // Stages a copy. False: the window is full, nothing happened.
    [[nodiscard]] bool send(uint64_t token, Copy copy);
    // The receiver's verdict on a number; adds what is done by it. Gap stages everything again,
    // unless that was done since the number was first sent.
    void answered(uint64_t number, CopyVerdict verdict, std::vector<Done>& done);
    // After a break of the link.
    void resend();
    // The receiver's incarnation is down: every copy is done.
    void down(std::vector<Done>& done);

    [[nodiscard]] std::vector<Copy> take();
    [[nodiscard]] bool full() const;
    [[nodiscard]] std::size_t unanswered() const;

  private:
    struct Pending {
        uint64_t token = 0;
        bool answered = false;
        Copy copy;
    };

    CopyWindow window_;
    uint64_t next_ = 1;
    uint64_t resent_ = 0;  // numbers up to here were sent again
    uint64_t bytes_ = 0;
    std::deque<Pending> pending_;  // ends with number next_ - 1
    std::vector<Copy> out_;
};

// Who sends: the owner of a shard's topics, in one term.
struct CopyProducer {
    Incarnation incarnation;
    ShardId shard;
    Term term;
    auto operator<=>(const CopyProducer&) const = default;
};

class CopyReceiver {
  public:
    // Both outlive it.
    CopyReceiver(NodeFence& fence, RepeatFilters& repeats) : fence_(fence), repeats_(repeats) {}

    [[nodiscard]] CopyVerdict receive(const CopyProducer& producer, const Copy& copy);
    // What is remembered of it and of earlier incarnations of its node is forgotten. Call
    // NodeFence::down first.
    void down(Incarnation incarnation);

    [[nodiscard]] std::size_t producers() const { return last_.size(); }

  private:
    NodeFence& fence_;
    RepeatFilters& repeats_;
    void forget_terms_before(const CopyProducer& producer);

    std::map<CopyProducer, uint64_t> last_;
};

}  // namespace quorate::cluster
