// One client with a durable session, one publisher, and what they do one after the other: they keep
// to MQTT, remember what they were told, and complain when it does not hold.
//
// *Thread*: one. *Owner*: an exploration; outlives the lives of the broker. *Errors*:
// `complaint()`. *Spec*: G1 to G5, G8; R-6.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "tests/sim/crashes/broker.h"

namespace quorate::sim::crashes {

enum class Operation : uint8_t {
    Attach,  // CONNECT, also while the old connection is there
    Subscribe,
    PublishQos1,  // by somebody else
    PublishQos2,  // by the client, up to PUBCOMP
    Acknowledge,  // all that it has received, up to PUBCOMP
    Detach,       // the connection breaks
};
constexpr uint32_t kOperations = 6;
[[nodiscard]] std::string_view to_string(Operation operation);

class Story {
  public:
    explicit Story(Broker& broker) : broker_(broker) {}

    // Whether a client could do that now.
    [[nodiscard]] bool possible(Operation operation) const;
    void begin(Operation operation);
    // Takes what the broker has let out, and what can be received.
    void listen();
    // The broker is another one now: connects again and sends what was not answered.
    void reconnect();
    // Brings everything to its end. False: it does not come to one.
    [[nodiscard]] bool settle();
    // Everybody is at rest: what is owed must be there.
    void judge();
    [[nodiscard]] const std::string& complaint() const { return complaint_; }

  private:
    enum class Link : uint8_t { Away, Attaching, Here };
    struct Received {
        std::string payload;
        bool twice = false;  // QoS 2
        bool pubrec_told = false;
        bool done = false;
    };
    struct Publish {
        std::string payload;
        uint16_t id = 0;  // QoS 2
        bool answered = false;
        bool complete = false;
        bool owed = false;
    };
    struct Attaching {};
    struct Subscribing {};
    struct Detaching {};
    struct Publishing {
        std::size_t publish;
        bool release;
    };
    struct Acknowledging {
        std::vector<cluster::AckItem> items;
    };
    using What = std::variant<Attaching, Subscribing, Detaching, Publishing, Acknowledging>;

    void ask(cluster::LaneClass lane, What what, const cluster::CommandBody& body);
    void send(std::size_t publish);
    void release(std::size_t publish);
    void acknowledge();
    void attach();
    void hear(const cluster::Answer& answer);
    void attached(const cluster::AttachResult& result);
    void receive();
    void take(const cluster::QueueEntryView& entry);
    void hand_to_application(const cluster::QueueEntryView& entry);
    void complain(const std::string& what) {
        if (complaint_.empty()) complaint_ = what;
    }

    Broker& broker_;
    std::map<cluster::LaneClass, uint64_t> numbers_;
    std::map<uint64_t, What> asked_;  // by token
    uint64_t next_token_ = 1;

    Link link_ = Link::Away;
    uint32_t connections_ = 0;
    bool existed_ = false;
    bool subscribed_ = false;
    SessionId session_;
    Epoch epoch_;
    uint64_t mark_ = 0;
    uint64_t next_ = 0;
    std::map<Epoch, uint64_t> written_;      // the highest number received on each connection
    std::map<uint64_t, Received> received_;  // by number
    std::set<uint16_t> unfinished_;
    std::vector<cluster::AckItem> acks_;
    std::map<std::string, uint32_t> delivered_;
    std::size_t newest_ = 0;  // publish of QoS 1 delivered
    std::vector<Publish> publishes_;
    std::string complaint_;
};

}  // namespace quorate::sim::crashes
