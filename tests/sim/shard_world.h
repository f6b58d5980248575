// The outside world of one simulated shard: clients that do what MQTT tells them to, through every
// crash, and remember what they were told. They connect to one or more front-ends.
//
// Four durable sessions that subscribe, receive, acknowledge and publish QoS 2; two publishers of
// QoS 1; writers and a reader of retained messages. Nothing of it dies with the broker. What they
// must never see:
//   M1  an acknowledged publish does not reach a session that was subscribed before it
//   M2  a QoS 2 message is handed to an application twice
//   M3  first deliveries of one publisher out of order
//   M5  a retained value older than one that was acknowledged, or read before
//   M6  a will twice, after DISCONNECT 0x00 or although the session came back in time; none at all
//   M8  a session gone before its expiry
//   R-6 another packet identifier, payload or DUP for what was in flight at a crash
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "cluster/shard/shard_state.h"
#include "proto/base/environment.h"

namespace quorate::sim {

// How often what matters really happened.
struct ShardSimCounts {
    uint64_t lives = 0;
    uint64_t commands_lost = 0;      // under way at a crash
    uint64_t receiver_mid_qos2 = 0;  // exchanges open at a crash, by the half-step they were in
    uint64_t sender_mid_qos2 = 0;
    uint64_t pubrels_resumed = 0;    // the broker went on with PUBREL after a crash
    uint64_t redelivered = 0;        // DUP=1
    uint64_t put_repeats = 0;        // a PUBLISH of QoS 2 that had been received before
    uint64_t hand_over_repeats = 0;  // outbox entries handed over again after a crash
    uint64_t sessions_expired = 0;
    uint64_t takeovers = 0;
    uint64_t takeovers_in_flight = 0;  // with messages that were not acknowledged,
    uint64_t takeovers_leaving = 0;    // or while a DISCONNECT was under way
    uint64_t let_go = 0;               // connections that made room for a newer one
    uint64_t refused = 0;              // by a limit
    uint64_t wills_sent = 0;
    uint64_t wills_cancelled = 0;
    uint64_t delivered = 0;
    uint64_t packet_ids_wrapped = 0;  // a session's came round to 1
    uint64_t retained_reads = 0;
    uint64_t commands = 0;
};

// *Thread*: the simulation's. *Owner*: ShardWorlds; outlives the lives of the broker.
class ShardWorld {
  public:
    explicit ShardWorld(uint32_t fronts = 1);

    // A fresh process: every connection to it is gone, and nobody answers what was asked.
    void begin_life(uint32_t front = 0);
    [[nodiscard]] Incarnation incarnation(uint32_t front = 0) const;
    // The command that ends an incarnation was applied: nothing of it comes any more.
    void fenced(Incarnation incarnation);

    // The next command of a client of that front-end, encoded; nothing when nobody wants anything.
    [[nodiscard]] std::optional<std::string> next(Random& random, ClusterTime now,
                                                  uint32_t front = 0);
    // No more publishes, detaches and the like: whatever is begun is brought to its end.
    void close() { closing_ = true; }
    [[nodiscard]] bool closing() const { return closing_; }
    // Limits may refuse what the client never hears of: it sends it again, behind what was taken.
    void expect_refusals() { refusals_ = true; }
    // Commands without an answer.
    [[nodiscard]] std::size_t unanswered() const { return pending_.size(); }
    // The time as the newest leader has it; when it is smaller there is a new one.
    void observe_time(uint64_t now);
    // A command of the leader for another shard's lane; here it is this one's.
    [[nodiscard]] std::string hand_over(const cluster::OutboxTarget& target,
                                        const cluster::OutboxEntryView& entry);

    // False when an entry of the outbox was handed over before, by any leader.
    bool first_hand_over(OutboxNumber number) { return handed_over_.insert(number).second; }

