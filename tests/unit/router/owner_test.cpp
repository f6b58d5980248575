#include "cluster/router/owner.h"

#include <map>
#include <vector>

#include "tests/unit/catch.h"

namespace quorate::cluster {
namespace {

constexpr PortRef kLoop = local_port(PortId(0));

// Writes down what the owner asks for. One list for all, since order between kinds matters.
class FakeHost final : public OwnerHost {
  public:
    Destinations destinations;  // of every topic
    std::vector<std::string> log;
    std::map<std::string, uint64_t> tokens;  // of the newest operation, by payload
    std::vector<std::optional<OutboxSource>> sources;
    bool retained_full = false;
    bool cut_off = false;  // the match, unless asked for whole

    // What was asked since the last call.
    std::vector<std::string> take() { return std::exchange(log, {}); }

  private:
    bool match(std::string_view /*topic*/, Destinations& out, bool whole) override {
        out = destinations;
        return whole || !cut_off;
    }
    bool may_retain(std::string_view /*topic*/, bool /*accepted*/) override {
        return !retained_full;
    }
    void enqueue(ShardId shard, uint64_t token, const Enqueue& body, ShardId /*of*/) override {
        note("enqueue " + std::to_string(shard.value()), token, body.message);
        sources.push_back(body.source);
    }
    void retain(ShardId /*shard*/, uint64_t token, const Retain& body) override {
        note("retain", token, body.message);
    }
    void to_group(const GroupRoute& group, Ticket ticket, const SharedBytes& flat,
                  const OutboxSource* source) override {
        note("group " + group.group, ticket, flat.text());
        sources.push_back(source == nullptr ? std::nullopt : std::optional(*source));
    }
    void to_loop(LoopId loop, Ticket ticket, const mqtt::MessageView& message,
                 const OutboxSource* /*source*/) override {
        note("loop " + std::to_string(loop.value()), ticket, message);
    }
    void to_live(ShardId shard, const mqtt::MessageView& message) override {
        note("live " + std::to_string(shard.value()), 0, message);
    }
    void answer(PortRef asker, const TakenBatch::Taken& taken) override {
        log.push_back("answer " + std::to_string(asker.port.value()) + "/" +
                      std::to_string(taken.ticket) + " " + std::to_string(taken.receivers) + " " +
                      std::to_string(static_cast<int>(taken.code)));
    }
    void answer(const HandOverDone& done) override {
        log.push_back("done " + std::to_string(done.source.value()) + "/" +
                      std::to_string(done.number.value()));
    }

