// Schedules of routes and hand-overs.
#include <algorithm>
#include <map>

#include "cluster/sessions/repeat_filter.h"
#include "tests/unit/catch.h"
#include "tests/unit/rules/handing_over.h"

namespace quorate::cluster::rules {
namespace {

constexpr ShardId kTopics{7};

bool leads_to(ReplicatedShard& topics, const Destination& destination) {
    bool found = false;
    topics.state().routes().match(
        "t", [&](const RouteEntry& route) { found = found || route.destination == destination; });
    return found;
}

//

// A session's shard, the topic's shard, and the lane of the leader that makes routes.
struct Subscribing {
    ReplicatedShard sessions{kSessions, 8};
    ReplicatedShard topics{kTopics, 8};
    LaneEnd first{NodeId(1), kSessions};
    LaneEnd second{NodeId(2), kSessions};
    LaneEnd routes{NodeId(3), kTopics};
    std::map<std::string, RouteSerial> made;  // as the leader has committed it

    AttachResult connect(LaneEnd& lane, std::string_view client) {
        const uint32_t node = node_of(lane.client().lane().incarnation).value();
        return result_of<AttachResult>(
            lane.ask(sessions, attach({client, connection(node), 10, {}})));
    }
    // Whether SUBACK may be sent for the answer now.
    bool may_suback(const SubscribeResult& result) {
        return std::ranges::all_of(result.filters, [this](const RequestedSubscription& each) {
            return each.wait_for <= made["t"];
        });
    }
    // The leader sends what is wanted and not made.
    Wire wanted() {
        Wire out;
        for (const WantedRoute& each : sessions.state().wanted_routes(RouteSerial(), 10)) {
            const Wire wire = routes.send(each.route, SourceFence{kSessions, sessions.term()}, 1);
            out.insert(out.end(), wire.begin(), wire.end());
        }
        return out;
    }
    void make(const Wire& wire) {
        for (const Answer& answer : routes.deliver(topics, wire)) {
            if (answer.code != AnswerCode::Applied) continue;
            Made body;
            const auto all = sessions.state().wanted_routes(RouteSerial(), 10);
            for (const WantedRoute& each : all)
                body.routes.push_back({each.made_filter, each.member, each.route.serial});
            for (const RouteMade& each : sessions.by_leader(body).made)
                made[each.filter] = each.serial;
        }
    }
    bool route_is_there() { return leads_to(topics, Destination::to_shard(kSessions)); }
};

Violation second_subscriber_of_a_filter() {
    Subscribing scene;
    const AttachResult c = scene.connect(scene.first, "c");
    const AttachResult d = scene.connect(scene.second, "d");
    const auto one = result_of<SubscribeResult>(scene.first.ask(scene.sessions, subscribe(c, "t")));
    // The route is on its way; the second subscriber needs no other.
    const Wire on_the_way = scene.wanted();
    const auto two =
        result_of<SubscribeResult>(scene.second.ask(scene.sessions, subscribe(d, "t")));
    for (const SubscribeResult* each : {&one, &two}) {
        if (scene.may_suback(*each) && !scene.route_is_there()) return "SUBACK without a route";
    }
    scene.make(on_the_way);
    const bool both = scene.may_suback(one) && scene.may_suback(two) && scene.route_is_there();
    return both ? "" : "no SUBACK although the route is made";
}

TEST_CASE("The second subscriber of a filter waits for the route of the first", "[R-4][G3]") {
    schedule(second_subscriber_of_a_filter, {RuleMutant::SubackEarly});
}

Violation leader_dies_between_wanted_and_made() {
    Subscribing scene;
    const AttachResult c = scene.connect(scene.first, "c");
    (void)scene.first.ask(scene.sessions, subscribe(c, "t"));
    (void)scene.wanted();  // lost
    scene.sessions.move();
    // The next leader, and the client again, which was answered nothing.
    scene.routes = LaneEnd(NodeId(4), kTopics);
    scene.make(scene.wanted());
    const auto again =
        result_of<SubscribeResult>(scene.first.ask(scene.sessions, subscribe(c, "t")));
    if (scene.may_suback(again) && !scene.route_is_there()) return "SUBACK without a route";
    return scene.route_is_there() ? "" : "the route is never made";
}

TEST_CASE("A new leader makes the routes that the one before owed", "[R-4][G3]") {
    schedule(leader_dies_between_wanted_and_made, {RuleMutant::RouteTakenForMade});
}

Violation late_removal_of_a_route() {
    ReplicatedShard topics{kTopics, 8};
    // A node's last subscriber leaves and the next one comes, on two lanes of the node: the removal
    // (batched, late) was decided first.
    LaneEnd loop{NodeId(1), kTopics};
    LaneEnd worker{NodeId(1), kTopics, LaneClass::Publish};
    const Destination node = Destination::to_node(make_incarnation(NodeId(1), 1));
    const auto change = [&](uint64_t serial, bool remove) {
        return Route{"t", node, mqtt::QoS::AtLeastOnce, remove, RouteSerial(serial)};
    };
    (void)loop.ask(topics, change(1, false));
    const Wire removal = worker.send(change(2, true));
    const Answer added = loop.ask(topics, change(3, false));
    if (added.code != AnswerCode::Applied) return "not made";
    (void)worker.deliver(topics, removal);
    return leads_to(topics, node) ? "" : "the subscriber's route is gone";
}

TEST_CASE("A late removal of a route does not beat a newer one", "[R-4][G3]") {
    schedule(late_removal_of_a_route, {RuleMutant::OlderRouteApplied});
}

//

Violation pubrec_and_no_pubrel() {
    HandingOver scene;
    const auto session = result_of<AttachResult>(
        scene.clients.ask(scene.sessions, attach({"p", connection(1), 10, {}})));
    const std::string flat = message("t", "m", 2);
    const Answer answer = scene.clients.ask(scene.sessions, put(session, 1, flat));
    if (answer.code != AnswerCode::Applied) return "refused";
    // PUBREC. The publisher is never seen again, its session ends, the leader changes.
    (void)scene.clients.ask(scene.sessions, EndSession{"p"});
    Detached gone;
    gone.session = session.session;
    gone.epoch = session.epoch;
    (void)scene.clients.ask(scene.sessions, gone);
    scene.sessions.move();
    LaneEnd driver{NodeId(2), ShardId(2), LaneClass::Publish};
    (void)driver.deliver(scene.other, scene.hand_over(driver));
    return exactly(scene.other.queue("s"), {"m"});
}

TEST_CASE("What was answered with PUBREC is handed over although PUBREL never comes",
          "[R-5][G1][G2]") {
    schedule(pubrec_and_no_pubrel, {RuleMutant::OutboxForgotten});
}

Violation will_and_a_new_leader() {
    HandingOver scene;
    const std::string will = message("t", "will", 1);
    const auto session = result_of<AttachResult>(
        scene.clients.ask(scene.sessions, attach({"p", connection(1), 10, will})));
    Detached lost;
    lost.session = session.session;
    lost.epoch = session.epoch;
    lost.how = DetachHow::Lost;
    (void)scene.clients.ask(scene.sessions, lost);
    // Handed over by one leader, whose answer is lost with it; handed over again by the next.
    LaneEnd one{NodeId(2), ShardId(2), LaneClass::Publish};
    LaneEnd two{NodeId(3), ShardId(2), LaneClass::Publish};
    (void)one.deliver(scene.other, scene.hand_over(one));
    scene.sessions.move();
    (void)two.deliver(scene.other, scene.hand_over(two));
    scene.done();
    if (!scene.sessions.state().outbox_targets().empty()) return "handed over for ever";
    return exactly(scene.other.queue("s"), {"will"});
}

Violation will_that_only_the_next_leader_sends() {
    HandingOver scene;
    const std::string will = message("t", "will", 1);
    const auto session = result_of<AttachResult>(
        scene.clients.ask(scene.sessions, attach({"p", connection(1), 10, will})));
    (void)scene.sessions.by_leader(NodeDown{session.connection.incarnation});
    scene.sessions.move();
    LaneEnd two{NodeId(3), ShardId(2), LaneClass::Publish};
    (void)two.deliver(scene.other, scene.hand_over(two));
    return exactly(scene.other.queue("s"), {"will"});
}

TEST_CASE("A will is neither lost nor doubled by a change of leader", "[R-5][R-7][G6]") {
    schedule(will_and_a_new_leader, {RuleMutant::RepeatsIgnored});
    schedule(will_that_only_the_next_leader_sends, {RuleMutant::OutboxForgotten});
}

Violation table_of_repeats_behind_a_dead_shard() {
    HandingOver scene(1);
    ReplicatedShard& sessions = scene.sessions;
    const auto session =
        result_of<AttachResult>(scene.clients.ask(sessions, attach({"p", connection(1), 10, {}})));
    // One entry for a shard that is dead stays; a thousand for another come and go.
    RepeatFilters filter;
    LaneEnd driver{NodeId(2), ShardId(2), LaneClass::Publish};
    std::map<OutboxTarget, bool> alive;
    for (uint16_t i = 1; i <= 1000; ++i) {
        const std::string topic = "t" + std::to_string(i % 2);
        const std::string flat = message(topic, "m", 2);
        (void)scene.clients.ask(sessions, put(session, i, flat));
        (void)scene.clients.ask(sessions, Release{session.session, session.epoch, PacketId(i)});
        for (const OutboxTarget& target : sessions.state().outbox_targets()) {
            if (alive.empty()) alive[target] = false;
            if (!alive.try_emplace(target, true).first->second) continue;
            std::vector<OutboxNumber> taken;
            std::size_t seen = 0;
            const Status read = sessions.state().outbox_window(
                target, OutboxNumber(), 100, sessions.now, [&](const OutboxEntryView& entry) {
                    (void)filter.take(entry.source);
                    seen = filter.seen(entry.source.stream);
                    taken.push_back(entry.source.number);
                });
            if (!read.ok()) return "unreadable";
            if (seen > 256) return "it remembers " + std::to_string(seen) + " numbers";
            (void)sessions.by_leader(OutboxDone{target, taken});
        }
    }
    return alive.size() == 2 ? "" : "the topics lie in one shard";
}

TEST_CASE("What a receiver remembers stays bounded while one shard is dead", "[R-5]") {
    schedule(table_of_repeats_behind_a_dead_shard, {RuleMutant::RepeatsKept});
}

Violation publish_again_long_after_pubrec() {
    HandingOver scene;
    const auto session = result_of<AttachResult>(
        scene.clients.ask(scene.sessions, attach({"p", connection(1), 10, {}})));
    const std::string flat = message("t", "m", 2);
    (void)scene.clients.ask(scene.sessions, put(session, 1, flat));
    LaneEnd driver{NodeId(2), ShardId(2), LaneClass::Publish};
    (void)driver.deliver(scene.other, scene.hand_over(driver));
    scene.done();
    // PUBREC was lost; the client is away for an hour and sends the PUBLISH again.
    scene.sessions.now = ClusterTime(scene.sessions.now.value() + 3'500'000);
    (void)scene.sessions.by_leader(Tick{});
    (void)scene.clients.ask(scene.sessions, put(session, 1, flat));
    (void)driver.deliver(scene.other, scene.hand_over(driver));
    return exactly(scene.other.queue("s"), {"m"});
}

TEST_CASE("A QoS 2 identifier is remembered until PUBREL, however long that takes",
          "[R-5][G2][M2]") {
    schedule(publish_again_long_after_pubrec, {RuleMutant::ReceivedIdDropped});
}

}  // namespace
}  // namespace quorate::cluster::rules
