#include "cluster/steward/table_lease.h"

#include "cluster/steward/lease_items.h"
#include "tests/unit/catch.h"
#include "tests/unit/steward/steward_world.h"

using namespace quorate;
using namespace quorate::cluster;
using namespace quorate::cluster::test;
using std::chrono::milliseconds;

namespace {

bool all_valid(StewardWorld& world) {
    for (const auto& [id, node] : world.nodes) {
        if (!node->lease.valid(world.clock.time)) return false;
    }
    return true;
}

}  // namespace

TEST_CASE("every node of the group gets a lease and keeps it [R-10]") {
    StewardWorld world;
    world.leader();
    REQUIRE(world.pass_until([&] { return all_valid(world); }));
    for (int i = 0; i < 100; ++i) {
        world.pass(1);
        REQUIRE(all_valid(world));
    }
    CHECK(world.leader().lease.report().size() == 3);
    CHECK(world.leader().lease.leased().size() == 3);
    CHECK(world.follower().lease.report().empty());
}

TEST_CASE("an entry that all show is made at once, and the machine is told [R-10]") {
    StewardWorld world;
    StewardNode& leader = world.leader();
    world.pass(50);
    LogIndex told;
    leader.lease.on_made = [&](LogIndex made) { told = made; };
    const LogIndex index = world.propose();
    CHECK(told == index);
    CHECK(leader.lease.made() == index);
    CHECK(leader.lease.last_made() == index);
}

TEST_CASE("what a silent node does not show is made when its lease has run out [R-10]") {
    StewardWorld world;
    StewardNode& leader = world.leader();
    world.pass(50);
    StewardNode& silent = world.follower();
    world.away = {silent.id};
    const LogIndex index = world.propose();
    world.pass(20);
    CHECK(leader.lease.made() < index);
    int ticks = 20;
    world.after_tick = [&] {
        ++ticks;
        // Never while the other could still act on its old table.
        if (leader.lease.made() >= index) CHECK_FALSE(silent.lease.valid(world.clock.time));
    };
    REQUIRE(world.pass_until([&] { return leader.lease.made() >= index; }));
    CHECK(ticks <= 34);
    const auto reports = leader.lease.report();
    for (const auto& report : reports) {
        CHECK(report.silent == (report.node == silent.id));
    }
}

TEST_CASE("a node that lags is suspended until it shows what all others do [R-10]") {
    StewardWorld world;
    StewardNode& leader = world.leader();
    world.pass(50);
    StewardNode& laggard = world.follower();
    laggard.machine.shows = false;
    const LogIndex index = world.propose();
    world.pass(10);
    CHECK(leader.lease.made() < index);
    world.pass(30);
    CHECK(leader.lease.made() == index);
    CHECK(laggard.lease.suspended());
    CHECK_FALSE(laggard.lease.valid(world.clock.time));
    laggard.machine.shows = true;
    laggard.lease.shown(index);
    world.pass(2);
    CHECK_FALSE(laggard.lease.suspended());
    CHECK(laggard.lease.valid(world.clock.time));
}

TEST_CASE("a new leader makes nothing before a whole lease, for who told it nothing [R-10]") {
    StewardWorld world;
    StewardNode& old = world.leader();
    world.pass(50);
    world.away = {old.id};
    StewardNode& leader = world.leader();
    REQUIRE(&leader != &old);
    const LogIndex index = world.propose();
    REQUIRE(world.pass_until([&] {
        const bool made = leader.lease.made() >= index;
        if (made) CHECK_FALSE(old.lease.valid(world.clock.time));
        return made;
    }));
    CHECK(world.clock.time - leader.machine.led_since >= LeaseTimes().owed());
    CHECK(world.clock.time - leader.machine.led_since <= LeaseTimes().owed() + milliseconds(200));
    // And the others had a lease again before the old ones ran out.
    CHECK(world.follower().lease.valid(world.clock.time));
}

