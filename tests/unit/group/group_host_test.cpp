#include "cluster/group/group_host.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <fstream>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cluster/group/group_ids.h"
#include "tests/sim/toy_machine.h"
#include "tests/unit/catch.h"
#include "tests/unit/storage/temp_dir.h"

using namespace quorate;
using cluster::Group;
using cluster::GroupHost;
using cluster::GroupHostOptions;
using cluster::GroupOptions;
using sim::ToyMachine;

namespace {

class SteppedClock final : public Clock {
  public:
    [[nodiscard]] std::chrono::nanoseconds now() const override { return time; }
    [[nodiscard]] std::chrono::milliseconds wall() const override { return {}; }
    std::chrono::nanoseconds time{std::chrono::seconds(1)};
};

constexpr std::chrono::seconds kDeadline{20};

// A host with some shards, and a way to wait for what happens on its workers.
class Node {
  public:
    explicit Node(const std::string& dir, uint32_t groups = 1, uint32_t workers = 1,
                  std::chrono::milliseconds sync_interval = {}, const Log* log = nullptr) {
        GroupHostOptions options;
        options.log = log;
        options.storage.data_dir = dir;
        options.workers = workers;
        options.sync_interval = sync_interval;
        auto opened = GroupHost::open(options);
        REQUIRE(opened.ok());
        host_ = std::move(*opened);
        for (uint32_t i = 0; i < groups; ++i) {
            machines_.push_back(std::make_unique<ToyMachine>());
            GroupOptions group;
            group.id = cluster::group_of(ShardId(i));
            REQUIRE(host_->add_group(group, *machines_.back()).ok());
            machines_.back()->on_applied = [this] { notify(); };
        }
    }
    ~Node() { host_->stop(); }

    GroupHost& host() { return *host_; }
    ToyMachine& machine(uint32_t shard) { return *machines_[shard]; }
    static GroupId id(uint32_t shard) { return cluster::group_of(ShardId(shard)); }

    // Runs `ask(group, machine)` on the worker of a shard and waits for its result.
    template <typename Ask>
    auto on_worker(uint32_t shard, Ask ask) {
        using Answer = decltype(ask(*host_->group(id(shard)), machine(shard)));
        std::optional<Answer> answer;
        std::mutex mutex;
        std::condition_variable done;
        host_->worker_of(id(shard)).post_reserved([&] {
            const std::lock_guard lock(mutex);
            answer = ask(*host_->group(id(shard)), machine(shard));
            done.notify_one();
        });
        std::unique_lock lock(mutex);
        REQUIRE(done.wait_for(lock, kDeadline, [&] { return answer.has_value(); }));
        return *answer;
    }

    // Waits until a condition on a shard holds; looks again after every apply.
    template <typename Condition>
    void wait_for(uint32_t shard, Condition condition) {
        const auto give_up = std::chrono::steady_clock::now() + kDeadline;
        while (!on_worker(shard, condition)) {
            REQUIRE(std::chrono::steady_clock::now() < give_up);
            std::unique_lock lock(mutex_);
            applied_.wait_for(lock, std::chrono::milliseconds(20));
        }
    }
    void wait_leading(uint32_t shard) {
        wait_for(shard, [](Group& group, ToyMachine&) { return group.leading(); });
    }

  private:
    void notify() {
        const std::lock_guard lock(mutex_);
        applied_.notify_all();
    }

    std::mutex mutex_;
    std::condition_variable applied_;
    std::vector<std::unique_ptr<ToyMachine>> machines_;
    std::unique_ptr<GroupHost> host_;
};

void propose(Node& node, uint32_t shard, uint64_t from, uint64_t to) {
    for (uint64_t number = from; number <= to; ++number) {
        const bool ok = node.on_worker(shard, [&](Group& group, ToyMachine&) {
            return group.propose(ToyMachine::command(7, number, "payload")).ok();
        });
        REQUIRE(ok);
    }
    node.wait_for(shard, [&](Group&, ToyMachine& machine) { return machine.number(7) >= to; });
}

}  // namespace

TEST_CASE("a lone voter leads at once and applies what it is given") {
    const test::TempDir dir;
    Node node(dir.path(), 3, 2);
    REQUIRE(node.host().start().ok());
    for (uint32_t shard = 0; shard < 3; ++shard) {
        node.wait_leading(shard);
        propose(node, shard, 1, 20);
    }
    CHECK(node.host().reports().size() == 3);
}

