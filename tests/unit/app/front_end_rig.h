// A front-end on a real loop, with sockets on loopback for its clients and a FakePort for its
// cluster; the test's thread drives it.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "broker/app/front_end.h"
#include "tests/unit/app/fake_port.h"
#include "tests/unit/net/support.h"

namespace quorate::broker::test {

// The system's clock, and what the test adds.
class SkippingClock final : public Clock {
  public:
    [[nodiscard]] std::chrono::nanoseconds now() const override { return system_.now() + skipped_; }
    [[nodiscard]] std::chrono::milliseconds wall() const override { return system_.wall(); }
    void skip(std::chrono::nanoseconds time) { skipped_ += time; }

  private:
    SystemClock system_;
    std::chrono::nanoseconds skipped_{0};
};

class FrontEndRig {
  public:
    // One connection of an MQTT client; packets as text, see tests/unit/channel/notation.h.
    class Mqtt {
      public:
        Mqtt(FrontEndRig& rig, mqtt::ProtocolVersion version);
        void send(std::string_view line);
        // Every packet that came since the last call; turns the loop until there are `count`.
        std::vector<std::string> receive(std::size_t count);
        // The same when there is nothing to come: some turns pass first.
        std::vector<std::string> receive_nothing_more();
        [[nodiscard]] bool ended();
        [[nodiscard]] Client& socket() { return socket_; }

      private:
        std::vector<std::string> take();

        FrontEndRig& rig_;
        mqtt::ProtocolVersion version_;
        Client socket_;
    };

    // `among_others`: a node of a cluster.
    explicit FrontEndRig(const FrontEndOptions& options = anonymous(), bool among_others = false);
    [[nodiscard]] static FrontEndOptions anonymous();

    [[nodiscard]] std::unique_ptr<Mqtt> open(
        mqtt::ProtocolVersion version = mqtt::ProtocolVersion::V5);
    // A client with a session of expiry 0, or with one that is in its shard.
    [[nodiscard]] std::unique_ptr<Mqtt> memory_client(
        const std::string& id, mqtt::ProtocolVersion version = mqtt::ProtocolVersion::V5);
    [[nodiscard]] std::unique_ptr<Mqtt> durable_client(const std::string& id,
                                                       const std::string& more = "");
    void subscribe(Mqtt& client, const std::string& filter);

    // Turns the loop until `done`, at most ten seconds; false when it never was.
    bool until(const std::function<bool()>& done);
    void turn(int times = 5);
    // Events of the port happen now.
    void arrive(std::function<void(cluster::LoopSink&)> event);
    // The answer to the command of `token`.
    void answer(uint64_t token, cluster::CommandResult result,
                cluster::AnswerCode code = cluster::AnswerCode::Applied);
    void taken(cluster::Ticket ticket, uint32_t receivers,
               mqtt::ReasonCode code = mqtt::ReasonCode::Success);
    // A numbered message of the shard for the client in `slot`, generation `slot` + 1.
    // `from`: what it stands for, see DeliveryView.
    void deliver(uint64_t number, mqtt::QoS qos, std::string_view payload = "x", uint32_t slot = 0,
                 uint64_t from = 0);
    // Takes the oldest command that nobody has looked at; waits for it. Fails on another name.
    FakePort::Sent command(const std::string& name);
    [[nodiscard]] bool no_command();
    [[nodiscard]] static cluster::AttachResult attached(bool durable, uint64_t session = 1,
                                                        uint64_t epoch = 1);

    SkippingClock clock;
    std::unique_ptr<Logger> logger;
    Metrics metrics;
    NodeStatus status;
    std::unique_ptr<ListenerGroup> group;
    EventLoop loop;
    FrontEnd front_end;
    FakePort* port = nullptr;
};

}  // namespace quorate::broker::test