    // What was applied, when it may be told. Answers a finished hand-over.
    struct HandedOver {
        cluster::OutboxTarget target;
        OutboxNumber number;
    };
    [[nodiscard]] std::optional<HandedOver> answered(const cluster::Answer& answer,
                                                     ClusterTime applied_at);
    void let_go(const cluster::LetGo& request);
    // Connected clients receive what their windows allow. An error is the state's: it cannot be
    // read.
    [[nodiscard]] Status receive(const cluster::ShardState& state, ClusterTime now, Random& random,
                                 uint32_t front = 0);
    // Somebody looks at retained messages, and asks who may answer: the newest leader.
    [[nodiscard]] Status read_retained(const cluster::ShardState& state, ClusterTime now,
                                       Random& random);

    // Everybody is at rest: what is owed must be there.
    void judge();
    // Empty: nothing was ever wrong.
    [[nodiscard]] const std::string& complaint() const { return complaint_; }
    [[nodiscard]] const ShardSimCounts& counts() const { return counts_; }

  private:
    enum class Link : uint8_t { Away, Attaching, Here, Leaving };
    struct Seen {
        std::string payload;
        bool pubrec_committed = false;
        bool done = false;
    };
    struct Put {
        uint64_t sequence = 0;
        uint16_t id = 0;
        bool received = false;   // PUBREC came
        bool under_way = false;  // asked on this connection, not answered
    };
    struct Will {
        std::size_t client = 0;
        uint64_t delay_ms = 0;
        bool attached = false;      // the CONNACK came
        bool watched = false;       // somebody was there to receive it
        bool normal = false;        // DISCONNECT 0x00 was committed,
        bool maybe_normal = false;  // or at least sent
        std::optional<uint64_t> lost_at;
        bool settled = false;
        bool cancelled = false;  // came back in time
        bool unsure = false;     // came back about when it fell due
    };
    // A session counts its epochs alone: the first one of every session has the same number.
    struct Attachment {
        SessionId session;
        Epoch epoch;
        auto operator<=>(const Attachment&) const = default;
    };
    struct Client {
        std::size_t index = 0;
        uint32_t front = 0;
        std::string id;
        uint32_t expiry_s = 0;
        bool steady = false;  // keeps session and subscriptions
        Link link = Link::Away;
        bool existed = false;
        bool must_clean = false;
        Incarnation wiped_by;  // it may still carry out a clean start that nobody waits for
        uint16_t receive_maximum = 0;
        SessionId session;
        Epoch epoch;  // 0: not here
        uint64_t away_at = 0;
        uint64_t mark = 0;
        uint64_t next = 0;
        uint64_t highest = 0;
        std::map<uint64_t, Seen> seen;  // by number, of this session
        std::set<uint16_t> unfinished;
        std::vector<cluster::AckItem> acks;
        std::set<std::string> subscriptions;  // with SUBACK
        bool subscribing = false;
        std::map<std::string, uint32_t> delivered;
        std::map<std::string, uint64_t> newest;  // of each publisher
        uint64_t put_sequence = 0;
        uint16_t last_id = 0;
        std::deque<Put> puts;
        uint64_t wills = 0;
        uint32_t connections = 0;

        [[nodiscard]] Attachment attachment() const { return {session, epoch}; }
    };
    struct Publisher {
        std::string name;
        std::string topic;
        uint64_t sequence = 0;
        std::deque<uint64_t> open;
        uint32_t front = 0;
        std::size_t sent = 0;  // of open, on this life's lane
    };
    struct Published {
        bool acknowledged = false;
        bool again = false;  // sent anew on another connection
        std::set<std::size_t> owed_to;
    };
    struct Register {
        uint64_t proposed = 0;
        uint64_t acknowledged = 0;
        uint64_t read = 0;
        uint64_t level = 0;        // values up to this one are over
        std::set<uint64_t> loose;  // written for a front-end that died: happens late, or never
    };
    struct Front {
        uint32_t life = 0;
        std::map<cluster::LaneClass, uint64_t> numbers;
        std::deque<cluster::LetGo> let_gos;
    };

