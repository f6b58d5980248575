#include "cluster/router/remote/post_office.h"

#include <memory>
#include <utility>
#include <vector>

#include "cluster/link/wire/batch.h"
#include "cluster/router/remote/announcements.h"
#include "cluster/router/remote/parcel_address.h"
#include "cluster/steward/lease_items.h"
#include "tests/unit/catch.h"

namespace quorate::cluster {
namespace {

constexpr NodeId kSelf(1);
constexpr NodeId kPeer(2);
constexpr NodeId kOther(3);

// Links with room for so many items.
struct Door final : ItemDoor {
    std::size_t room = SIZE_MAX;
    bool up = true;
    std::vector<std::string> taken;
    link::Offer offer(NodeId to, std::string_view item) override {
        if (!up) return link::Offer::Down;
        if (to == kPeer && room == 0) return link::Offer::Full;
        if (to == kPeer) --room;
        taken.emplace_back(item);
        return link::Offer::Taken;
    }
};

struct Office {
    Leaders leaders{16};
    Peers peers;
    GroupPost groups{[](ReplicaId) { return NodeId(); }};
    std::vector<std::string> leases;
    PostOffice office{{leaders, peers, groups,
                       [this](NodeId, std::string item) { leases.push_back(std::move(item)); },
                       [](const link::QuestionView&, link::AnswerDoor) {}}};
    Door door;
    Office() { office.connect(door); }

    void arrives(std::string_view item, Incarnation from = make_incarnation(kPeer, 1)) {
        link::StreamId stream;
        stream.peer.node = kPeer;
        stream.peer.incarnation = from;
        stream.traffic = TrafficClass::Publishes;
        stream.direction = link::Direction::In;
        std::string bytes;
        link::append_item(bytes, as_bytes(item), {});
        office.on_batch(stream, link::ReceivedBatch(bytes, 1, {}));
    }
    void up(link::Direction direction) {
        link::StreamId stream;
        stream.peer.node = kPeer;
        stream.traffic = TrafficClass::Publishes;
        stream.direction = direction;
        office.on_up(stream);
    }
    std::vector<std::string> taken() { return std::exchange(door.taken, {}); }
};
using Items = std::vector<std::string>;

TEST_CASE("What a full link refused waits, and leaves in order when there is room",
          "[remote][R-9]") {
    Office node;
    node.door.room = 1;
    node.office.post(kPeer, "a");
    node.office.post(kPeer, "b");
    node.office.post(kPeer, "c");
    node.office.post(kOther, "x");  // held up by nobody
    CHECK(node.taken() == Items{"a", "x"});
    node.door.room = 1;
    node.office.post(kPeer, "d");  // never before those that wait
    node.office.pump();
    CHECK(node.taken() == Items{"b"});
    node.door.room = 9;
    node.office.pump();
    CHECK(node.taken() == Items{"c", "d"});
    node.office.post(kPeer, "e");
    CHECK(node.taken() == Items{"e"});
    CHECK(node.peers.changes() == 0);
}

TEST_CASE("When too much waits both nodes send again what is unanswered", "[remote][R-9]") {
    Office node;
    node.leaders.learn(GroupId(5), Term(1), kPeer);
    const auto place = node.leaders.at(GroupId(5));
    node.door.room = 0;
    const std::string large(PostOffice::kWaitingMax / 2, 'x');
    node.office.post(kPeer, large);
    node.office.post(kPeer, large);
    node.office.post(kPeer, "dropped");
    node.office.post(kPeer, "also");  // there would be room, but not in order
    CHECK(node.office.dropped() == 2);
    CHECK(node.peers.changes() == 0);
    node.door.room = SIZE_MAX;
    node.office.pump();
    const Items taken = node.taken();
    REQUIRE(taken.size() == 3);
    CHECK(taken.back() == std::string(1, static_cast<char>(PostOffice::kSendAgain)));
    CHECK(node.peers.all().at(kPeer).links == 1);
    CHECK(node.leaders.at(GroupId(5)) != place);
    // At the node that should have got it, it is as if the link had begun anew.
    Office peer;
    peer.arrives(taken.back());
    CHECK(peer.peers.all().at(kPeer).links == 1);
}

TEST_CASE("A link that begins, in either direction, is a reason to send again", "[remote][R-3]") {
    Office node;
    node.door.room = 0;
    node.office.post(kPeer, "of the older link");
    node.up(link::Direction::Out);
    CHECK(node.peers.all().at(kPeer).links == 1);
    node.door.room = SIZE_MAX;
    node.office.pump();
    CHECK(node.taken().empty());
    node.up(link::Direction::In);
    CHECK(node.peers.all().at(kPeer).links == 2);
}

TEST_CASE("Without a link items are dropped and wait for nothing", "[remote]") {
    Office node;
    node.door.up = false;
    node.office.post(kPeer, "a");
    node.door.up = true;
    node.office.pump();
    node.office.post(kPeer, "b");
    CHECK(node.taken() == Items{"b"});
}

TEST_CASE("What a node says it leads is learned, and damaged words are refused", "[remote]") {
    const std::string item = encode_announcement({{GroupId(4), Term(7)}, {GroupId(9), Term(2)}});
    const auto read = decode_announcement(item);
    REQUIRE(read);
    CHECK(*read == LedGroups{{GroupId(4), Term(7)}, {GroupId(9), Term(2)}});
    Office node;
    for (std::size_t size = 2; size < item.size(); ++size) {
        if ((size - 1) % 12 != 0) node.arrives(item.substr(0, size));
    }
    CHECK(node.office.refused() == item.size() - 3);
    CHECK(node.leaders.at(GroupId(4)).node == NodeId());
    node.arrives(item);
    CHECK(node.leaders.at(GroupId(4)).node == kPeer);
    CHECK(node.leaders.term(GroupId(9)) == Term(2));
    // Of groups that there are not, nothing is kept.
    node.arrives(encode_announcement({{GroupId(UINT32_MAX), Term(7)}}));
}

TEST_CASE("Items of no kind, and parcels of no member, are refused and counted", "[remote][R-0]") {
    Office node;
    node.arrives("\x7f");
    CHECK(node.office.refused() == 1);
    node.arrives(std::string(1, static_cast<char>(kLeaseItem)) + "lease");
    CHECK(node.leases.size() == 1);
    Exchange exchange(1, 1);
    exchange.set_loop(LoopId(0), [](auto) {});
    Ingress ingress(exchange, {8, 0}, make_incarnation(kSelf, 1));
    node.office.open(ingress);
    const std::string parcel(1, static_cast<char>(ParcelAddress::kParcel));
    node.arrives(parcel, Incarnation());
    node.peers.learn(kPeer, make_incarnation(kPeer, 2), make_incarnation(kPeer, 2));
    node.arrives(parcel, make_incarnation(kPeer, 1));
    CHECK(node.office.refused() == 3);
    CHECK(ingress.refused() == 0);
    node.arrives(parcel, make_incarnation(kPeer, 2));
    CHECK(ingress.refused() == 1);
}

}  // namespace
}  // namespace quorate::cluster
