// "Schedules that hold" of the rules, one after the other.
#include <algorithm>

#include "tests/unit/catch.h"
#include "tests/unit/rules/handing_over.h"
#include "tests/unit/rules/owner_node.h"

namespace quorate::cluster::rules {
namespace {

constexpr ShardId kTopics{7};
constexpr ShardId kSecond{2};

Detached detached(const AttachResult& session, DetachHow how, uint64_t written = 0) {
    Detached out;
    out.session = session.session;
    out.epoch = session.epoch;
    out.how = how;
    out.highest_written = MessageNumber(written);
    return out;
}

AttachResult connect(ReplicatedShard& shard, LaneEnd& lane, uint32_t node) {
    return result_of<AttachResult>(lane.ask(shard, attach({"c", connection(node), 10, {}})));
}

// A session's shard with one subscriber, and an owner's lane to it.
struct Queueing {
    ReplicatedShard shard{kSessions, 8};
    LaneEnd clients{NodeId(1), kSessions};
    LaneEnd owner{NodeId(2), kSessions, LaneClass::Publish};
    AttachResult session = durable_subscriber(shard, clients, "c", "t", 2);
    std::string first = message("t", "1", 2);

    Wire send(std::string_view flat, Term term = Term(1)) {
        return owner.send(Enqueue{flat, {}, {}}, SourceFence{kTopics, term}, 1);
    }
};

Violation answer_lost_and_a_new_leader() {
    Queueing scene;
    (void)scene.owner.deliver(scene.shard, scene.send(scene.first));
    scene.shard.elect();
    const auto answers = scene.owner.deliver(scene.shard, scene.owner.resend());
    if (scene.owner.read(answers).size() != 1) return "never answered";
    return exactly(scene.shard.queue("c"), {"1"});
}

TEST_CASE("Applied, answer lost, new leader, sent again: applied once", "[R-3][G2]") {
    schedule(answer_lost_and_a_new_leader, {RuleMutant::DuplicateApplied});
}

Violation twice_in_the_log() {
    Queueing scene;
    // Two proposals of the same command, by a leader that did not know of the first.
    const Wire command = scene.send(scene.first);
    (void)scene.owner.deliver(scene.shard, command);
    (void)scene.owner.deliver(scene.shard, command);
    return exactly(scene.shard.queue("c"), {"1"});
}

TEST_CASE("A command that is twice in the log is applied once: the check is at apply", "[R-3]") {
    schedule(twice_in_the_log, {RuleMutant::DuplicateApplied});
}

Violation owner_and_front_end_die() {
    ReplicatedShard topics{kTopics, 8};
    ReplicatedShard first{kSessions, 8};
    ReplicatedShard second{kSecond, 8};
    LaneEnd clients{NodeId(5), kSessions};
    LaneEnd others{NodeId(5), kSecond};
    (void)durable_subscriber(first, clients, "c", "t");
    (void)durable_subscriber(second, others, "d", "t");
    Destinations both;
    both.shards = {{kSessions, mqtt::QoS::AtLeastOnce}, {kSecond, mqtt::QoS::AtLeastOnce}};
    OwnerNode one{1, topics};
    one.destinations = both;
    one.lead(topics.term());
    FrontEndLoop loop;
    loop.begin(topics.term());
    loop.publish("1");
    (void)loop.read(one.receive(loop.take()));
    (void)loop.read(one.run(first));
    (void)loop.read(one.confirm());
    if (!loop.acknowledged().empty()) return "acknowledged, and the second shard has nothing";
    // Both are gone before the second Enqueue leaves. The client connects elsewhere and sends
    // again.
    topics.elect();
    OwnerNode two{2, topics};
    two.destinations = both;
    two.lead(topics.term());
    FrontEndLoop next;
    next.begin(topics.term());
    next.publish("1");
    (void)next.read(two.receive(next.take()));
    (void)next.read(two.run(first));
    (void)next.read(two.run(second));
    (void)next.read(two.confirm());
    if (next.acknowledged().size() != 1) return "never acknowledged";
    const Violation repeated = exactly(first.queue("c"), {"1", "1"});
    return repeated.empty() ? exactly(second.queue("d"), {"1"}) : repeated;
}

TEST_CASE("Owner and front-end die between two shards: unacknowledged, and sent again to both",
          "[R-1][G1]") {
    schedule(owner_and_front_end_die, {RuleMutant::AnswerIncomplete});
}

Violation publish_while_unsubscribing() {
    Queueing scene;
    const Wire on_the_way = scene.send(scene.first);
    Unsubscribe body;
    body.session = scene.session.session;
    body.epoch = scene.session.epoch;
    body.filters = {"t"};
    const Answer answer = scene.clients.ask(scene.shard, body);
    if (answer.code != AnswerCode::Applied) return "not unsubscribed";
    const auto answers = scene.owner.deliver(scene.shard, on_the_way);
    if (scene.owner.read(answers).size() != 1) return "never answered";
    return exactly(scene.shard.queue("c"), {});
}

TEST_CASE("A publish on its way to who unsubscribes is matched again where it arrives",
          "[R-4][G3]") {
    schedule(publish_while_unsubscribing, {RuleMutant::UnsubscribeIgnored});
}

Violation pubcomp_lost() {
    HandingOver scene;
    AttachResult session = connect(scene.sessions, scene.clients, 1);
    const std::string first = message("t", "first", 2);
    (void)scene.clients.ask(scene.sessions, put(session, 1, first));
    (void)scene.clients.ask(scene.sessions, Release{session.session, session.epoch, PacketId(1)});
    // PUBCOMP is lost; the client connects at another node and sends PUBREL again.
    (void)scene.clients.ask(scene.sessions, detached(session, DetachHow::Lost));
    LaneEnd other{NodeId(2), kSessions};
    scene.sessions.elect();
    session = connect(scene.sessions, other, 2);
    const auto again = result_of<ReleaseResult>(
        other.ask(scene.sessions, Release{session.session, session.epoch, PacketId(1)}));
    if (again.found) return "the identifier was still taken";
    // Told 0x92, it uses the identifier for a new message.
    const std::string second = message("t", "second", 2);
    (void)other.ask(scene.sessions, put(session, 1, second));
    LaneEnd driver{NodeId(3), kSecond, LaneClass::Publish};
    (void)driver.deliver(scene.other, scene.hand_over(driver));
    return exactly(scene.other.queue("s"), {"first", "second"});
}

TEST_CASE("PUBCOMP lost: the identifier is unknown elsewhere, and free for a new message",
          "[R-5][G2]") {
    schedule(pubcomp_lost, {RuleMutant::ReceivedIdKept});
}

Violation leader_dies_after_pubrec() {
    Queueing scene;
    (void)scene.owner.deliver(scene.shard, scene.send(scene.first));
    Ack ack;
    ack.session = scene.session.session;
    ack.epoch = scene.session.epoch;
    ack.items = {{MessageNumber(1), AckKind::PubrecOk}};
    (void)scene.clients.ask(scene.shard, ack);
    scene.shard.move();
    std::string sent;
    const Status read =
        scene.shard.state().read_queue(scene.session.session, MessageNumber(1), 10, UINT64_MAX,
                                       scene.shard.now, [&sent](const QueueEntryView& entry) {
                                           sent += entry.pubrec_known ? "PUBREL " : "PUBLISH ";
                                           return true;
                                       });
    return read.ok() && sent == "PUBREL " ? "" : "sent " + sent;
}

TEST_CASE("PUBREC committed, the leader dies: PUBREL follows, no PUBLISH again", "[R-6][G2]") {
    schedule(leader_dies_after_pubrec, {RuleMutant::PubrecNotLoaded});
}

Violation two_connects_at_once() {
    ReplicatedShard shard{kSessions, 8};
    LaneEnd one{NodeId(1), kSessions};
    LaneEnd two{NodeId(2), kSessions};
    const Wire first = one.send(attach({"c", connection(1), 10, {}}));
    const Wire second = two.send(attach({"c", connection(2), 10, {}}));
    const auto told = one.deliver(shard, first);
    const auto waits = two.deliver(shard, second);
    if (told.empty()) return "the first in the log waits";
    if (!waits.empty()) return "two connections have their CONNACK";
    if (two.actions().let_go.size() != 1) return "nobody is asked to let go";
    const auto session = result_of<AttachResult>(told[0]);
    (void)one.deliver(shard, one.send(detached(session, DetachHow::TakenOver)));
    const auto now = shard.state().session("c");
    return now && now->connection == connection(2) ? "" : "the second never gets the session";
}

TEST_CASE("Two CONNECTs of one client at two nodes have one order, in the shard's log",
          "[R-7][G7]") {
    schedule(two_connects_at_once, {RuleMutant::AttachAtOnce});
}

// Shard moved to other replicas during all this.

Violation moved_between_sending_twice() {
    Queueing scene;
    (void)scene.owner.deliver(scene.shard, scene.send(scene.first));
    scene.shard.move();
    (void)scene.owner.deliver(scene.shard, scene.owner.resend());
    return exactly(scene.shard.queue("c"), {"1"});
}

Violation moved_between_two_owners() {
    Queueing scene;
    const Wire old = scene.send(scene.first, Term(1));
    LaneEnd next{NodeId(3), kSessions, LaneClass::Publish};
    const std::string second = message("t", "2", 2);
    (void)next.deliver(scene.shard,
                       next.send(Enqueue{second, {}, {}}, SourceFence{kTopics, Term(2)}));
    scene.shard.move();
    (void)scene.owner.deliver(scene.shard, old);
    return exactly(scene.shard.queue("c"), {"2"});
}

Violation moved_between_two_hand_overs() {
    HandingOver scene;
    const AttachResult session = connect(scene.sessions, scene.clients, 1);
    const std::string flat = message("t", "m", 2);
    (void)scene.clients.ask(scene.sessions, put(session, 1, flat));
    LaneEnd one{NodeId(2), kSecond, LaneClass::Publish};
    LaneEnd two{NodeId(3), kSecond, LaneClass::Publish};
    (void)one.deliver(scene.other, scene.hand_over(one));
    scene.other.move();
    scene.sessions.elect();
    (void)two.deliver(scene.other, scene.hand_over(two));
    return exactly(scene.other.queue("s"), {"m"});
}

Violation moved_while_the_client_is_away() {
    Queueing scene;
    (void)scene.owner.deliver(scene.shard, scene.send(scene.first));
    (void)scene.clients.ask(scene.shard, detached(scene.session, DetachHow::Lost, 1));
    scene.shard.move();
    const AttachResult again = connect(scene.shard, scene.clients, 1);
    bool dup = false;
    const Status read =
        scene.shard.state().read_queue(again.session, MessageNumber(1), 10, UINT64_MAX,
                                       scene.shard.now, [&dup](const QueueEntryView& entry) {
                                           dup = entry.dup;
                                           return true;
                                       });
    return read.ok() && dup ? "" : "sent again without DUP";
}

TEST_CASE("Lanes, heard terms, repeats and marks travel with a shard that is moved",
          "[R-0][R-3][R-5][R-6][MQTT-3.3.1-1]") {
    schedule(moved_between_sending_twice, {RuleMutant::LanesNotLoaded});
    schedule(moved_between_two_owners, {RuleMutant::HeardNotLoaded});
    schedule(moved_between_two_hand_overs, {RuleMutant::RepeatsNotLoaded});
    schedule(moved_while_the_client_is_away, {RuleMutant::MarkNotLoaded});
}

}  // namespace
}  // namespace quorate::cluster::rules