TEST_CASE("a restart resumes where the state was and replays the rest of the log") {
    const test::TempDir dir;
    uint64_t digest = 0;
    ClusterTime time;
    for (const bool flushed : {false, true}) {
        {
            Node node(dir.path());
            REQUIRE(node.host().start().ok());
            node.wait_leading(0);
            const uint64_t have =
                node.on_worker(0, [](Group&, ToyMachine& machine) { return machine.number(7); });
            propose(node, 0, have + 1, have + 50);
            if (flushed) REQUIRE(node.host().flush_now().ok());
            propose(node, 0, have + 51, have + 100);
            digest = node.on_worker(0, [](Group&, ToyMachine& m) { return m.digest(); });
            time = node.on_worker(0, [](Group& group, ToyMachine&) { return group.time(); });
        }
        Node node(dir.path());
        REQUIRE(node.host().start().ok());
        node.wait_leading(0);
        CHECK(node.on_worker(0, [](Group&, ToyMachine& m) { return m.digest(); }) == digest);
        CHECK(node.on_worker(0, [](Group&, ToyMachine& m) { return m.refused(); }) == 0);
    }
}

TEST_CASE("flushing the state lets the log go, and what is left still starts") {
    const test::TempDir dir;
    {
        Node node(dir.path());
        REQUIRE(node.host().start().ok());
        node.wait_leading(0);
        propose(node, 0, 1, 100);
        REQUIRE(node.host().group(Node::id(0))->log_bytes() > 0);
        REQUIRE(node.host().flush_now().ok());
        node.wait_for(0, [](Group& group, ToyMachine&) { return group.log_bytes() == 0; });
        propose(node, 0, 101, 110);
    }
    Node node(dir.path());
    REQUIRE(node.host().start().ok());
    node.wait_leading(0);
    CHECK(node.on_worker(0, [](Group&, ToyMachine& m) { return m.number(7); }) == 110);
}

TEST_CASE("with an interval between syncs commands are applied without waiting for the disk") {
    const test::TempDir dir;
    {
        Node node(dir.path(), 1, 1, std::chrono::milliseconds(50));
        REQUIRE(node.host().start().ok());
        node.wait_leading(0);
        propose(node, 0, 1, 200);
    }
    Node node(dir.path(), 1, 1, std::chrono::milliseconds(50));
    REQUIRE(node.host().start().ok());
    node.wait_leading(0);
    CHECK(node.on_worker(0, [](Group&, ToyMachine& m) { return m.number(7); }) == 200);
}

TEST_CASE("timers run on the worker, once, and not after they were cancelled") {
    const test::TempDir dir;
    Node node(dir.path());
    REQUIRE(node.host().start().ok());
    std::atomic<int> ran{0};
    std::atomic<bool> cancelled_ran{false};
    node.on_worker(0, [&](Group&, ToyMachine&) {
        cluster::Worker& worker = node.host().worker_of(Node::id(0));
        const auto kept = worker.call_later(std::chrono::milliseconds(5), [&] { ++ran; });
        const auto dropped =
            worker.call_later(std::chrono::milliseconds(1), [&] { cancelled_ran = true; });
        worker.cancel(*dropped);
        return kept.ok() && dropped.ok();
    });
    const auto give_up = std::chrono::steady_clock::now() + kDeadline;
    while (ran == 0 && std::chrono::steady_clock::now() < give_up)
        std::this_thread::yield();
    CHECK(ran == 1);
    CHECK_FALSE(cancelled_ran);
}

TEST_CASE("the marks of the disk are those given, also later") {
    const test::TempDir dir;
    std::atomic<uint64_t> used{50};
    GroupHostOptions options;
    options.storage.data_dir = dir.path();
    options.disk_probe = [&] { return storage::DiskUse{100, used}; };
    options.disk_marks = {40, 60};
    SteppedClock clock;
    options.clock = &clock;
    auto host = GroupHost::open(options);
    REQUIRE(host.ok());
    const auto state = [&] {
        clock.time += storage::DiskWatch::kPeriod;
        return (*host)->disk_state();
    };
    CHECK(state() == storage::DiskState::Full);
    used = 60;
    CHECK(state() == storage::DiskState::Stop);
    (*host)->set_disk_marks({61, 62});
    CHECK(state() == storage::DiskState::Ample);
}

TEST_CASE("a replica that stops while the node runs is told of once, with how it is rebuilt") {
    const test::TempDir dir;
    LogOptions log_options;
    log_options.file = dir.path() + "/log.txt";
    const auto logger = Logger::open(log_options);
    REQUIRE(logger.ok());
    const Log log(**logger, "group");
    Node node(dir.path() + "/data", 2, 2, {}, &log);
    REQUIRE(node.host().start().ok());
    node.wait_leading(0);
    node.wait_leading(1);
    REQUIRE(node.on_worker(
        0, [](Group& group, ToyMachine&) { return group.propose("too short").ok(); }));
    node.wait_for(1, [&](Group&, ToyMachine&) { return (*logger)->lines(LogLevel::Error) != 0; });
    (*logger)->flush();
    std::ifstream in(log_options.file);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    CHECK(text.find("replica is damaged and takes no part") != std::string::npos);
    CHECK(text.find("rebuild=") != std::string::npos);
    propose(node, 1, 1, 3);
    CHECK((*logger)->lines(LogLevel::Error) == 1);
}
