// Schedules of the way of a publish.
#include <algorithm>

#include "tests/unit/catch.h"
#include "tests/unit/rules/owner_node.h"

namespace quorate::cluster::rules {
namespace {

constexpr ShardId kTopics{7};
constexpr ShardId kFirst{1};
constexpr ShardId kSecond{2};

Destinations to_shards(const std::vector<ShardId>& shards) {
    Destinations out;
    for (const ShardId shard : shards)
        out.shards.push_back({shard, mqtt::QoS::ExactlyOnce});
    return out;
}

// A topic's shard with two nodes that may own it, and a session's shard with one subscriber.
struct Scene {
    ReplicatedShard topics{kTopics, 8};
    ReplicatedShard first{kFirst, 8};
    LaneEnd clients{NodeId(5), kFirst};
    OwnerNode one{1, topics};
    OwnerNode two{2, topics};
    FrontEndLoop loop;

    Scene() {
        (void)durable_subscriber(first, clients, "c", "t", 2);
        one.destinations = to_shards({kFirst});
        two.destinations = to_shards({kFirst});
        one.lead(topics.term());
        loop.begin(topics.term());
    }
    // The second node is elected; the first does not know.
    void depose() {
        topics.elect();
        two.lead(topics.term());
    }
    void begin_at_two() {
        loop.begin(topics.term());
        (void)loop.read(two.receive(loop.take()));
    }
    // Until everything is answered.
    void finish(OwnerNode& owner) {
        (void)loop.read(owner.run(topics));
        (void)loop.read(owner.run(first));
        (void)loop.read(owner.confirm());
    }
};

bool has(const std::vector<std::string>& all, const std::string& one) {
    return std::ranges::find(all, one) != all.end();
}

//

Violation delayed_enqueue_of_the_old_owner() {
    Scene scene;
    scene.loop.publish("1");
    (void)scene.loop.read(scene.one.receive(scene.loop.take()));
    const Wire delayed = scene.one.take(kFirst);
    scene.depose();
    scene.begin_at_two();
    scene.loop.publish("2");
    scene.loop.publish("3");
    (void)scene.loop.read(scene.two.receive(scene.loop.take()));
    scene.finish(scene.two);
    // Its link comes back.
    (void)scene.one.read(kFirst, scene.one.deliver(scene.first, delayed));
    return exactly(scene.first.queue("c"), {"1", "2", "3"});
}

TEST_CASE("An old owner's Enqueue that arrives after the new owner's is refused", "[R-0][G5]") {
    schedule(delayed_enqueue_of_the_old_owner, {RuleMutant::NoTermFence});
}

Violation delayed_enqueue_of_what_was_given_up() {
    Scene scene;
    scene.loop.publish("1");
    (void)scene.loop.read(scene.one.receive(scene.loop.take()));
    const Wire delayed = scene.one.take(kFirst);
    scene.depose();
    scene.loop.give_up("1");
    scene.begin_at_two();
    scene.loop.publish("2");
    (void)scene.loop.read(scene.two.receive(scene.loop.take()));
    scene.finish(scene.two);
    if (scene.loop.acknowledged() != std::vector<std::string>{"2"}) return "2 not acknowledged";
    (void)scene.one.read(kFirst, scene.one.deliver(scene.first, delayed));
    return first_deliveries_in_order(scene.first.queue("c"));
}

TEST_CASE("What the publisher gave up does not follow what came after it", "[R-0][G5]") {
    schedule(delayed_enqueue_of_what_was_given_up, {RuleMutant::NoTermFence});
}

Violation delayed_copy_to_a_node() {
    Scene scene;
    NodeFence fence{8};
    RepeatFilters repeats;
    CopyReceiver receiver{fence, repeats};
    std::vector<std::string> received;
    const auto deliver = [&](OwnerNode& owner, const std::vector<Copy>& copies) {
        for (const Copy& copy : copies) {
            const CopyVerdict verdict = receiver.receive(owner.producer(), copy);
            if (verdict == CopyVerdict::Queue) received.push_back(payload_of(copy.message.text()));
            (void)scene.loop.read(owner.copy_answered(copy.number, verdict));
        }
    };
    scene.one.destinations = {};
    scene.one.destinations.loops = 1;
    scene.two.destinations = scene.one.destinations;
    scene.loop.publish("1");
    (void)scene.loop.read(scene.one.receive(scene.loop.take()));
    const std::vector<Copy> delayed = scene.one.take_copies();
    scene.depose();
    scene.begin_at_two();
    scene.loop.publish("2");
    (void)scene.loop.read(scene.two.receive(scene.loop.take()));
    deliver(scene.two, scene.two.take_copies());
    deliver(scene.one, delayed);
    return exactly(received, {"1", "2"});
}

TEST_CASE("A node refuses the old owner's copies as a shard does its commands", "[R-0][R-1][G5]") {
    schedule(delayed_copy_to_a_node, {RuleMutant::NoTermFence});
}

Violation command_of_an_incarnation_that_is_down() {
    Scene scene;
    scene.loop.publish("1");
    (void)scene.loop.read(scene.one.receive(scene.loop.take()));
    const Wire delayed = scene.one.take(kFirst);
    // The node of the first owner is down, and nothing of it may come any more: its lanes are gone,
    // and with them the numbers by which repeats are known.
    (void)scene.first.by_leader(NodeDown{make_incarnation(NodeId(1), 1)});
    const auto answers = scene.one.deliver(scene.first, delayed);
    if (!answers.empty() && answers[0].code != AnswerCode::Fenced) return "heard";
    return exactly(scene.first.queue("c"), {});
}

TEST_CASE("An incarnation that is down is heard no more", "[R-0]") {
    schedule(command_of_an_incarnation_that_is_down, {RuleMutant::NoIncarnationFence});
}

Violation stale_refusal_whose_answer_is_lost() {
    Scene scene;
    // The first owner reads a publish and confirms its leadership: until then it is the owner.
    scene.loop.publish("1");
    (void)scene.loop.read(scene.one.receive(scene.loop.take()));
    (void)scene.loop.read(scene.one.confirm());
    const Wire delayed = scene.one.take(kFirst);
    // Then it is deposed without knowing, and another loop publishes through the new owner.
    scene.depose();
    LaneEnd new_owner{NodeId(2), kFirst, LaneClass::Publish};
    const std::string other = message("t", "other");
    (void)new_owner.deliver(scene.first, new_owner.send(Enqueue{other, {}, {}},
                                                        SourceFence{kTopics, scene.topics.term()}));
    // Refused, but the answer is lost with the leader of the session's shard. The old owner sends
    // again and reads what the new leader says.
    (void)scene.one.deliver(scene.first, delayed);
    scene.first.elect();
    const auto answers = scene.one.deliver(scene.first, scene.one.resend(kFirst));
    (void)scene.loop.read(scene.one.read(kFirst, answers));
    const bool acknowledged = has(scene.loop.acknowledged(), "1");
    const bool arrived = has(scene.first.queue("c"), "1");
    return acknowledged && !arrived ? "acknowledged, and not there" : "";
}

TEST_CASE("A command refused as stale is not answered as applied when it comes again",
          "[R-0][R-3][G1]") {
    schedule(stale_refusal_whose_answer_is_lost, {RuleMutant::StaleRepeatSucceeds});
}

//

Violation deposed_owner_misses_a_subscriber() {
    Scene scene;
    ReplicatedShard second{kSecond, 8};
    LaneEnd clients{NodeId(6), kSecond};
    // A round of the first owner is under way, its answers on the network.
    scene.loop.publish("0");
    (void)scene.loop.read(scene.one.receive(scene.loop.take()));
    scene.one.begin_round(1);
    // Deposed: the new owner makes a route for another subscriber, who is told SUBACK.
    scene.depose();
    (void)durable_subscriber(second, clients, "d", "t");
    scene.two.destinations = to_shards({kFirst, kSecond});
    // A publish that was sent after it is read by the first owner.
    scene.loop.publish("1");
    (void)scene.loop.read(scene.one.receive(scene.loop.take()));
    (void)scene.loop.read(scene.one.run(scene.first));
    (void)scene.loop.read(scene.one.confirm_round(1));
    const bool missed = has(scene.loop.acknowledged(), "1") && !has(second.queue("d"), "1");
    if (missed) return "acknowledged, and a subscriber missed it";
    // Nobody answers a second round; the loop finds the new owner.
    scene.one.follow();
    scene.begin_at_two();
    (void)scene.loop.read(scene.two.run(scene.first));
    (void)scene.loop.read(scene.two.run(second));
    (void)scene.loop.read(scene.two.confirm());
    if (!has(second.queue("d"), "1")) return "never arrived";
    return has(scene.loop.acknowledged(), "1") ? "" : "never acknowledged";
}

TEST_CASE("A deposed owner acknowledges no publish that a new subscriber missed", "[R-1][G3][G1]") {
    schedule(deposed_owner_misses_a_subscriber,
             {RuleMutant::AnswerUnconfirmed, RuleMutant::OldConfirmation});
}

//

Violation refused_until_the_owner_is_ready() {
    Scene scene;
    scene.topics.elect();
    scene.two.lead(scene.topics.term(), false);
    scene.loop.publish("1");
    scene.loop.begin(scene.topics.term());
    const Replies refused = scene.two.receive(scene.loop.take());
    // A millisecond later it is ready, and gets what was sent before the refusal was read.
    scene.two.first_entry_applied();
    scene.loop.publish("2");
    (void)scene.loop.read(scene.two.receive(scene.loop.take()));
    (void)scene.loop.read(refused);
    scene.begin_at_two();
    scene.finish(scene.two);
    return exactly(scene.first.queue("c"), {"1", "2"});
}

TEST_CASE("Nothing overtakes what an owner refused because it was not ready", "[R-2][G5]") {
    schedule(refused_until_the_owner_is_ready, {RuleMutant::PrevUnchecked});
}

std::string retained_value(ReplicatedShard& topics) {
    std::string value = "none";
    const auto found = topics.state().retained_get(
        "t", topics.now,
        [&value](const RetainedView& view) { value = std::string(view.message.payload); });
    return found.ok() ? value : "unreadable";
}

Violation retained_value_written_by_two_owners() {
    Scene scene;
    scene.loop.publish("1", 1, true);
    (void)scene.loop.read(scene.one.receive(scene.loop.take()));
    // Written, and read by somebody; the answer is lost with its owner.
    (void)scene.one.deliver(scene.topics, scene.one.take(kTopics));
    if (retained_value(scene.topics) != "1") return "not written";
    scene.depose();
    // Another loop's newer value, and its reader.
    LaneEnd other{NodeId(4), kTopics, LaneClass::Publish};
    const std::string newer = message("t", "9", 1, true);
    const Retain write{newer, {make_incarnation(NodeId(4), 1), LoopId(0)}, 1};
    (void)other.ask(scene.topics, write);
    if (retained_value(scene.topics) != "9") return "not overwritten";
    // Now the first loop finds the new owner.
    scene.begin_at_two();
    scene.finish(scene.two);
    if (!has(scene.loop.acknowledged(), "1")) return "never acknowledged";
    if (!has(scene.first.queue("c"), "1")) return "never distributed";
    return retained_value(scene.topics) == "9" ? "" : "readers saw 1, 9, 1";
}

TEST_CASE("A retained value that comes again to a new owner is distributed, not written again",
          "[R-2][G4]") {
    schedule(retained_value_written_by_two_owners, {RuleMutant::RetainedTwice});
}

Violation answers_of_an_owner_that_was_left() {
    Scene scene;
    scene.loop.publish("1");
    scene.loop.publish("2");
    (void)scene.loop.read(scene.one.receive(scene.loop.take()));
    (void)scene.loop.read(scene.one.run(scene.first));
    const Replies late = scene.one.confirm();
    // The loop does not wait for them: it has begun again at the next owner.
    scene.depose();
    scene.begin_at_two();
    (void)scene.loop.read(late);
    const bool told = has(scene.loop.acknowledged(), "2");
    const std::size_t before = scene.first.queue("c").size();
    (void)scene.loop.read(scene.two.run(scene.first));
    const auto queue = scene.first.queue("c");
    const bool older = queue.size() > before && queue[before] == "1";
    return told && older ? "1 came again after 2 was known to be acknowledged" : "";
}

TEST_CASE("Nothing older comes again after something newer was acknowledged", "[R-2][G5]") {
    schedule(answers_of_an_owner_that_was_left, {RuleMutant::OldAttemptAnswers});
}

// R-5, of publishers without an outbox.

Violation exactly_once_without_a_durable_publisher() {
    Scene scene;
    NodeFence fence{8};
    RepeatFilters repeats;
    CopyReceiver receiver{fence, repeats};
    std::vector<std::string> copied;
    const auto copy = [&](OwnerNode& owner) {
        for (const Copy& each : owner.take_copies()) {
            const CopyVerdict verdict = receiver.receive(owner.producer(), each);
            if (verdict == CopyVerdict::Queue) copied.push_back(payload_of(each.message.text()));
            (void)scene.loop.read(owner.copy_answered(each.number, verdict));
        }
    };
    scene.one.destinations.loops = scene.two.destinations.loops = 1;
    scene.loop.publish("1", 2);
    scene.loop.publish("2", 2);
    (void)scene.loop.read(scene.one.receive(scene.loop.take()));
    // Both destinations have them; the owner dies before it answers. The next one gets them again.
    (void)scene.one.run(scene.first);
    for (const Copy& each : scene.one.take_copies()) {
        const CopyVerdict verdict = receiver.receive(scene.one.producer(), each);
        if (verdict == CopyVerdict::Queue) copied.push_back(payload_of(each.message.text()));
    }
    scene.depose();
    scene.begin_at_two();
    (void)scene.loop.read(scene.two.run(scene.first));
    copy(scene.two);
    (void)scene.loop.read(scene.two.confirm());
    if (scene.loop.acknowledged().size() != 2) return "no PUBREC";
    const Violation queued = exactly(scene.first.queue("c"), {"1", "2"});
    return queued.empty() ? exactly(copied, {"1", "2"}) : queued;
}

TEST_CASE("QoS 2 of a session that ends with its connection is delivered once by two owners",
          "[R-5][R-2][G2]") {
    schedule(exactly_once_without_a_durable_publisher, {RuleMutant::RepeatsIgnored});
}

//

Violation lost_on_the_way_to_a_leader() {
    Scene scene;
    scene.loop.publish("1");
    (void)scene.loop.read(scene.one.receive(scene.loop.take()));
    (void)scene.one.take(kFirst);  // lost with the leader it was sent to
    scene.first.elect();
    scene.loop.publish("2");
    (void)scene.loop.read(scene.one.receive(scene.loop.take()));
    for (int i = 0; i < 3; ++i)
        (void)scene.loop.read(scene.one.run(scene.first));
    (void)scene.loop.read(scene.one.confirm());
    return exactly(scene.first.queue("c"), {"1", "2"});
}

TEST_CASE("What was lost with a leader leaves no gap in its lane", "[R-3][G1][G5]") {
    schedule(lost_on_the_way_to_a_leader, {RuleMutant::GapApplied});
}

Violation one_slow_shard() {
    // 1 MiB commands to a shard that does not answer fill the window of their lane.
    const LaneWindow window{4, 1U << 20U};
    LaneEnd publishes{NodeId(1), kFirst, LaneClass::Publish, 1, window};
    LaneEnd control{NodeId(1), kFirst, LaneClass::Control, 1, window};
    LaneEnd elsewhere{NodeId(1), kSecond, LaneClass::Publish, 1, window};
    ReplicatedShard first{kFirst, 8};
    ReplicatedShard second{kSecond, 8};
    const std::string large = message("t", std::string(1U << 20U, 'x'));
    (void)publishes.send(Enqueue{large, {}, {}});
    if (!publishes.client().full()) return "unbounded";
    // An Attach to the same shard, and publishes to another one, do not wait for them.
    const auto attached =
        result_of<AttachResult>(control.ask(first, attach({"c", connection(1), 10, {}})));
    if (attached.session.value() == 0) return "the Attach waits";
    const std::string small = message("t", "m");
    const Answer answer = elsewhere.ask(second, Enqueue{small, {}, {}});
    return answer.code == AnswerCode::Applied ? "" : "the other shard waits";
}

// By construction: there is no rule to take out but the lanes themselves.
TEST_CASE("A large command holds up no Attach, and a dead shard no other", "[R-3][R-9]") {
    schedule(one_slow_shard, {});
}

}  // namespace
}  // namespace quorate::cluster::rules
