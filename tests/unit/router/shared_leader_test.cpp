// Long, because both kinds of groups are led by one class, and its tests share one rig.
#include "cluster/router/leader/shared_leader.h"

#include <algorithm>

#include "tests/unit/catch.h"
#include "tests/unit/router/node.h"

namespace quorate::cluster::testing {
namespace {

constexpr const char* kGroup = "g/t";
constexpr const char* kFilter = "$share/g/t";
using Numbers = std::vector<uint64_t>;

struct Setup {
    explicit Setup(const SharedLeaderOptions& leader_options = {}) : options(leader_options) {}

    void connection(uint32_t slot, bool remove = false) {
        node.member(kFilter, Destination::to_connection(Node::connection(slot)), ++serial, remove);
        leader.touch(kGroup);
        work();
    }
    void publish(Ticket ticket, std::string_view payload, mqtt::QoS qos = mqtt::QoS::AtLeastOnce) {
        const std::string bytes = flat("t", payload, qos);
        GroupPublish publish;
        publish.group = {ShardId(0), kGroup};
        publish.ticket = ticket;
        publish.message = SharedBytes(as_bytes(bytes));
        leader.publish(publish, node.shard.state());
    }
    void settle(uint64_t ticket, SharedAck::Kind kind = SharedAck::Kind::Settled) {
        leader.ack({ShardId(0), ticket, kind});
        work();
    }
    void work() { leader.work(node.shard.state(), node.shard.now); }

    // Ends the turn; who got what, as "slot:payload".
    std::vector<std::string> sent() {
        node.turn();
        std::vector<std::string> out;
        tickets.clear();
        taken.clear();
        for (const auto& parcel : node.to_loop) {
            for (const SharedDelivery& delivery : parcel->shared) {
                const auto message = mqtt::decode_message(delivery.message.text());
                REQUIRE(message.has_value());
                CHECK(delivery.shard == ShardId(0));
                out.push_back(std::to_string(delivery.connection.slot) + ":" +
                              std::string(message->payload));
                tickets.push_back(delivery.ticket);
            }
            for (const auto& each : parcel->taken.taken)
                taken.push_back(each);
        }
        return out;
    }

