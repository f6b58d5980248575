// A group moves between nodes that have real disks and threads: the keeper makes and removes
// copies, the stewards move the group, while it is written to.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cluster/control/group_keeper.h"
#include "cluster/group/group_host.h"
#include "cluster/meta/replica_id.h"
#include "cluster/steward/group_steward.h"
#include "tests/sim/toy_machine.h"
#include "tests/unit/catch.h"
#include "tests/unit/meta/meta_harness.h"
#include "tests/unit/storage/temp_dir.h"

using namespace quorate;
using namespace quorate::cluster;
using cluster::test::Meta;
using sim::ToyMachine;

namespace {

constexpr GroupId kShard = group_of(ShardId(0));
constexpr std::chrono::seconds kDeadline{60};

class World;

// A node with one worker, and the group's machine and steward.
class Node final : public MessageSink {
  public:
    Node(World& world, NodeId id, const Log& log);
    ~Node() override { host->stop(); }

    void send(GroupId group, raft::Message message) override;
    // Whatever the keeper wants done, once. True when there was something.
    bool keep();
    // Proposes `number` of writer 1, if it leads and that is the next.
    bool propose(uint64_t number);
    template <typename Question>
    auto ask(Question question) {
        std::promise<decltype(question(static_cast<Group*>(nullptr)))> answer;
        Worker& worker = host->worker_of(kShard);
        worker.post_reserved([&] { answer.set_value(question(worker.group(kShard))); });
        return answer.get_future().get();
    }

    const NodeId id;
    World& world;
    const quorate::test::TempDir dir;
    ToyMachine machine;
    SystemClock clock;
    std::unique_ptr<GroupSteward> steward;
    std::unique_ptr<GroupHost> host;
    uint64_t created = 0;

  private:
    void tick();
    void create(const CreateReplica& step);
    void remove(const DeleteReplica& step);
};

class World {
  public:
    World() {
        LogOptions options;
        options.file = "/dev/null";
        logger = std::move(Logger::open(options)).value();
        REQUIRE(meta.code(cluster::test::form_of({"n1", "n2", "n3", "n4"}, 3, 1)) ==
                MetaCode::Applied);
        for (uint32_t i = 1; i <= 4; ++i) {
            REQUIRE(meta.code(StartNode{NodeId(i), "n"}) == MetaCode::Applied);
        }
        for (uint32_t i = 1; i <= 4; ++i)
            nodes.push_back(std::make_unique<Node>(*this, NodeId(i), Log(*logger, "move")));
        open = true;
        for (const auto& node : nodes)
            REQUIRE(node->host->start().ok());
    }
    // Nobody is gone while somebody still sends.
    ~World() {
        open = false;
        for (const auto& node : nodes)
            node->host->stop();
    }

    void place(std::vector<NodeId> voters) {
        const std::lock_guard lock(mutex);
        REQUIRE(meta.code(
                    PlaceGroup{kShard, meta.state.group(kShard)->version, std::move(voters), {}}) ==
                MetaCode::Applied);
        ++index;
    }
    [[nodiscard]] bool settled() {
        const std::lock_guard lock(mutex);
        return meta.state.group(kShard)->settled();
    }
    // Writes on and on, until the group is where it is to be and nobody has a copy too many.
    void write_until_settled() {
        const auto give_up = std::chrono::steady_clock::now() + kDeadline;
        for (bool busy = true; busy;) {
            REQUIRE(std::chrono::steady_clock::now() < give_up);
            busy = !settled();
            for (const auto& node : nodes)
                busy = node->keep() || busy;
            write_one();
        }
    }
    void write_one() {
        ++number;
        const auto give_up = std::chrono::steady_clock::now() + kDeadline;
        while (!std::ranges::any_of(nodes, [&](const auto& each) { return each->propose(number); }))
            REQUIRE(std::chrono::steady_clock::now() < give_up);
    }

