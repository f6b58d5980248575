// The outside world of one simulated shard: clients that do what MQTT tells them to, through every
// crash, and remember what they were told.
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
    uint64_t wills_sent = 0;
    uint64_t wills_cancelled = 0;
    uint64_t delivered = 0;
    uint64_t retained_reads = 0;
};

// *Thread*: the simulation's. *Owner*: ShardWorlds; outlives the lives of the broker.
class ShardWorld {
  public:
    ShardWorld();

    // A fresh process: every connection is gone, and nobody answers what was asked.
    void begin_life();
    [[nodiscard]] Incarnation incarnation() const;

    // The next command of a client, encoded; nothing when nobody wants anything.
    [[nodiscard]] std::optional<std::string> next(Random& random, ClusterTime now);
    // No more publishes, detaches and the like: whatever is begun is brought to its end.
    void close() { closing_ = true; }
    [[nodiscard]] bool closing() const { return closing_; }
    // A command of the leader for another shard's lane; here it is this one's.
    [[nodiscard]] std::string hand_over(const cluster::OutboxTarget& target,
                                        const cluster::OutboxEntryView& entry);

    // What was applied, when it may be told. Answers a finished hand-over.
    struct HandedOver {
        cluster::OutboxTarget target;
        OutboxNumber number;
    };
    [[nodiscard]] std::optional<HandedOver> answered(const cluster::Answer& answer,
                                                     ClusterTime applied_at);
    void let_go(const cluster::LetGo& request);
    // Connected clients receive what their windows allow; readers look at retained messages.
    void receive(const cluster::ShardState& state, ClusterTime now, Random& random);

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
    struct Client {
        std::size_t index = 0;
        std::string id;
        uint32_t expiry_s = 0;
        bool steady = false;  // keeps session and subscriptions
        Link link = Link::Away;
        bool existed = false;
        bool must_clean = false;
        uint16_t receive_maximum = 0;
        SessionId session;
        Epoch epoch;
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
    };
    struct Publisher {
        std::string name;
        std::string topic;
        uint64_t sequence = 0;
        std::deque<uint64_t> open;
        std::size_t sent = 0;  // of open, on this life's lane
    };
    struct Published {
        bool acknowledged = false;
        std::set<std::size_t> owed_to;
    };
    struct Register {
        uint64_t proposed = 0;
        uint64_t acknowledged = 0;
        uint64_t read = 0;
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
        Epoch epoch;
        std::string filter;
    };
    struct Unsubscribing {
        std::size_t client;
        Epoch epoch;
    };
    struct Acking {
        std::size_t client;
        Epoch epoch;
        std::vector<cluster::AckItem> items;
    };
    struct Putting {
        std::size_t client;
        Epoch epoch;
        uint16_t id;
        bool release;
    };
    struct Retaining {
        std::size_t topic;
        uint64_t version;
    };
    using Pending = std::variant<Publishing, Attaching, Leaving, Subscribing, Unsubscribing, Acking,
                                 Putting, Retaining, HandedOver>;

    [[nodiscard]] std::string numbered(cluster::LaneClass lane, Pending pending,
                                       const cluster::CommandBody& body);
    [[nodiscard]] std::optional<std::string> publish(Publisher& publisher);
    [[nodiscard]] std::optional<std::string> act(Client& client, Random& random, ClusterTime now);
    [[nodiscard]] std::string attach(Client& client, Random& random, ClusterTime now);
    [[nodiscard]] std::optional<std::string> leave(Client& client, Random& random, ClusterTime now);
    [[nodiscard]] std::optional<std::string> subscribe(Client& client, Random& random);
    [[nodiscard]] std::optional<std::string> put(Client& client, Random& random);
    [[nodiscard]] std::string retain(Random& random);

    void done(const Publishing& what, const cluster::Answer& answer, uint64_t at);
    void done(const Attaching& what, const cluster::Answer& answer, uint64_t at);
    void done(const Leaving& what, const cluster::Answer& answer, uint64_t at);
    void done(const Subscribing& what, const cluster::Answer& answer, uint64_t at);
    void done(const Unsubscribing& what, const cluster::Answer& answer, uint64_t at);
    void done(const Acking& what, const cluster::Answer& answer, uint64_t at);
    void done(const Putting& what, const cluster::Answer& answer, uint64_t at);
    void done(const Retaining& what, const cluster::Answer& answer, uint64_t at);
    void done(const HandedOver& /*what*/, const cluster::Answer& /*answer*/, uint64_t /*at*/) {}

    void observe_time(uint64_t now);
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
    void read_retained(const cluster::ShardState& state, ClusterTime now, Random& random);
    void complain(const std::string& what);

    std::vector<Client> clients_;
    std::vector<Publisher> publishers_;
    std::vector<Register> registers_;
    std::map<std::string, Published> published_;
    std::map<std::string, Will> wills_;   // by payload
    std::set<OutboxNumber> handed_over_;  // over all lives
    std::deque<cluster::LetGo> let_gos_;
    std::map<uint64_t, uint64_t> written_;  // highest number, by epoch and client
    uint32_t life_ = 0;
    uint64_t last_time_ = 0;
    std::map<cluster::LaneClass, uint64_t> numbers_;
    std::map<uint64_t, Pending> pending_;
    uint64_t next_token_ = 1;
    bool closing_ = false;
    std::string complaint_;
    ShardSimCounts counts_;
};

}  // namespace quorate::sim