    SharedLeaderOptions options;
    Node node;
    std::vector<std::string> proposed;
    std::vector<OutboxNumber> done;
    std::vector<OutboxNumber> returned;
    std::vector<uint64_t> tokens;
    std::vector<GroupPick> picks;
    std::vector<uint64_t> tickets;
    std::vector<TakenBatch::Taken> taken;
    uint64_t serial = 0;
    SharedLeader leader{ShardId(0), node.router, options,
                        [this](const CommandBody& body, uint64_t token) {
                            proposed.push_back(command_name(body));
                            tokens.push_back(token);
                            if (const auto* pick = std::get_if<GroupPick>(&body))
                                picks.push_back(*pick);
                        },
                        [this](const OutboxTarget&, OutboxNumber number, HandedOver how) {
                            (how == HandedOver::Taken ? done : returned).push_back(number);
                        }};
};

using Texts = std::vector<std::string>;

TEST_CASE("Each message of a group goes to one member, in turn", "[MQTT-4.8.2-3]") {
    Setup setup;
    setup.connection(1);
    setup.connection(2);
    setup.publish(11, "a");
    setup.publish(12, "b");
    setup.publish(13, "c");
    CHECK(setup.sent() == Texts{"1:a", "2:b", "1:c"});
    REQUIRE(setup.taken.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
        CHECK(setup.taken[i].ticket == 11 + i);
        CHECK(setup.taken[i].receivers == 1);
        CHECK(setup.taken[i].code == mqtt::ReasonCode::Success);
    }
    CHECK(setup.proposed.empty());
}

TEST_CASE("A group without members takes nothing and refuses nothing") {
    Setup setup;
    setup.publish(11, "a");
    setup.connection(1);
    setup.connection(1, true);
    setup.publish(12, "b");
    setup.publish(0, "c", mqtt::QoS::AtMostOnce);
    CHECK(setup.sent().empty());
    REQUIRE(setup.taken.size() == 2);
    for (const auto& taken : setup.taken) {
        CHECK(taken.receivers == 0);
        CHECK(taken.code == mqtt::ReasonCode::Success);
    }
}

TEST_CASE("A member has no more than its window, the rest waits in order", "[R-9]") {
    SharedLeaderOptions options;
    options.member_window = 2;
    options.waiting_max = 2;
    Setup setup(options);
    setup.connection(1);
    for (const char* payload : {"a", "b", "c", "d", "e"})
        setup.publish(1, payload);
    setup.publish(0, "lost", mqtt::QoS::AtMostOnce);
    CHECK(setup.sent() == Texts{"1:a", "1:b"});
    REQUIRE(setup.taken.size() == 5);
    CHECK(setup.taken[3].code == mqtt::ReasonCode::Success);
    CHECK(setup.taken[4].code == mqtt::ReasonCode::QuotaExceeded);
    CHECK(setup.taken[4].receivers == 0);

    const Numbers tickets = setup.tickets;
    setup.settle(tickets[1]);
    CHECK(setup.sent() == Texts{"1:c"});
    setup.settle(tickets[1]);
    CHECK(setup.sent().empty());
    setup.settle(tickets[0]);
    CHECK(setup.sent() == Texts{"1:d"});
}

TEST_CASE("What waits for room is bounded in bytes too", "[R-9]") {
    SharedLeaderOptions options;
    options.member_window = 1;
    options.waiting_bytes_max = 2000;
    Setup setup(options);
    setup.connection(1);
    for (int i = 0; i < 5; ++i)
        setup.publish(1, std::string(1000, 'x'));
    CHECK(setup.sent().size() == 1);
    REQUIRE(setup.taken.size() == 5);
    CHECK(setup.taken[2].code == mqtt::ReasonCode::Success);
    CHECK(setup.taken[3].code == mqtt::ReasonCode::QuotaExceeded);
    setup.settle(setup.tickets[0]);
    CHECK(setup.sent().size() == 1);
    setup.publish(1, std::string(1000, 'x'));
    CHECK(setup.sent().empty());
    REQUIRE(setup.taken.size() == 1);
    CHECK(setup.taken.back().code == mqtt::ReasonCode::Success);
}

TEST_CASE("What waits goes before what comes later", "[MQTT-4.6.0-6]") {
    SharedLeaderOptions options;
    options.member_window = 1;
    Setup setup(options);
    setup.connection(1);
    setup.publish(1, "a");
    setup.publish(2, "b");
    (void)setup.sent();
    const uint64_t ticket = 1;
    setup.leader.ack({ShardId(0), ticket, SharedAck::Kind::Settled});
    setup.publish(3, "c");
    setup.work();
    CHECK(setup.sent() == Texts{"1:b"});
}

TEST_CASE("QoS 1 that a member left unacknowledged goes to another, QoS 2 ends with it",
          "[MQTT-4.8.2-4][MQTT-4.8.2-5]") {
    Setup setup;
    setup.connection(1);
    setup.publish(1, "one");
    setup.publish(2, "two", mqtt::QoS::ExactlyOnce);
    setup.publish(3, "unsent", mqtt::QoS::ExactlyOnce);
    CHECK(setup.sent() == Texts{"1:one", "1:two", "1:unsent"});
    const Numbers tickets = setup.tickets;
    setup.connection(2);
    setup.connection(1, true);
    setup.settle(tickets[1], SharedAck::Kind::UnackedQos2);
    CHECK(setup.sent().empty());
    setup.settle(tickets[0], SharedAck::Kind::UnackedQos1);
    CHECK(setup.sent() == Texts{"2:one"});
    setup.settle(tickets[2], SharedAck::Kind::Unsent);
    CHECK(setup.sent() == Texts{"2:unsent"});
}

TEST_CASE("A group is forgotten with its last member, and what waited is dropped and counted",
          "[R-9]") {
    SharedLeaderOptions options;
    options.member_window = 1;
    Setup setup(options);
    setup.connection(1);
    for (const char* payload : {"a", "b", "c"})
        setup.publish(1, payload);
    CHECK(setup.sent() == Texts{"1:a"});
    const Numbers tickets = setup.tickets;
    setup.connection(1, true);
    CHECK(setup.leader.groups() == 1);  // its member may still acknowledge
    CHECK(setup.leader.dropped() == 2);
    setup.settle(tickets[0], SharedAck::Kind::UnackedQos1);
    CHECK(setup.leader.groups() == 0);
    CHECK(setup.leader.dropped() == 3);
    setup.connection(2);
    CHECK(setup.sent().empty());
}

TEST_CASE("A publish for a group that nobody is in leaves nothing behind", "[R-9]") {
    Setup setup;
    setup.publish(1, "a");
    setup.publish(0, "b", mqtt::QoS::AtMostOnce);
    setup.settle(77);
    CHECK(setup.leader.groups() == 0);
    CHECK(setup.leader.idle());
}

TEST_CASE("A member that had no room gets its window back once, and not after it has left",
          "[R-9]") {
    SharedLeaderOptions options;
    options.member_window = 2;
    Setup setup(options);
    setup.connection(1);
    setup.publish(1, "a");
    setup.publish(1, "b");
    CHECK(setup.sent() == Texts{"1:a", "1:b"});
    Numbers tickets = setup.tickets;
    for (const uint64_t ticket : tickets)
        setup.settle(ticket, SharedAck::Kind::NoRoom);
    // Another change of the group is no word of room.
    setup.connection(2);
    CHECK(setup.sent() == Texts{"2:b", "2:a"});
    tickets = setup.tickets;
    SharedAck room;
    room.kind = SharedAck::Kind::Room;
    room.connection = Node::connection(1);
    setup.leader.ack(room);
    for (const char* payload : {"c", "d", "e"})
        setup.publish(1, payload);
    CHECK(setup.sent() == Texts{"1:c", "1:d"});
    // One that leaves without room is forgotten with what it owed.
    const Numbers held = setup.tickets;
    setup.settle(held[0], SharedAck::Kind::NoRoom);
    setup.settle(held[1], SharedAck::Kind::NoRoom);
    setup.connection(1, true);
    setup.settle(tickets[0]);
    CHECK(setup.sent().size() == 1);
    setup.leader.ack(room);
    setup.connection(1);
    CHECK(setup.sent() == Texts{"1:c", "1:e"});
}

TEST_CASE("QoS 0 takes no place in a member's window") {
    SharedLeaderOptions options;
    options.member_window = 1;
    Setup setup(options);
    setup.connection(1);
    setup.publish(0, "a", mqtt::QoS::AtMostOnce);
    setup.publish(0, "b", mqtt::QoS::AtMostOnce);
    setup.publish(1, "c");
    CHECK(setup.sent() == Texts{"1:a", "1:b", "1:c"});
    CHECK(setup.taken.size() == 1);
}

TEST_CASE("A group with a durable member commits before it answers", "[R-1]") {
    Setup setup;
    const AttachResult session = setup.node.attach("c", 1);
    setup.node.member(kFilter, Destination::to_session(ShardId(0), session.session), 1);
    setup.publish(11, "a");
    setup.publish(12, "b");
    CHECK(setup.sent().empty());
    CHECK(setup.taken.empty());
    const auto commands = setup.node.commands();
    REQUIRE(commands.size() == 2);
    const auto& body = std::get<EnqueueGroup>(commands[0].second.body);
    CHECK(body.group == kGroup);
    CHECK(commands[0].second.header.lane.lane_class == LaneClass::Publish);
    const auto token = [&commands](std::size_t at) {
        return static_cast<uint32_t>(commands[at].second.header.token);
    };
    Answer queued;
    queued.result = EnqueueGroupResult{true, false, MessageNumber(1)};
    const ShardState& state = setup.node.shard.state();
    setup.leader.on_command(token(0), queued, state);
    setup.leader.on_command(token(0), queued, state);
    Answer full;
    full.code = AnswerCode::LimitExceeded;
    full.result = EnqueueGroupResult{};
    setup.leader.on_command(token(1), full, state);
    CHECK(setup.sent().empty());
    REQUIRE(setup.taken.size() == 2);
    CHECK(setup.taken[0].ticket == 11);
    CHECK(setup.taken[0].receivers == 1);
    CHECK(setup.taken[1].ticket == 12);
    CHECK(setup.taken[1].code == mqtt::ReasonCode::QuotaExceeded);
}

TEST_CASE("What is queued in a group is given to a member once", "[R-5]") {
    Setup setup;
    const AttachResult session = setup.node.attach("c", 1);
    setup.node.member(kFilter, Destination::to_session(ShardId(0), session.session), 1);
    const std::string message = flat("t", "m");
    for (int i = 0; i < 2; ++i) {
        setup.node.shard.apply(setup.node.shard.header(), EnqueueGroup{kGroup, message, {}}, false);
        setup.leader.touch(kGroup);
        setup.work();
        setup.work();
    }
    CHECK(setup.proposed == Texts{command_name(GroupPick{}), command_name(GroupPick{})});
}

TEST_CASE("A refused pick leaves its message to be picked again", "[R-5]") {
    Setup setup;
    const AttachResult session = setup.node.attach("c", 1);
    const Destination durable = Destination::to_session(ShardId(0), session.session);
    setup.node.member(kFilter, durable, 1);
    const std::string message = flat("t", "m");
    for (int i = 0; i < 2; ++i)
        setup.node.shard.apply(setup.node.shard.header(), EnqueueGroup{kGroup, message, {}}, false);
    setup.leader.touch(kGroup);
    setup.work();
    REQUIRE(setup.picks.size() == 2);

    // The last durable member leaves before the picks are applied; a connection is there.
    setup.connection(7);
    setup.node.member(kFilter, durable, 2, true);
    setup.leader.touch(kGroup);
    setup.leader.on_pick(setup.tokens[0], AnswerCode::NotFound);
    setup.leader.on_pick(setup.tokens[0], AnswerCode::NotFound);
    setup.leader.on_pick(setup.tokens[1], AnswerCode::NotFound);
    setup.work();
    REQUIRE(setup.picks.size() == 4);
    for (std::size_t i : {2U, 3U}) {
        CHECK(setup.picks[i].number == MessageNumber(i - 1));
        CHECK(setup.picks[i].member.kind == DestinationKind::Connection);
    }

    // The outbox is full: not before it moves.
    setup.leader.on_pick(setup.tokens[2], AnswerCode::LimitExceeded);
    setup.leader.on_pick(setup.tokens[3], AnswerCode::Applied);
    setup.work();
    CHECK(setup.picks.size() == 4);
    setup.leader.outbox_moved();
    setup.work();
    REQUIRE(setup.picks.size() == 6);
    CHECK(setup.picks[4].number == MessageNumber(1));
}

TEST_CASE("A queue is picked for connections when no durable member is left", "[MQTT-4.8.2-4]") {
    SharedLeaderOptions options;
    options.member_window = 2;
    Setup setup(options);
    const AttachResult session = setup.node.attach("c", 1);
    const Destination durable = Destination::to_session(ShardId(0), session.session);
    setup.node.member(kFilter, durable, 1);
    const std::string message = flat("t", "m");
    for (int i = 0; i < 3; ++i)
        setup.node.shard.apply(setup.node.shard.header(), EnqueueGroup{kGroup, message, {}}, false);
    setup.node.member(kFilter, Destination::to_connection(Node::connection(7)), 1);
    setup.node.member(kFilter, durable, 2, true);
    setup.leader.touch(kGroup);
    setup.work();
    CHECK(setup.picks.size() == 2);  // its window
    setup.leader.touch(kGroup);
    setup.work();
    CHECK(setup.picks.size() == 2);  // what is on its way to it counts
}

TEST_CASE("What waits for a connection is committed when a durable member joins", "[R-1]") {
    SharedLeaderOptions options;
    options.member_window = 1;
    Setup setup(options);
    setup.connection(7);
    setup.publish(1, "a");
    setup.publish(2, "b");
    CHECK(setup.sent() == Texts{"7:a"});
    const AttachResult session = setup.node.attach("c", 1);
    setup.node.member(kFilter, Destination::to_session(ShardId(0), session.session), 1);
    setup.leader.touch(kGroup);
    setup.work();
    CHECK(setup.sent().empty());
    const auto commands = setup.node.commands();
    REQUIRE(commands.size() == 1);
    CHECK(std::holds_alternative<EnqueueGroup>(commands[0].second.body));
}

TEST_CASE("A new leader gives to connections first, until durable members are back") {
    Setup setup;
    const AttachResult session = setup.node.attach("c", 1);
    const Destination durable = Destination::to_session(ShardId(0), session.session);
    setup.node.member(kFilter, durable, 1);
    setup.node.member(kFilter, Destination::to_connection(Node::connection(7)), 1);
    ConnectionRef old = Node::connection(8);
    old.incarnation = make_incarnation(NodeId(1), 0);
    setup.node.member(kFilter, Destination::to_connection(old), 1);
    const std::string message = flat("t", "m");
    const auto enqueue = [&] {
        setup.node.shard.apply(setup.node.shard.header(), EnqueueGroup{kGroup, message, {}}, false);
    };
    for (int i = 0; i < 4; ++i)
        enqueue();
    setup.leader.restore(kGroup, setup.node.shard.state());
    setup.work();
    REQUIRE(setup.picks.size() == 4);
    for (const GroupPick& pick : setup.picks)
        CHECK(pick.member == Destination::to_connection(Node::connection(7)));
    setup.leader.presence({ShardId(0), kGroup, durable, true}, setup.node.shard.state());
    enqueue();
    enqueue();
    setup.work();
    REQUIRE(setup.picks.size() == 6);
    CHECK(std::ranges::count(setup.picks, durable, &GroupPick::member) == 1);
}

TEST_CASE("A member that went before the leader had looked at it is known to be away") {
    Setup setup;
    const AttachResult session = setup.node.attach("c", 1);
    const Destination durable = Destination::to_session(ShardId(0), session.session);
    setup.node.member(kFilter, Destination::to_connection(Node::connection(7)), 1);
    setup.node.member(kFilter, durable, 1);
    setup.leader.touch(kGroup);
    setup.leader.presence({ShardId(0), kGroup, durable, false}, setup.node.shard.state());
    const std::string message = flat("t", "m");
    for (int i = 0; i < 4; ++i)
        setup.node.shard.apply(setup.node.shard.header(), EnqueueGroup{kGroup, message, {}}, false);
    setup.work();
    REQUIRE(setup.picks.size() == 4);
    CHECK(std::ranges::count(setup.picks, durable, &GroupPick::member) == 0);
}

TEST_CASE("A picked connection gives back what it was not sent, unless it is of an earlier start",
          "[R-5]") {
    Setup setup;
    setup.connection(1);
    const std::string bytes = flat("t", "m");
    OutboxEntryView entry;
    entry.group = kGroup;
    entry.message = *mqtt::decode_message(bytes);
    entry.source.number = OutboxNumber(4);
    entry.member = Destination::to_connection(Node::connection(1));
    setup.leader.send_picked({}, entry, SharedBytes(as_bytes(bytes)));
    CHECK(setup.sent() == Texts{"1:m"});
    CHECK(setup.done.empty());
    setup.settle(setup.tickets.at(0));
    CHECK(setup.done == std::vector<OutboxNumber>{OutboxNumber(4)});
    CHECK(setup.proposed.empty());

    entry.source.number = OutboxNumber(5);
    setup.leader.send_picked({}, entry, SharedBytes(as_bytes(bytes)));
    (void)setup.sent();
    setup.settle(setup.tickets.at(0), SharedAck::Kind::Unsent);
    CHECK(setup.returned == std::vector<OutboxNumber>{OutboxNumber(5)});
    CHECK(setup.done.size() == 1);

    // NodeDown alone decides what becomes of it.
    entry.member.connection.incarnation = make_incarnation(NodeId(1), 0);
    entry.source.number = OutboxNumber(6);
    setup.leader.send_picked({}, entry, SharedBytes(as_bytes(bytes)));
    setup.work();
    CHECK(setup.sent().empty());
    CHECK(setup.done.size() == 1);
    CHECK(setup.returned.size() == 1);
    CHECK(setup.proposed.empty());
}

}  // namespace
}  // namespace quorate::cluster::testing
