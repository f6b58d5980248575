// Groups that go, and others that come in their place.
#include <array>
#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <thread>

#include "cluster/group/group_host.h"
#include "cluster/group/group_ids.h"
#include "storage/keys.h"
#include "tests/unit/catch.h"
#include "tests/unit/group/lone_group.h"
#include "tests/unit/storage/temp_dir.h"

using namespace quorate;
using cluster::Group;
using cluster::GroupHealth;
using cluster::GroupHost;
using cluster::GroupHostOptions;
using cluster::GroupOptions;
using cluster::test::Bench;
using sim::ToyMachine;

namespace {

constexpr std::chrono::seconds kDeadline{20};
const GroupId kMoved = cluster::group_of(ShardId(5));

// A running host, and one group of it that comes and goes.
class Host {
  public:
    explicit Host(const std::string& dir) {
        GroupHostOptions options;
        options.storage.data_dir = dir;
        options.workers = 2;
        auto opened = GroupHost::open(options);
        REQUIRE(opened.ok());
        host = std::move(*opened);
        GroupOptions stays;
        stays.id = cluster::group_of(ShardId(0));
        REQUIRE(host->add_group(stays, other).ok());
        machine.on_applied = [this] { applied = machine.number(1); };
        REQUIRE(host->start().ok());
    }
    ~Host() { host->stop(); }

    ErrorCode create(uint64_t replica) {
        GroupOptions options;
        options.id = kMoved;
        options.self = ReplicaId(replica);
        options.configuration = {{ReplicaId(replica)}, {}, {}};
        std::promise<ErrorCode> code;
        host->create(options, machine, [&](const Result<Group*>& group) {
            code.set_value(group ? ErrorCode{} : group.error().code);
        });
        return code.get_future().get();
    }
    bool remove() {
        std::promise<bool> done;
        host->remove(kMoved, [&](const Status& status) { done.set_value(status.ok()); });
        return done.get_future().get();
    }
    // Asks `question(Group*)` on the group's worker; null when it is not there.
    template <typename Question>
    auto ask(Question question) {
        std::promise<decltype(question(static_cast<Group*>(nullptr)))> answer;
        cluster::Worker& worker = host->worker_of(kMoved);
        worker.post_reserved([&] { answer.set_value(question(worker.group(kMoved))); });
        return answer.get_future().get();
    }
    bool propose(uint64_t number) {
        return ask([number](Group* group) {
            return group != nullptr && group->propose(ToyMachine::command(1, number, "x")).ok();
        });
    }
    void write(uint64_t from, uint64_t to) {
        const auto give_up = std::chrono::steady_clock::now() + kDeadline;
        for (uint64_t number = from; number <= to;) {
            REQUIRE(std::chrono::steady_clock::now() < give_up);
            if (propose(number)) ++number;
        }
        while (applied < to) {
            REQUIRE(std::chrono::steady_clock::now() < give_up);
            std::this_thread::yield();
        }
    }
    [[nodiscard]] ReplicaId on_disk() const {
        for (const cluster::DiskGroup& each : host->on_disk()) {
            if (each.id == kMoved) return each.replica;
        }
        return {};
    }

    ToyMachine other;
    ToyMachine machine;
    std::atomic<uint64_t> applied{0};
    std::unique_ptr<GroupHost> host;
};

}  // namespace

TEST_CASE("a removed replica lets go of everything, and another can be made in its place [R-8]") {
    Bench bench;
    bench.settle();
    REQUIRE(bench.propose(1).ok());
    bench.settle();
    REQUIRE(bench.state.flush().ok());
    REQUIRE(bench.log.write_durable_mark().ok());
    // With a proposal on its way to the disk, and one that waits.
    REQUIRE(bench.propose(2).ok());
    bench.runner->turn();
    REQUIRE(bench.propose(3).ok());
    bool read_failed = false;
    REQUIRE(bench.group->read([&](bool confirmed) { read_failed = !confirmed; }).ok());
    bool done = false;
    REQUIRE(bench.runner->remove(GroupId(16), [&] { done = true; }).ok());
    CHECK(read_failed);
    CHECK_FALSE(bench.machine.leading());
    CHECK(bench.machine.unloads() == 1);
    CHECK(bench.runner->find(GroupId(16)) == nullptr);
    CHECK(bench.runner->counters().proposals_pending == 0);
    CHECK(bench.runner->counters().roles == std::array<uint64_t, 4>{});
    GroupOptions next;
    next.id = GroupId(16);
    next.self = ReplicaId(2);
    next.configuration = {{ReplicaId(2)}, {}, {}};
    CHECK(bench.runner->add(next, bench.machine).error().code == ErrorCode::Unavailable);
    CHECK(bench.runner->remove(GroupId(16), [] {}).error().code == ErrorCode::Unavailable);
    bench.settle();
    REQUIRE(done);
    CHECK(bench.log.groups().value().empty());
    CHECK_FALSE(bench.state.cursor("", "")->valid());
    const auto added = bench.runner->add(next, bench.machine);
    REQUIRE(added.ok());
    bench.group = *added;
    CHECK(bench.group->health() == GroupHealth::Sound);
    CHECK(bench.group->self() == ReplicaId(2));
    bench.settle();
    CHECK(bench.machine.number(1) == 0);
    REQUIRE(bench.propose(1).ok());
    bench.settle();
    CHECK(bench.machine.number(1) == 1);
}

