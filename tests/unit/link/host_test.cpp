// Whole hosts on loopback without TLS: order, restarts, limits, refusals, questions.
#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "cluster/link/wire/batch.h"
#include "tests/unit/catch.h"
#include "tests/unit/link/node.h"

namespace {

using namespace quorate;
using namespace quorate::link;

constexpr auto kAllClasses = {TrafficClass::Consensus, TrafficClass::Publishes, TrafficClass::Bulk};

void introduce(TestNode& one, TestNode& two) {
    one.knows({&two});
    two.knows({&one});
    REQUIRE(one.wait_up(two));
    REQUIRE(two.wait_up(one));
}

std::size_t label(LinkRefusal refusal) {
    return static_cast<std::size_t>(refusal);
}
std::size_t label(LinkEnd end) {
    return static_cast<std::size_t>(end);
}

}  // namespace

TEST_CASE("items arrive once and in the order offered, in every class and direction", "[link]") {
    TestNode one(1);
    TestNode two(2);
    introduce(one, two);
    constexpr int kItems = 20'000;
    // Assertions of Catch2 are for one thread.
    std::atomic<int> refused{0};
    const auto send_all = [&refused](TestNode& from, TestNode& to) {
        for (int i = 0; i < kItems; ++i) {
            for (const TrafficClass traffic : kAllClasses) {
                if (!from.push(to, traffic, "item " + std::to_string(i))) ++refused;
            }
        }
    };
    std::thread other([&] { send_all(two, one); });
    send_all(one, two);
    other.join();
    REQUIRE(refused == 0);
    for (TestNode* at : {&one, &two}) {
        const TestNode& from = at == &one ? two : one;
        for (const TrafficClass traffic : kAllClasses) {
            REQUIRE(at->recorder.wait([&](const Recorder::Heard& heard) {
                const auto found = heard.items.find({from.id().value(), traffic});
                return found != heard.items.end() && found->second.size() >= kItems;
            }));
            const std::vector<std::string> items = at->received(from, traffic);
            REQUIRE(items.size() == kItems);
            for (int i = 0; i < kItems; ++i)
                REQUIRE(items[static_cast<std::size_t>(i)] == "item " + std::to_string(i));
        }
    }
    CHECK(one.metrics.total(Metric::LinkItemsSent) == 3 * kItems);
    CHECK(two.metrics.total(Metric::LinkItemsReceived) == 3 * kItems);
    CHECK(two.metrics.total(Metric::LinkBatchesReceived) < 3 * kItems);
}

TEST_CASE("three nodes have six ways between them", "[link]") {
    TestNode one(1);
    TestNode two(2);
    TestNode three(3);
    const std::vector<TestNode*> all{&one, &two, &three};
    for (TestNode* node : all)
        node->knows({&one, &two, &three});  // its own entry is ignored
    for (TestNode* from : all) {
        for (TestNode* to : all) {
            if (from == to) continue;
            REQUIRE(from->wait_up(*to));
            REQUIRE(from->push(*to, TrafficClass::Bulk, "hello"));
        }
    }
    for (TestNode* at : all) {
        CHECK(at->recorder.wait([](const Recorder::Heard& heard) {
            std::size_t items = 0;
            for (const auto& [from, each] : heard.items)
                items += each.size();
            return items == 2;
        }));
        CHECK(at->host().states().size() == 6);
    }
}

TEST_CASE("a restarted peer has a higher incarnation, and its streams higher epochs", "[link]") {
    TestNode one(1);
    auto two = std::make_unique<TestNode>(2, 1);
    introduce(one, *two);
    const std::string address = two->address();
    two.reset();
    CHECK(one.recorder.wait([](const Recorder::Heard& heard) { return heard.down.size() == 6; }));
    TestNode again(2, 2, [&](LinkOptions& options) { options.listen = address; });
    REQUIRE(again.running());
    again.knows({&one});
    REQUIRE(again.wait_up(one));
    REQUIRE(one.wait_up(again));
    REQUIRE(one.push(again, TrafficClass::Publishes, "after"));
    CHECK(again.recorder.wait([](const Recorder::Heard& heard) { return !heard.items.empty(); }));
    std::vector<StreamId> out;
    for (const StreamId& each : one.recorder.heard().up) {
        if (each.direction == Direction::Out && each.traffic == TrafficClass::Publishes) {
            out.push_back(each);
        }
    }
    REQUIRE(out.size() == 2);
    CHECK(out[1].peer.incarnation > out[0].peer.incarnation);
    CHECK(out[1].epoch > out[0].epoch);
}