    void note(const std::string& what, uint64_t token, const mqtt::MessageView& message) {
        log.push_back(what + " " + std::string(message.payload));
        if (token != 0) tokens[std::string(message.payload)] = token;
    }
    void note(const std::string& what, uint64_t token, std::string_view flat) {
        const auto message = mqtt::decode_message(flat);
        REQUIRE(message.has_value());
        note(what, token, *message);
    }
};

using Log = std::vector<std::string>;

mqtt::MessageView message(std::string_view topic, std::string_view payload,
                          mqtt::QoS qos = mqtt::QoS::AtLeastOnce, bool retain = false) {
    mqtt::MessageView view;
    view.topic = topic;
    view.payload = payload;
    view.qos = qos;
    view.retain = retain;
    return view;
}

Answer enqueued(uint32_t queued, uint32_t live = 0, uint32_t rejected = 0) {
    Answer answer;
    EnqueueResult result;
    result.queued = queued;
    result.live_qos0 = live;
    result.rejected = rejected;
    answer.result = result;
    return answer;
}

Answer retained(mqtt::ReasonCode code = mqtt::ReasonCode::Success) {
    Answer answer;
    answer.result = RetainResult{code};
    return answer;
}

struct Setup {
    FakeHost host;
    Owner owner{host, ShardLayout{4, 0}};
};

TEST_CASE("A publish that leads nowhere is answered at once with nobody", "[R-1]") {
    Setup setup;
    setup.owner.publish(kLoop, 9, message("t", "m"), false);
    CHECK(setup.host.take() == Log{"answer 0/9 0 0"});
    CHECK(setup.owner.in_progress() == 0);
}

TEST_CASE("A publish is answered when every destination has it, and what they took adds up",
          "[R-1]") {
    Setup setup;
    setup.host.destinations.loops = 0b101;
    setup.host.destinations.shards = {{ShardId(1), mqtt::QoS::AtLeastOnce},
                                      {ShardId(3), mqtt::QoS::ExactlyOnce}};
    setup.host.destinations.groups = {{ShardId(2), "g/t"}};
    setup.owner.publish(local_port(PortId(5)), 9, message("t", "m"), false);
    CHECK(setup.host.take() ==
          Log{"loop 0 m", "loop 2 m", "enqueue 1 m", "enqueue 3 m", "group g/t m"});
    const uint64_t token = setup.host.tokens.at("m");
    setup.owner.on_command(token, enqueued(2, 1));
    setup.owner.on_taken({token, 4, mqtt::ReasonCode::Success});
    setup.owner.on_command(token, enqueued(10));
    setup.owner.on_taken({token, 1, mqtt::ReasonCode::Success});
    CHECK(setup.host.log.empty());
    CHECK(setup.owner.in_progress() == 1);
    setup.owner.on_taken({token, 0, mqtt::ReasonCode::Success});
    CHECK(setup.host.take() == Log{"answer 5/9 18 0"});
    CHECK(setup.owner.in_progress() == 0);
    // A late repeat names an operation that is over.
    setup.owner.on_taken({token, 1, mqtt::ReasonCode::Success});
    setup.owner.on_command(token, enqueued(1));
    CHECK(setup.host.log.empty());
}

TEST_CASE("QoS 0 goes to connected sessions and is answered without waiting", "[R-1]") {
    Setup setup;
    setup.host.destinations.loops = 0b10;
    setup.host.destinations.shards = {{ShardId(1), mqtt::QoS::ExactlyOnce}};
    setup.host.destinations.groups = {{ShardId(2), "g/t"}};
    setup.owner.publish(kLoop, 0, message("t", "m", mqtt::QoS::AtMostOnce), false);
    CHECK(setup.host.take() == Log{"loop 1 m", "live 1 m", "group g/t m"});
    CHECK(setup.host.tokens.empty());
    CHECK(setup.owner.in_progress() == 0);
}

TEST_CASE("A shard whose best QoS is 0 is not asked to commit", "[R-1]") {
    Setup setup;
    setup.host.destinations.shards = {{ShardId(1), mqtt::QoS::AtMostOnce}};
    setup.owner.publish(kLoop, 9, message("t", "m"), false);
    CHECK(setup.host.take() == Log{"live 1 m", "answer 0/9 0 0"});
}

TEST_CASE("Loops that have a message already are left out", "[R-1]") {
    Setup setup;
    setup.host.destinations.loops = ~uint64_t{0};
    setup.owner.publish(kLoop, 9, message("t", "m"), true);
    CHECK(setup.host.take() == Log{"answer 0/9 0 0"});
    setup.host.destinations.loops = uint64_t{1} << 63;
    setup.owner.publish(kLoop, 9, message("t", "m"), false);
    CHECK(setup.host.take() == Log{"loop 63 m"});
}

TEST_CASE("A refusal of one destination refuses the publish", "[R-9]") {
    Setup setup;
    setup.host.destinations.shards = {{ShardId(1), mqtt::QoS::AtLeastOnce},
                                      {ShardId(2), mqtt::QoS::AtLeastOnce}};
    setup.owner.publish(kLoop, 9, message("t", "full"), false);
    (void)setup.host.take();
    setup.owner.on_command(setup.host.tokens.at("full"), enqueued(3, 0, 1));
    setup.owner.on_command(setup.host.tokens.at("full"), enqueued(1));
    CHECK(setup.host.take() == Log{"answer 0/9 4 151"});

    setup.owner.publish(kLoop, 10, message("t", "refused"), false);
    (void)setup.host.take();
    Answer refused;
    refused.code = AnswerCode::Malformed;
    setup.owner.on_command(setup.host.tokens.at("refused"), enqueued(1));
    setup.owner.on_command(setup.host.tokens.at("refused"), refused);
    CHECK(setup.host.take() == Log{"answer 0/10 1 131"});

    setup.owner.publish(kLoop, 11, message("t", "again"), false);
    (void)setup.host.take();
    Answer duplicate;
    duplicate.code = AnswerCode::Duplicate;
    setup.owner.on_command(setup.host.tokens.at("again"), duplicate);
    setup.owner.on_command(setup.host.tokens.at("again"), duplicate);
    CHECK(setup.host.take() == Log{"answer 0/11 0 0"});
}

TEST_CASE("Messages of a topic wait while it is being retained, and keep their order",
          "[R-2][MQTT-4.6.0-6]") {
    Setup setup;
    setup.host.destinations.loops = 1;
    setup.owner.publish(kLoop, 1, message("t", "one", mqtt::QoS::AtLeastOnce, true), false);
    setup.owner.publish(kLoop, 2, message("t", "two"), false);
    setup.owner.publish(kLoop, 3, message("t", "three", mqtt::QoS::AtMostOnce, true), false);
    setup.owner.publish(kLoop, 4, message("t", "four"), false);
    setup.owner.publish(kLoop, 5, message("other", "five"), false);
    CHECK(setup.host.take() == Log{"retain one", "loop 0 five"});
    CHECK(setup.owner.held() == 3);

    const uint64_t one = setup.host.tokens.at("one");
    setup.owner.on_command(one, retained());
    CHECK(setup.host.take() == Log{"loop 0 one", "loop 0 two", "retain three"});
    CHECK(setup.owner.held() == 1);
    setup.owner.on_taken({one, 1, mqtt::ReasonCode::Success});
    CHECK(setup.host.take() == Log{"answer 0/1 1 0"});

    setup.owner.on_command(setup.host.tokens.at("three"), retained());
    CHECK(setup.host.take() == Log{"loop 0 three", "answer 0/3 0 0", "loop 0 four"});
    CHECK(setup.owner.held() == 0);
    setup.owner.publish(kLoop, 6, message("t", "six"), false);
    CHECK(setup.host.take() == Log{"loop 0 six"});
}

TEST_CASE("A retained message that is refused reaches nobody, and its topic goes on", "[R-2]") {
    Setup setup;
    setup.host.destinations.loops = 1;
    setup.owner.publish(kLoop, 1, message("t", "one", mqtt::QoS::AtLeastOnce, true), false);
    setup.owner.publish(kLoop, 2, message("t", "two"), false);
    (void)setup.host.take();
    setup.owner.on_command(setup.host.tokens.at("one"), retained(mqtt::ReasonCode::QuotaExceeded));
    CHECK(setup.host.take() == Log{"answer 0/1 0 151", "loop 0 two"});

    setup.owner.publish(kLoop, 3, message("t", "three", mqtt::QoS::AtLeastOnce, true), false);
    (void)setup.host.take();
    Answer limit;
    limit.code = AnswerCode::LimitExceeded;
    setup.owner.on_command(setup.host.tokens.at("three"), limit);
    CHECK(setup.host.take() == Log{"answer 0/3 0 151"});
    CHECK(setup.owner.held() == 0);
}

TEST_CASE("At the limit of retained messages one is refused at once, but a deletion is not",
          "[R-9]") {
    Setup setup;
    setup.host.destinations.loops = 1;
    setup.host.retained_full = true;
    setup.owner.publish(kLoop, 1, message("t", "one", mqtt::QoS::AtLeastOnce, true), false);
    CHECK(setup.host.take() == Log{"answer 0/1 0 151"});
    setup.owner.publish(kLoop, 2, message("t", "two"), false);
    CHECK(setup.host.take() == Log{"loop 0 two"});
    setup.owner.publish(kLoop, 3, message("t", "", mqtt::QoS::AtLeastOnce, true), false);
    CHECK(setup.host.take() == Log{"retain "});
}

TEST_CASE("What could not be matched whole is refused and goes to nobody", "[R-1]") {
    Setup setup;
    setup.host.destinations.loops = 1;
    setup.host.destinations.shards = {{ShardId(1), mqtt::QoS::AtLeastOnce}};
    setup.host.cut_off = true;
    setup.owner.publish(kLoop, 1, message("t", "one"), false);
    CHECK(setup.host.take() == Log{"answer 0/1 0 151"});
    CHECK(setup.owner.in_progress() == 0);
    // A retained one was written, and later ones of its topic wait for nothing.
    setup.owner.publish(kLoop, 2, message("t", "two", mqtt::QoS::AtLeastOnce, true), false);
    setup.owner.publish(kLoop, 3, message("t", "three", mqtt::QoS::AtMostOnce), false);
    CHECK(setup.host.take() == Log{"retain two"});
    setup.owner.on_command(setup.host.tokens.at("two"), retained());
    CHECK(setup.host.take() ==
          Log{"answer 0/2 0 151", "loop 0 three", "live 1 three", "answer 0/3 0 0"});
    // Also the one of QoS 0, which nobody is told of, is counted.
    CHECK(setup.owner.cut_off() == 3);
}

TEST_CASE("An outbox entry was accepted before: it is matched whole", "[R-5]") {
    Setup setup;
    setup.host.destinations.shards = {{ShardId(1), mqtt::QoS::AtLeastOnce}};
    setup.host.cut_off = true;
    HandOver entry;
    std::string flat;
    mqtt::encode_message(flat, message("t", "m", mqtt::QoS::ExactlyOnce));
    entry.message = SharedBytes(as_bytes(flat));
    setup.owner.hand_over(entry);
    CHECK(setup.host.take() == Log{"enqueue 1 m"});
}

TEST_CASE("An outbox entry is done when all have it, also when a limit dropped it", "[R-5]") {
    Setup setup;
    setup.host.destinations.shards = {{ShardId(1), mqtt::QoS::AtLeastOnce}};
    setup.host.destinations.groups = {{ShardId(2), "g/t"}};
    HandOver entry;
    entry.source.stream.source = ShardId(3);
    entry.source.number = OutboxNumber(7);
    std::string flat;
    mqtt::encode_message(flat, message("t", "m"));
    entry.message = SharedBytes(as_bytes(flat));
    setup.owner.hand_over(entry);
    CHECK(setup.host.take() == Log{"enqueue 1 m", "group g/t m"});
    REQUIRE(setup.host.sources.size() == 2);
    for (const auto& source : setup.host.sources) {
        REQUIRE(source.has_value());
        CHECK(source->number == OutboxNumber(7));
    }
    const uint64_t token = setup.host.tokens.at("m");
    setup.owner.on_command(token, enqueued(0, 0, 1));
    CHECK(setup.host.log.empty());
    setup.owner.on_taken({token, 1, mqtt::ReasonCode::Success});
    CHECK(setup.host.take() == Log{"done 3/7"});
}

TEST_CASE("A retained outbox entry waits its turn and keeps its source", "[R-2][R-5]") {
    Setup setup;
    setup.host.destinations.shards = {{ShardId(1), mqtt::QoS::AtLeastOnce}};
    setup.owner.publish(kLoop, 1, message("t", "one", mqtt::QoS::AtLeastOnce, true), false);
    HandOver entry;
    entry.source.number = OutboxNumber(7);
    std::string flat;
    mqtt::encode_message(flat, message("t", "two", mqtt::QoS::ExactlyOnce, true));
    entry.message = SharedBytes(as_bytes(flat));
    setup.owner.hand_over(entry);
    CHECK(setup.host.take() == Log{"retain one"});
    setup.owner.on_command(setup.host.tokens.at("one"), retained());
    CHECK(setup.host.take() == Log{"enqueue 1 one", "retain two"});
    setup.owner.on_command(setup.host.tokens.at("two"), retained());
    CHECK(setup.host.take() == Log{"enqueue 1 two"});
    REQUIRE(setup.host.sources.back().has_value());
    CHECK(setup.host.sources.back()->number == OutboxNumber(7));
    setup.owner.on_command(setup.host.tokens.at("two"), enqueued(1));
    CHECK(setup.host.take() == Log{"done 0/7"});
}

}  // namespace
}  // namespace quorate::cluster