TEST_CASE("a crash at any step of a removal leaves the replica whole, or nothing of it [R-8]") {
    for (int steps = 0; steps < 6; ++steps) {
        for (uint64_t seed = 1; seed <= 8; ++seed) {
            INFO("steps " << steps << ", seed " << seed);
            Bench bench;
            bench.settle();
            REQUIRE(bench.propose(1).ok());
            bench.settle();
            REQUIRE(bench.state.flush().ok());
            REQUIRE(bench.log.write_durable_mark().ok());
            REQUIRE(bench.propose(2).ok());
            bench.runner->turn();
            bool done = false;
            REQUIRE(bench.runner->remove(GroupId(16), [&] { done = true; }).ok());
            for (int i = 0; i < steps; ++i) {
                if (i % 2 == 0) bench.runner->turn();
                if (i % 2 == 1) bench.sink.write_one();
            }
            Random random(seed);
            bench.log.crash(random);
            bench.state.crash(random);
            const bool there = !bench.log.groups().value().empty();
            if (done) CHECK_FALSE(there);
            GroupOptions next;
            next.self = ReplicaId(2);
            next.configuration = {{ReplicaId(2)}, {}, {}};
            if (!there) {
                // What GroupHost does at a start: no state without a log.
                storage::StateBatch batch;
                batch.set_prefix(storage::group_prefix(GroupId(16)));
                batch.remove_range({}, {});
                REQUIRE(bench.state.write(batch).ok());
                REQUIRE(bench.state.flush().ok());
            }
            bench.restart(next);
            CHECK(bench.group->health() == GroupHealth::Sound);
            CHECK(bench.group->self() == ReplicaId(there ? 1 : 2));
            bench.settle();
            CHECK((bench.machine.number(1) >= 1) == there);
        }
    }
}

TEST_CASE("groups come and go while the host runs, and over restarts") {
    const test::TempDir dir;
    {
        Host node(dir.path());
        CHECK(node.on_disk() == ReplicaId(0));
        REQUIRE(node.create(1) == ErrorCode{});
        CHECK(node.create(1) == ErrorCode::AlreadyExists);
        node.write(1, 20);
        CHECK(node.host->reports().size() == 2);
        CHECK(node.host->reports().back().replica == ReplicaId(1));
        REQUIRE(node.host->flush_now().ok());
    }
    {
        Host node(dir.path());
        CHECK(node.on_disk() == ReplicaId(1));
        REQUIRE(node.create(1) == ErrorCode{});
        node.write(21, 40);
        // With a flush and a proposal on their way.
        std::thread flusher([&] { CHECK(node.host->flush_now().ok()); });
        CHECK(node.propose(41));
        CHECK(node.remove());
        flusher.join();
        CHECK(node.ask([](const Group* group) { return group == nullptr; }));
        CHECK(node.machine.unloads() == 1);
        CHECK(node.host->reports().size() == 1);
        CHECK(node.remove());  // of nothing
        node.applied = 0;
        REQUIRE(node.create(7) == ErrorCode{});
        node.write(1, 20);
        REQUIRE(node.host->flush_now().ok());
    }
    Host node(dir.path());
    CHECK(node.on_disk() == ReplicaId(7));
    REQUIRE(node.create(7) == ErrorCode{});
    node.write(21, 30);
    CHECK(node.remove());
    CHECK(node.host->engine().log().groups().value().size() == 1);
}

TEST_CASE("a copy that is on the disk and not open can be removed too") {
    const test::TempDir dir;
    {
        Host node(dir.path());
        REQUIRE(node.create(1) == ErrorCode{});
        node.write(1, 5);
    }
    {
        Host node(dir.path());
        CHECK(node.on_disk() == ReplicaId(1));
        CHECK(node.remove());
    }
    Host node(dir.path());
    CHECK(node.on_disk() == ReplicaId(0));
    REQUIRE(node.create(2) == ErrorCode{});
    CHECK(node.ask([](const Group* group) { return group->health(); }) == GroupHealth::Sound);
    node.write(1, 5);
}