TEST_CASE("an offer for a stream that is gone is refused", "[link]") {
    TestNode one(1);
    TestNode two(2);
    CHECK(one.send(two, TrafficClass::Bulk, "nobody there") == Offer::Down);
    introduce(one, two);
    StreamEpoch epoch;
    for (const StreamId& each : one.recorder.heard().up) {
        if (each.direction == Direction::Out && each.traffic == TrafficClass::Bulk) {
            epoch = each.epoch;
        }
    }
    const Target now{two.id(), TrafficClass::Bulk, epoch};
    const Target later{two.id(), TrafficClass::Bulk, epoch.next()};
    CHECK(one.host().offer(now, as_bytes("a")) == Offer::Taken);
    CHECK(one.host().offer(later, as_bytes("a")) == Offer::Down);
    CHECK(one.host().offer(now, {}) == Offer::TooLarge);
    two.stop();
    CHECK(eventually([&] { return one.host().offer(now, as_bytes("a")) == Offer::Down; }));
}

TEST_CASE("a slow receiver fills the window, then the queue, then refuses; later all arrives",
          "[link]") {
    const std::size_t kWindow = 256 * 1024;
    const std::size_t kQueue = 128 * 1024;
    const auto small = [=](LinkOptions& options) {
        options.window_bytes.fill(kWindow);
        options.queues.fill({kQueue, 65'536});
    };
    TestNode one(1, 1, small);
    TestNode two(2, 1, small);
    introduce(one, two);
    two.recorder.hold(true);
    const std::string item(1000, 'x');
    std::size_t taken = 0;
    REQUIRE(eventually([&] {
        if (one.send(two, TrafficClass::Bulk, item) == Offer::Taken) {
            ++taken;
            return false;
        }
        return two.metrics.value<Metric::LinkUnread>(TrafficClass::Bulk) >= kWindow;
    }));
    CHECK(one.wait_count(Metric::LinkFull, index_of(TrafficClass::Bulk), 1));
    // The window may be passed by one batch; the sender's message under way is one more.
    CHECK(taken * item.size() <= kWindow + kQueue + 3 * kBatchBytesMax);
    CHECK(taken * item.size() >= kWindow);
    two.recorder.hold(false);
    for (int i = 0; i < 1000; ++i, ++taken)
        REQUIRE(one.push(two, TrafficClass::Bulk, item));
    CHECK(two.recorder.wait([&](const Recorder::Heard& heard) {
        const auto found = heard.items.find({1, TrafficClass::Bulk});
        return found != heard.items.end() && found->second.size() == taken;
    }));
    CHECK(one.recorder.heard().down.empty());
}

TEST_CASE("the largest items cross, larger ones are refused where they are offered", "[link]") {
    TestNode one(1);
    TestNode two(2);
    introduce(one, two);
    const std::string largest(kItemBytesMax, 'l');
    CHECK(one.push(two, TrafficClass::Bulk, largest));
    CHECK(one.push(two, TrafficClass::Bulk, "small"));
    CHECK(one.push(two, TrafficClass::Bulk, largest));
    CHECK(one.send(two, TrafficClass::Bulk, largest + "x") == Offer::TooLarge);
    CHECK(two.recorder.wait([](const Recorder::Heard& heard) {
        const auto found = heard.items.find({1, TrafficClass::Bulk});
        return found != heard.items.end() && found->second.size() == 3;
    }));
    const auto items = two.received(one, TrafficClass::Bulk);
    CHECK(items[0] == largest);
    CHECK(items[1] == "small");
}

TEST_CASE("a node that is no member any more loses its streams, and may come back", "[link]") {
    TestNode one(1);
    TestNode two(2);
    introduce(one, two);
    one.knows({});
    CHECK(one.recorder.wait([](const Recorder::Heard& heard) { return heard.down.size() == 6; }));
    for (const Recorder::Ended& each : one.recorder.heard().down)
        CHECK(each.end == LinkEnd::Removed);
    CHECK(two.wait_count(Metric::LinkRefusedByPeer, label(LinkRefusal::UnknownNode), 1));
    CHECK(one.wait_count(Metric::LinkRefused, label(LinkRefusal::UnknownNode), 1));
    CHECK(one.send(two, TrafficClass::Bulk, "x") == Offer::Down);
    one.knows({&two});
    CHECK(one.wait_up(two));
    CHECK(two.wait_up(one));
}

TEST_CASE("a node of another cluster is refused on both sides", "[link]") {
    TestNode one(1);
    TestNode two(2, 1, [](LinkOptions& options) { options.self.cluster_id = "another"; });
    two.knows({&one});
    one.knows({&two});
    CHECK(one.wait_count(Metric::LinkRefused, label(LinkRefusal::Cluster), 1));
    CHECK(two.wait_count(Metric::LinkRefusedByPeer, label(LinkRefusal::Cluster), 1));
    CHECK(one.recorder.heard().up.empty());
    CHECK(two.recorder.heard().up.empty());
}

TEST_CASE("a second process with this node's id is refused", "[link]") {
    TestNode one(1);
    TestNode copy(1, 2);
    copy.host().set_members({{NodeId(3), "n3", {one.address()}}});
    CHECK(one.wait_count(Metric::LinkRefused, label(LinkRefusal::OwnNode), 1));
    CHECK(copy.wait_count(Metric::LinkRefusedByPeer, label(LinkRefusal::OwnNode), 1));
    CHECK(one.recorder.heard().up.empty());
}

TEST_CASE("an older incarnation than was heard is refused, a newer one replaces", "[link]") {
    TestNode one(1);
    TestNode newer(2, 7);
    introduce(one, newer);
    TestNode older(2, 6);
    older.knows({&one});
    CHECK(one.wait_count(Metric::LinkRefused, label(LinkRefusal::OldIncarnation), 1));
    CHECK(older.wait_count(Metric::LinkRefusedByPeer, label(LinkRefusal::OldIncarnation), 1));
    CHECK(one.recorder.heard().down.empty());
    CHECK(newer.recorder.heard().down.empty());
    TestNode newest(2, 8);
    newest.knows({&one});
    CHECK(newest.wait_up(one));
    CHECK(one.wait_count(Metric::LinkReset, label(LinkEnd::Replaced), 3));
    // Now it is the process that was there first that is refused.
    CHECK(newer.wait_count(Metric::LinkRefusedByPeer, label(LinkRefusal::OldIncarnation), 1));
}

TEST_CASE("an address that leads to another node is refused by the dialer too", "[link]") {
    TestNode one(1);
    TestNode two(2);
    two.knows({&one});
    one.host().set_members({{NodeId(3), "n3", {two.address()}}, two.member()});
    CHECK(one.wait_up(two));
    CHECK(one.wait_count(Metric::LinkRefused, label(LinkRefusal::UnknownNode), 1));
    const auto ups = one.recorder.heard().up;
    CHECK(std::ranges::none_of(ups, [](const StreamId& up) { return up.peer.node == NodeId(3); }));
}

TEST_CASE("the next address is tried when one does not answer", "[link]") {
    TestNode one(1);
    TestNode two(2);
    two.knows({&one});
    std::string closed;
    {
        const TestNode gone(9);
        closed = gone.address();
    }
    one.host().set_members({{two.id(), "n2", {closed, two.address()}}});
    CHECK(one.wait_up(two));
}

TEST_CASE("a host name stands for its addresses", "[link]") {
    TestNode one(1);
    TestNode two(2);
    two.knows({&one});
    const std::string port = two.address().substr(two.address().rfind(':'));
    one.host().set_members({{two.id(), "n2", {"no-such-host.invalid:1", "localhost" + port}}});
    CHECK(one.wait_up(two));
}

TEST_CASE("a node without a number has no streams until it becomes a member", "[link]") {
    TestNode one(1);
    TestNode two(2, 1, [](LinkOptions& options) { options.self = {}; });
    two.host().set_members({one.member()});
    one.host().set_members({{NodeId(2), "n2", {two.address()}}});
    CHECK(one.wait_count(Metric::LinkRefusedByPeer, label(LinkRefusal::NotMember), 1));
    CHECK(one.recorder.heard().up.empty());
    two.host().become({"test-cluster", NodeId(2), make_incarnation(NodeId(2), 1)});
    CHECK(two.wait_up(one));
    CHECK(one.recorder.wait([](const Recorder::Heard& heard) { return heard.up.size() == 6; }));
}

TEST_CASE("a port in use stops the start with its name", "[link]") {
    const TestNode one(1);
    const TestNode two(2, 1, [&](LinkOptions& options) { options.listen = one.address(); });
    CHECK_FALSE(two.running());
    CHECK(two.error().find(one.address()) != std::string::npos);
}

TEST_CASE("without certificates only loopback is listened on, unless it is allowed", "[link]") {
    const auto anywhere = [](LinkOptions& options) { options.listen = "0.0.0.0:0"; };
    const TestNode one(1, 1, anywhere);
    CHECK_FALSE(one.running());
    CHECK(one.error().find("certificates") != std::string::npos);
    const TestNode named(1, 1, [](LinkOptions& options) { options.listen = "localhost:0"; });
    CHECK_FALSE(named.running());
}