TEST_CASE("a new leader whom all tell what they show makes at once [R-10]") {
    StewardWorld world;
    StewardNode& old = world.leader();
    world.pass(50);
    StewardNode& next = world.follower();
    REQUIRE(old.group->transfer(next.group->self()).ok());
    REQUIRE(world.pass_until([&] { return next.group->leading(); }));
    world.pass(1);
    const LogIndex index = world.propose();
    CHECK(next.lease.made() == index);
    CHECK(all_valid(world));
    CHECK(old.lease.report().empty());
}

TEST_CASE("an incarnation that is down gets no lease, from a later leader neither [R-0, R-10]") {
    StewardWorld world;
    StewardNode& leader = world.leader();
    world.pass(50);
    StewardNode& fenced = world.follower();
    for (auto& [id, node] : world.nodes) {
        if (node.get() != &fenced) node->lease.down(make_incarnation(fenced.id, 1));
    }
    world.pass(12);
    CHECK(fenced.lease.fenced());
    CHECK(fenced.lease.until() == BootTime(0));
    // A later start of the node is another one.
    fenced.lease.begin(make_incarnation(fenced.id, 2));
    world.pass(12);
    CHECK(fenced.lease.valid(world.clock.time));
    // The third takes over.
    StewardNode* third = nullptr;
    for (auto& [id, node] : world.nodes) {
        if (node.get() != &fenced && node.get() != &leader) third = node.get();
    }
    REQUIRE(leader.group->transfer(third->group->self()).ok());
    REQUIRE(world.pass_until([&] { return third->group->leading(); }));
    fenced.lease.begin(make_incarnation(fenced.id, 1));
    world.pass(12);
    CHECK(fenced.lease.fenced());
}

TEST_CASE("items of leases that are none, or of somebody else, change nothing") {
    StewardWorld world;
    StewardNode& leader = world.leader();
    world.pass(50);
    StewardNode& other = world.follower();
    const Incarnation self = make_incarnation(other.id, 1);
    other.machine.shows = false;
    const LogIndex index = world.propose();
    const LeaseRequest shows_all{self, 999, index};
    const std::string request = encode_lease_item(kTable, shows_all);
    // Of another node than it says; of another group; cut short; with more behind it.
    leader.lease.arrived(leader.id, request);
    leader.lease.arrived(other.id, encode_lease_item(kMetaGroup, shows_all));
    for (std::size_t size = 0; size < request.size(); ++size) {
        CHECK_FALSE(decode_lease_item(std::string_view(request).substr(0, size)));
        leader.lease.arrived(other.id, std::string_view(request).substr(0, size));
    }
    leader.lease.arrived(other.id, request + "x");
    CHECK(leader.lease.made() < index);
    leader.lease.arrived(other.id, request);
    CHECK(leader.lease.made() == index);
    // An answer that nobody asked for.
    const BootTime until = other.lease.until();
    world.clock.time += milliseconds(500);
    other.lease.arrived(leader.id, encode_lease_item(kTable, LeaseAnswer{self, 12'345, {}}));
    CHECK(other.lease.until() == until);
}

TEST_CASE("any bytes are an item of a lease that reads back alike, or none") {
    Random random(7);
    int read = 0;
    for (int i = 0; i < 20'000; ++i) {
        const Incarnation holder(random.next());
        const GroupId group(static_cast<uint32_t>(random.next()));
        std::string item =
            random.chance(1, 2)
                ? encode_lease_item(group,
                                    LeaseRequest{holder, random.next(), LogIndex(random.next())})
                : encode_lease_item(group, LeaseAnswer{holder, random.next(),
                                                       static_cast<LeaseVerdict>(random.below(3))});
        CHECK(group_of_lease_item(item) == group);
        for (uint64_t flips = random.below(3); flips > 0; --flips) {
            item[random.below(item.size())] ^= static_cast<char>(1U << random.below(8));
        }
        if (random.chance(1, 8)) item.resize(random.below(item.size() + 1));
        const auto decoded = decode_lease_item(item);
        if (!decoded) continue;
        ++read;
        const std::string again =
            std::visit([&](const auto& body) { return encode_lease_item(decoded->group, body); },
                       decoded->body);
        REQUIRE(again == item);
    }
    CHECK(read > 5'000);
}
