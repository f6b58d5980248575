#include "cluster/router/nodes/copy_desk.h"

#include <utility>

#include "tests/unit/catch.h"

namespace quorate::cluster {
namespace {

constexpr Incarnation kOwner = make_incarnation(NodeId(1), 1);
constexpr Incarnation kHere = make_incarnation(NodeId(2), 1);
constexpr PortRef kPort{kOwner, PortId(4)};
const ShardId kShard(3);

SharedBytes flat(std::string_view payload) {
    mqtt::MessageView view;
    view.topic = "t";
    view.payload = payload;
    view.qos = mqtt::QoS::AtLeastOnce;
    std::string bytes;
    mqtt::encode_message(bytes, view);
    return SharedBytes(as_bytes(bytes));
}

class Host final : public CopyDeskHost {
  public:
    std::vector<NodeCopy> sent;
    std::vector<NodeCopyAnswer> answers;
    std::vector<std::pair<uint64_t, std::string>> to_loop;  // ticket, payload
    struct Done {
        uint64_t token = 0;
        uint32_t receivers = 0;
        bool stale = false;
        bool operator==(const Done&) const = default;
    };
    std::vector<Done> done;
    uint32_t loops = 1;

  private:
    void send(const NodeCopy& copy) override { sent.push_back(copy); }
    void answer(const PortRef&, const NodeCopyAnswer& answer) override {
        answers.push_back(answer);
        answers.back().at = kHere;
    }
    uint32_t to_loops(uint64_t ticket, const mqtt::MessageView& message) override {
        to_loop.emplace_back(ticket, message.payload);
        return loops;
    }
    void copied(uint64_t token, uint32_t receivers, bool stale, const SourceFence&) override {
        done.push_back({token, receivers, stale});
    }
};

// The owner's worker, and the one of the same shard on another node.
struct Pair {
    Host owner_host;
    Host host;
    CopyDesk owner{owner_host, 8};
    CopyDesk desk{host, 8};
    PeerMap peers{{NodeId(1), {kOwner, kOwner, 1}}, {NodeId(2), {kHere, kHere, 1}}};

