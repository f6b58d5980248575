// The way of a PUBLISH through its loop: to this loop's own subscribers at once, to other loops,
// shards and groups by the port; and the tickets of those that wait for an answer.
//
// Among other nodes all of them go to the owners of their topics and by nothing else: what is for
// this loop's subscribers comes back as a copy.
//
// Thread: the loop's. Owner: the front-end. Errors: refusals come back as reason codes.
// Spec; MQTT 5 §3.3.1.3 (RETAIN), §4.6 (ordering).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "broker/app/desks/local_subscriptions.h"
#include "broker/app/desks/route_cache.h"
#include "broker/mqtt/channel.h"
#include "broker/mqtt/encoded_publish.h"
#include "cluster/router/loop_port.h"

namespace quorate::broker {

class Client;
class FrontEnd;

class PublishDesk {
  public:
    PublishDesk(FrontEnd& front_end, cluster::LoopPort& port, LocalSubscriptions& local);

    // A client's PUBLISH that passed every check.
    [[nodiscard]] PublishVerdict publish(Client& from, const InboundPublish& publish);
    // A message of the broker itself ($SYS): QoS 0, unanswered; dropped without credit.
    void publish_own(const mqtt::MessageView& message);
    // Its connection is over, and with it what it waited for.
    void gone(const Client& client);

    void on_publishes(const cluster::PublishBatch& batch);
    void on_taken(const cluster::TakenBatch& batch);

    // Publishes that wait longer than `limit` are refused (G10).
    void sweep(LoopTime now, LoopTime limit);
    [[nodiscard]] std::size_t waiting() const { return tickets_.size() - free_.size(); }
    [[nodiscard]] uint64_t unmatched() const { return unmatched_; }

  private:
    struct Waiting {
        uint32_t generation = 1;
        uint32_t client = 0;
        uint32_t client_generation = 0;  // 0: no client waits
        uint32_t channel_ticket = 0;
        uint32_t awaited = 0;
        uint32_t receivers = 0;
        mqtt::QoS qos = mqtt::QoS::AtMostOnce;
        mqtt::ReasonCode code = mqtt::ReasonCode::Success;
        bool in_use = false;
        bool held = false;  // its topic is held until it is taken
        LoopTime since{0};
        std::string topic;  // when held
    };

    [[nodiscard]] PublishVerdict route(Client& from, const InboundPublish& publish,
                                       const RoutePlan& plan);
    // To the owner, and by nothing else until that has it: of a retained topic.
    [[nodiscard]] PublishVerdict by_owner(Client* from, const InboundPublish& publish);
    // The same among other nodes, where the port keeps the order.
    [[nodiscard]] PublishVerdict in_stream(Client* from, const InboundPublish& publish);
    uint32_t offer_local(const RoutePlan& plan, const mqtt::MessageView& message);

    [[nodiscard]] const RoutePlan& plan_for(std::string_view topic);
    [[nodiscard]] cluster::Ticket open(Client* from, const InboundPublish& publish);
    [[nodiscard]] Waiting* find(cluster::Ticket ticket);
    void close(cluster::Ticket ticket);
    void arrived(cluster::Ticket ticket, uint32_t receivers, mqtt::ReasonCode code);
    void answer(Waiting& waiting);

    FrontEnd& front_end_;
    cluster::LoopPort& port_;
    const bool among_others_;  // LoopPort::owner_distributes()
    RouteCache cache_;
    EncodedPublishCache encoded_;
    std::vector<Waiting> tickets_;
    std::vector<uint32_t> free_;
    // Topics with publishes at their owner that later ones of this loop must not overtake.
    std::unordered_map<std::string, uint32_t> held_;
    std::string flat_;
    uint64_t unmatched_ = 0;
    uint32_t planned_ = 0;  // publishes; one in 64 is timed
};

}  // namespace quorate::broker