    struct Publishing {
        std::size_t publisher;
        uint64_t sequence;
    };
    struct Attaching {
        std::size_t client;
        bool clean;
        uint64_t asked_at;
    };
    struct Leaving {
        std::size_t client;
        bool normal;
        uint64_t will = 0;
    };
    struct Subscribing {
        std::size_t client;
        Attachment by;
        std::string filter;
    };
    struct Unsubscribing {
        std::size_t client;
        Attachment by;
    };
    struct Acking {
        std::size_t client;
        Attachment by;
        std::vector<cluster::AckItem> items;
    };
    struct Putting {
        std::size_t client;
        Attachment by;
        uint16_t id;
        bool release;
    };
    struct Retaining {
        std::size_t topic;
        uint64_t version;
    };
    using What = std::variant<Publishing, Attaching, Leaving, Subscribing, Unsubscribing, Acking,
                              Putting, Retaining, HandedOver>;
    struct Pending {
        uint32_t front = 0;
        What what;
    };

    [[nodiscard]] std::string numbered(uint32_t front, cluster::LaneClass lane, What what,
                                       const cluster::CommandBody& body);
    [[nodiscard]] std::string detach_for(const cluster::LetGo& request, uint32_t front,
                                         uint64_t now);
    void refused(const What& what);
    [[nodiscard]] std::optional<std::string> publish(Publisher& publisher);
    [[nodiscard]] std::optional<std::string> act(Client& client, Random& random, ClusterTime now);
    [[nodiscard]] std::string attach(Client& client, Random& random, ClusterTime now);
    [[nodiscard]] std::optional<std::string> leave(Client& client, Random& random, ClusterTime now);
    [[nodiscard]] std::optional<std::string> subscribe(Client& client, Random& random);
    [[nodiscard]] std::optional<std::string> put(Client& client, Random& random);
    [[nodiscard]] std::string retain(uint32_t front, Random& random);

    void done(const Publishing& what, const cluster::Answer& answer, uint64_t at);
    void done(const Attaching& what, const cluster::Answer& answer, uint64_t at);
    void done(const Leaving& what, const cluster::Answer& answer, uint64_t at);
    void done(const Subscribing& what, const cluster::Answer& answer, uint64_t at);
    void done(const Unsubscribing& what, const cluster::Answer& answer, uint64_t at);
    void done(const Acking& what, const cluster::Answer& answer, uint64_t at);
    void done(const Putting& what, const cluster::Answer& answer, uint64_t at);
    void done(const Retaining& what, const cluster::Answer& answer, uint64_t at);
    void done(const HandedOver& /*what*/, const cluster::Answer& /*answer*/, uint64_t /*at*/) {}

    void lost(Client& client, uint64_t now);
    void forget_session(Client& client);
    void excuse(const Client& client);
    void owe(const std::string& payload, std::string_view topic);
    [[nodiscard]] static uint16_t packet_id(uint64_t number);
    [[nodiscard]] Will& current_will(const Client& client);
    void settle_wills(const Client& client, bool resumed, uint64_t applied_at);
    void unsettle_wills(const Client& client);
    void take(Client& client, const cluster::QueueEntryView& entry);
    void hand_to_application(Client& client, const cluster::QueueEntryView& entry);
    void complain(const std::string& what);

    std::vector<Client> clients_;
    std::vector<Publisher> publishers_;
    std::vector<Register> registers_;
    std::map<std::string, Published> published_;
    std::map<std::string, Will> wills_;   // by payload
    std::set<OutboxNumber> handed_over_;  // over all lives
    std::vector<Front> fronts_;
    std::map<Attachment, uint64_t> written_;  // the highest number
    uint64_t last_time_ = 0;
    std::map<uint64_t, Pending> pending_;
    uint64_t next_token_ = 1;
    bool closing_ = false;
    bool crowded_ = false;  // a queue is long: publishers wait, or its limit would drop messages
    bool refusals_ = false;
    std::string complaint_;
    ShardSimCounts counts_;
};

}  // namespace quorate::sim