    void send(uint64_t token, std::string_view payload, Term term = Term(1),
              std::optional<OutboxSource> source = std::nullopt) {
        owner.send(kHere, token, {0, {kShard, term}, std::move(source), flat(payload)});
    }
    // Copies arrive.
    void carry() {
        for (const NodeCopy& each : std::exchange(owner_host.sent, {}))
            desk.arrived(kPort, kOwner, each.copy);
    }
    // Every loop takes what it was given, and the answers come back.
    void take() {
        for (const auto& [ticket, payload] : std::exchange(host.to_loop, {})) {
            if (ticket != 0) desk.taken(ticket, 1);
        }
        for (const NodeCopyAnswer& answer : std::exchange(host.answers, {}))
            owner.answered(answer);
    }
    void link_began() {
        const PeerMap before = peers;
        ++peers[NodeId(2)].links;
        owner.peers_changed(before, peers);
    }
    std::vector<std::string> payloads() {
        std::vector<std::string> out;
        for (const auto& [ticket, payload] : host.to_loop)
            out.push_back(payload);
        return out;
    }
};
using Payloads = std::vector<std::string>;
using Dones = std::vector<Host::Done>;

TEST_CASE("A copy is done when every loop has taken it, and what they took adds up",
          "[R-1][nodes]") {
    Pair nodes;
    nodes.host.loops = 2;
    nodes.send(11, "a");
    nodes.carry();
    const uint64_t ticket = nodes.host.to_loop.at(0).first;
    nodes.desk.taken(ticket, 3);
    CHECK(nodes.host.answers.empty());
    nodes.desk.taken(ticket, 4);
    nodes.take();
    CHECK(nodes.owner_host.done == Dones{{11, 7, false}});
    CHECK(nodes.desk.waiting() == 0);
}

TEST_CASE("A copy that no loop matches is answered at once", "[R-1][nodes]") {
    Pair nodes;
    nodes.host.loops = 0;
    nodes.send(11, "a");
    nodes.carry();
    nodes.take();
    CHECK(nodes.owner_host.done == Dones{{11, 0, false}});
}

TEST_CASE("After a break of the link loops get everything once, in order", "[R-0][nodes]") {
    Pair nodes;
    nodes.send(1, "a");
    nodes.carry();
    nodes.send(2, "b");
    nodes.owner_host.sent.clear();  // lost
    nodes.send(3, "c");
    nodes.carry();
    CHECK(nodes.payloads() == Payloads{"a"});
    nodes.link_began();
    nodes.carry();
    CHECK(nodes.payloads() == Payloads{"a", "b", "c"});
    nodes.take();
    CHECK(nodes.owner_host.done.size() == 3);
    CHECK(nodes.owner_host.sent.empty());
}

TEST_CASE("One gap is made good once, however many copies tell of it", "[R-0][R-9][nodes]") {
    Pair nodes;
    nodes.send(1, "a");
    nodes.owner_host.sent.clear();  // lost
    for (uint64_t token = 2; token <= 50; ++token)
        nodes.send(token, "x");
    nodes.carry();
    for (const NodeCopyAnswer& answer : std::exchange(nodes.host.answers, {}))
        nodes.owner.answered(answer);
    CHECK(nodes.owner_host.sent.size() == 50);
    nodes.carry();
    nodes.take();
    CHECK(nodes.owner_host.done.size() == 50);
}

TEST_CASE("A copy whose answer was lost is not queued again, and counts as received",
          "[R-0][nodes]") {
    Pair nodes;
    nodes.send(1, "a");
    nodes.carry();
    nodes.desk.taken(nodes.host.to_loop.at(0).first, 2);
    nodes.host.answers.clear();  // lost
    nodes.host.to_loop.clear();
    nodes.link_began();
    nodes.carry();
    CHECK(nodes.host.to_loop.empty());
    nodes.take();
    CHECK(nodes.owner_host.done == Dones{{1, 1, false}});
}

TEST_CASE("What an earlier owner still sends reaches no loop, and tells it so", "[R-0][nodes]") {
    Pair nodes;
    Host next_host;
    CopyDesk next(next_host, 8);
    nodes.send(1, "old");
    next.send(kHere, 5, {0, {kShard, Term(2)}, std::nullopt, flat("new")});
    const Incarnation third = make_incarnation(NodeId(3), 1);
    nodes.desk.arrived({third, PortId(4)}, third, next_host.sent.at(0).copy);
    nodes.carry();
    CHECK(nodes.payloads() == Payloads{"new"});
    // QoS 0 of it neither.
    nodes.desk.arrived(kPort, kOwner, {0, {kShard, Term(1)}, std::nullopt, flat("old")});
    CHECK(nodes.payloads() == Payloads{"new"});
    CHECK_FALSE(nodes.desk.hear({kShard, Term(1)}));
    CHECK(nodes.desk.hear({kShard, Term(2)}));
    for (const NodeCopyAnswer& answer : nodes.host.answers) {
        if (answer.fence.term == Term(1)) nodes.owner.answered(answer);
    }
    CHECK(nodes.owner_host.done == Dones{{1, 0, true}});
}

TEST_CASE("A later term of the same owner numbers its copies anew", "[R-0][nodes]") {
    Pair nodes;
    nodes.owner.lead(kShard, Term(1));
    nodes.send(1, "a");
    nodes.carry();
    nodes.take();
    nodes.owner.lead(kShard, Term(3));
    nodes.send(2, "b", Term(3));
    CHECK(nodes.owner_host.sent.at(0).copy.number == 1);
    nodes.carry();
    nodes.take();
    CHECK(nodes.owner_host.done == Dones{{1, 1, false}, {2, 1, false}});
}

TEST_CASE("What is handed over twice, by two owners, is queued once", "[R-5][nodes]") {
    Pair nodes;
    OutboxSource source;
    source.stream = {ShardId(6), Generation(1), {OutboxTargetKind::Topic, kShard, {}}};
    source.number = OutboxNumber(1);
    nodes.send(1, "will", Term(1), source);
    nodes.send(2, "will", Term(2), source);
    nodes.carry();
    CHECK(nodes.payloads() == Payloads{"will"});
    CHECK_FALSE(nodes.desk.first_time(source));
    nodes.take();
    CHECK(nodes.owner_host.done.size() == 2);
}

TEST_CASE("Copies for an incarnation that is down are done", "[R-1][nodes]") {
    Pair nodes;
    nodes.send(1, "a");
    nodes.send(2, "b");
    const PeerMap before = nodes.peers;
    nodes.peers[NodeId(2)].first_up = make_incarnation(NodeId(2), 2);
    nodes.owner.peers_changed(before, nodes.peers);
    CHECK(nodes.owner_host.done == Dones{{1, 0, false}, {2, 0, false}});
    nodes.link_began();
    CHECK(nodes.owner_host.sent.size() == 2);  // what it had sent before, and nothing more
}

TEST_CASE("A copy from an owner whose incarnation is down reaches no loop", "[R-0][nodes]") {
    Pair nodes;
    nodes.send(1, "a");
    const PeerMap before = nodes.peers;
    nodes.peers[NodeId(1)].first_up = make_incarnation(NodeId(1), 2);
    nodes.desk.peers_changed(before, nodes.peers);
    nodes.carry();
    nodes.desk.arrived(kPort, kOwner, {0, {kShard, Term(1)}, std::nullopt, flat("qos 0")});
    CHECK(nodes.host.to_loop.empty());
    nodes.take();
    CHECK(nodes.owner_host.done.empty());
}

TEST_CASE("A copy of QoS 0 has no number and is answered by nobody", "[R-1][nodes]") {
    Pair nodes;
    nodes.send(0, "a");
    CHECK(nodes.owner_host.sent.at(0).copy.number == 0);
    nodes.carry();
    CHECK(nodes.host.to_loop.at(0).first == 0);
    CHECK(nodes.host.answers.empty());
    CHECK(nodes.desk.waiting() == 0);
}

}  // namespace
}  // namespace quorate::cluster
