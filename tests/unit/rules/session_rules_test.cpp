// Schedules of queues and attachments.
#include <algorithm>
#include <set>

#include "tests/unit/catch.h"
#include "tests/unit/rules/handing_over.h"

namespace quorate::cluster::rules {
namespace {

//

// A subscriber that keeps to the specification: identifiers it answered with PUBREC are remembered
// until PUBREL, and a PUBLISH with such an identifier is a repeat [MQTT-4.3.3-9].
struct Receiver {
    std::set<uint16_t> open;
    std::vector<std::string> received;
    void publish(const QueueEntryView& entry) {
        if (!open.insert(entry.packet_id.value()).second) return;
        received.emplace_back(entry.message.payload);
    }
};

constexpr uint16_t kReceiveMaximum = 10;

// What a connection gets now, within its window: the client has them, and answers nothing yet.
std::vector<std::pair<MessageNumber, PacketId>> send_window(ReplicatedShard& shard,
                                                            Receiver& client) {
    std::vector<std::pair<MessageNumber, PacketId>> sent;
    const auto session = shard.state().session("c");
    const uint64_t end = session->first_unacked.value() + kReceiveMaximum;
    const Status read =
        shard.state().read_queue(session->id, MessageNumber(1), kReceiveMaximum, UINT64_MAX,
                                 shard.now, [&](const QueueEntryView& entry) {
                                     if (entry.number.value() >= end) return false;
                                     client.publish(entry);
                                     sent.emplace_back(entry.number, entry.packet_id);
                                     return true;
                                 });
    return read.ok() ? sent : decltype(sent){};
}

Violation dropped_although_it_was_sent() {
    ShardOptions options;
    options.queue_messages_max = 2;
    options.queue_span_slack = 100'000;
    ReplicatedShard shard(kSessions, 1, options);
    LaneEnd lane{NodeId(1), kSessions};
    LaneEnd publishes{NodeId(1), kSessions, LaneClass::Publish};
    AttachResult session = durable_subscriber(shard, lane, "c", "t", 2);
    Receiver client;
    const auto enqueue = [&](const std::string& payload) {
        const std::string flat = message("t", payload, 2);
        (void)publishes.ask(shard, Enqueue{flat, {}, {}});
    };
    // The client has the first message; its PUBREC is lost with the connection.
    enqueue("first");
    (void)send_window(shard, client);
    Detached lost;
    lost.session = session.session;
    lost.epoch = session.epoch;
    lost.highest_written = MessageNumber(1);
    (void)lane.ask(shard, lost);
    // Its queue overflows until the identifiers come round.
    for (int i = 0; i < 65'534; ++i)
        enqueue("x");
    enqueue("wrapped");
    session =
        result_of<AttachResult>(lane.ask(shard, attach({"c", connection(1), kReceiveMaximum, {}})));
    for (int turn = 0; turn < 3; ++turn) {
        Ack ack;
        ack.session = session.session;
        ack.epoch = session.epoch;
        for (const auto& [number, id] : send_window(shard, client)) {
            ack.items.push_back({number, AckKind::PubrecOk});
            ack.items.push_back({number, AckKind::Pubcomp});
            client.open.erase(id.value());
        }
        (void)lane.ask(shard, ack);
    }
    if (!shard.queue("c").empty()) return "it stands still";
    return exactly(client.received, {"first", "wrapped"});
}

TEST_CASE("A QoS 2 message that may have been sent keeps its identifier until it is completed",
          "[R-6][G2][MQTT-4.3.3-9]") {
    schedule(dropped_although_it_was_sent, {RuleMutant::DropBelowMark});
}

//

// A connection on a node that may be paused: what it does happens when it runs again.
struct Paused {
    std::vector<std::string> unread{"valve=closed"};  // in the socket
    bool let_go = false;                              // 0x8E, and reads nothing more
};

Violation paused_node_and_a_newcomer() {
    ReplicatedShard shard(kSessions, 8);
    LaneEnd one{NodeId(1), kSessions};
    LaneEnd two{NodeId(2), kSessions};
    std::vector<std::string> history;
    const auto old = result_of<AttachResult>(one.ask(shard, attach({"c", connection(1), 10, {}})));
    Paused holder;
    // The node of the connection is paused; its client connects elsewhere.
    const auto answers = two.deliver(shard, two.send(attach({"c", connection(2), 10, {}})));
    const bool asked = !two.actions().let_go.empty();
    if (!answers.empty()) history.emplace_back("CONNACK");
    if (!answers.empty()) history.emplace_back("valve=open");
    // It runs again: the socket first, then the request to let go.
    for (const std::string& each : holder.unread)
        if (!holder.let_go) history.push_back(each);
    holder.let_go = asked;
    Detached gone;
    gone.session = old.session;
    gone.epoch = old.epoch;
    gone.how = DetachHow::TakenOver;
    (void)one.deliver(shard, one.send(gone));
    const auto now = shard.state().session("c");
    const bool attached = now && now->connection == connection(2);
    if (answers.empty() && attached) history.emplace_back("CONNACK");
    const auto connack = std::ranges::find(history, "CONNACK");
    if (connack == history.end()) return "no CONNACK";
    return std::find(connack, history.end(), "valve=closed") == history.end()
               ? ""
               : "the old connection published after the new one's CONNACK";
}

TEST_CASE("A newcomer's CONNACK waits until the holder has let go", "[R-7][G7][M7]") {
    schedule(paused_node_and_a_newcomer, {RuleMutant::AttachAtOnce});
}

Violation disconnect_overtaken_by_connect() {
    HandingOver scene;
    LaneEnd& one = scene.clients;
    LaneEnd two{NodeId(2), kSessions};
    const std::string will = message("t", "will", 1);
    const auto old =
        result_of<AttachResult>(one.ask(scene.sessions, attach({"c", connection(1), 10, will})));
    // DISCONNECT 0x00 is on its way; the next CONNECT overtakes it.
    Detached normal;
    normal.session = old.session;
    normal.epoch = old.epoch;
    normal.how = DetachHow::Normal;
    const Wire disconnect = one.send(normal);
    (void)two.deliver(scene.sessions, two.send(attach({"c", connection(2), 10, {}})));
    (void)one.deliver(scene.sessions, disconnect);
    const auto now = scene.sessions.state().session("c");
    const bool resumed = now && now->connection == connection(2);
    // Whatever becomes of the old node afterwards.
    (void)scene.sessions.by_leader(NodeDown{old.connection.incarnation});
    scene.sessions.now = ClusterTime(scene.sessions.now.value() + 20'000);
    (void)scene.sessions.by_leader(Tick{});
    LaneEnd driver{NodeId(3), ShardId(2), LaneClass::Publish};
    (void)driver.deliver(scene.other, scene.hand_over(driver));
    if (!scene.other.queue("s").empty()) return "the will was sent after DISCONNECT 0x00";
    return resumed ? "" : "the newcomer waits although the holder is gone";
}

TEST_CASE("DISCONNECT 0x00 that the next CONNECT overtakes deletes the will", "[R-7][G6]") {
    schedule(disconnect_overtaken_by_connect, {RuleMutant::DetachedRefused});
}

}  // namespace
}  // namespace quorate::cluster::rules