    std::mutex mutex;  // of `meta` and `index`
    Meta meta;
    uint64_t index = 1;
    std::atomic<bool> open{false};
    uint64_t number = 0;
    std::unique_ptr<Logger> logger;
    std::vector<std::unique_ptr<Node>> nodes;
};

Node::Node(World& owner, NodeId self, const Log& log) : id(self), world(owner) {
    GroupHostOptions options;
    options.storage.data_dir = dir.path();
    options.messages = this;
    auto opened = GroupHost::open(options);
    REQUIRE(opened.ok());
    host = std::move(*opened);
    steward = std::make_unique<GroupSteward>(kShard, clock, log, [this](const auto& command) {
        world.meta.ask(command);  // under its mutex, which tick() holds
        ++world.index;
    });
    host->worker_of(kShard).post_reserved([this] { tick(); });
}

void Node::tick() {
    {
        const std::lock_guard lock(world.mutex);
        steward->tick(world.meta.state, LogIndex(world.index));
    }
    REQUIRE(
        host->worker_of(kShard).call_later(std::chrono::milliseconds(20), [this] { tick(); }).ok());
}

void Node::send(GroupId /*group*/, raft::Message message) {
    if (!world.open) return;
    Node& to = *world.nodes.at(node_of(message.to).value() - 1);
    Worker& worker = to.host->worker_of(kShard);
    worker.post_reserved([&worker, message = std::move(message)] {
        if (Group* group = worker.group(kShard)) group->step(message);
    });
}

bool Node::keep() {
    std::vector<DiskReplica> replicas;
    for (const GroupReport& report : host->reports()) {
        replicas.push_back({report.id, report.replica, report.health == GroupHealth::Sound,
                            report.configuration_index});
    }
    std::vector<KeeperStep> steps;
    {
        const std::lock_guard lock(world.mutex);
        steps = cluster::keep(world.meta.state, KeptDisk{id, created > 0, replicas});
    }
    bool any = false;
    for (const KeeperStep& step : steps) {
        if (const auto* made = std::get_if<CreateReplica>(&step); made && made->group == kShard) {
            create(*made);
            any = true;
        } else if (const auto* gone = std::get_if<DeleteReplica>(&step)) {
            remove(*gone);
            any = true;
        }
    }
    return any;
}

void Node::create(const CreateReplica& step) {
    GroupOptions options;
    options.id = kShard;
    options.self = step.replica;
    options.seed = id.value();
    {
        const std::lock_guard lock(world.mutex);
        options.configuration =
            step.founding ? step.configuration : world.meta.state.group(kShard)->configured;
    }
    std::promise<bool> done;
    host->create(options, machine, [&](const Result<Group*>& group) {
        steward->set_group(group ? *group : nullptr);
        done.set_value(group.ok());
    });
    REQUIRE(done.get_future().get());
    ++created;
}

void Node::remove(const DeleteReplica& step) {
    std::promise<bool> done;
    host->worker_of(kShard).post_reserved([this] { steward->set_group(nullptr); });
    host->remove(step.group, [&](const Status& status) { done.set_value(status.ok()); });
    REQUIRE(done.get_future().get());
}

bool Node::propose(uint64_t next) {
    return ask([&](Group* group) {
        if (group == nullptr || !group->leading()) return false;
        if (machine.number(1) >= next) return true;
        if (machine.number(1) + 1 == next)
            (void)group->propose(ToyMachine::command(1, next, "payload"));
        return false;
    });
}

}  // namespace

TEST_CASE("a group that is written to moves to other nodes and back, and nothing is lost [R-8]") {
    World world;
    world.write_until_settled();
    const uint64_t moves[][3] = {{2, 3, 4}, {4, 1, 2}, {3, 1, 2}, {4, 3, 2}};
    for (const auto& to : moves) {
        std::vector<NodeId> voters;
        for (const uint64_t id : to)
            voters.emplace_back(static_cast<uint32_t>(id));
        world.place(voters);
        // What is cut away has to come as a snapshot.
        for (const auto& node : world.nodes)
            REQUIRE(node->host->flush_now().ok());
        world.write_until_settled();
    }
    uint64_t copies = 0;
    uint64_t made = 0;
    for (const auto& node : world.nodes) {
        const bool there = node->ask([](const Group* group) { return group != nullptr; });
        copies += there ? 1U : 0U;
        made += node->created;
        CHECK(there == (node->id != NodeId(1)));
    }
    CHECK(copies == 3);
    CHECK(made == 3 + 4);
    // Every copy holds everything that was ever applied, once and in order.
    world.write_one();
    std::set<uint64_t> digests;
    for (const auto& node : world.nodes) {
        if (node->id == NodeId(1)) continue;
        const auto give_up = std::chrono::steady_clock::now() + kDeadline;
        while (node->ask([&](Group*) { return node->machine.number(1); }) < world.number)
            REQUIRE(std::chrono::steady_clock::now() < give_up);
        digests.insert(node->ask([&](Group*) { return node->machine.digest(); }));
    }
    CHECK(digests.size() == 1);
}
