// Nodes that start, each with its links on loopback and a directory, each driven on its own thread.
#include "cluster/node/bootstrap_driver.h"

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "tests/unit/catch.h"
#include "tests/unit/link/node.h"
#include "tests/unit/storage/temp_dir.h"

using namespace quorate;
using namespace quorate::cluster;
using link::eventually;

namespace {

std::string local(uint16_t port) {
    return "127.0.0.1:" + std::to_string(port);
}

class Starter final : public link::LinkHandler {
  public:
    Starter(std::string name, Metrics& metrics, Logger& logger)
        : name_(std::move(name)), logger_(logger) {
        link::LinkOptions options;
        options.listen = "127.0.0.1:0";
        auto started = link::LinkHost::start(options, *this, metrics, logger);
        REQUIRE(started.ok());
        links_ = std::move(*started);
    }
    ~Starter() override {
        if (!drivers_.empty()) drivers_.back()->stop();
        if (result_.valid()) result_.wait();
        links_->stop();
    }

    void start(const std::vector<std::string>& seeds, uint32_t expect, uint64_t abandoned = 0) {
        const auto record = NodeFile(dir_.path()).read();
        REQUIRE(record.ok());
        BootstrapDriver::Options options;
        options.bootstrap.name = name_;
        options.bootstrap.address = address();
        options.bootstrap.seeds = seeds;
        options.bootstrap.expect = expect;
        options.bootstrap.abandoned = abandoned;
        options.bootstrap.layout = ShardLayout{4, 0};
        options.has_meta = has_meta;
        options.seed = std::hash<std::string>{}(name_ + address());
        drivers_.push_back(std::make_unique<BootstrapDriver>(
            options, NodeFile(dir_.path()), *record, *links_, Log(logger_, "node")));
        driving_ = drivers_.back().get();
        result_ =
            std::async(std::launch::async, [&driver = *drivers_.back()] { return driver.run(); });
    }
    Result<Arrival> arrival() {
        REQUIRE(result_.wait_for(std::chrono::seconds(20)) == std::future_status::ready);
        return result_.get();
    }
    [[nodiscard]] bool waits() const {
        return result_.wait_for(std::chrono::seconds(0)) != std::future_status::ready;
    }
    [[nodiscard]] std::string address() const { return local(links_->port()); }
    [[nodiscard]] const std::string& directory() const { return dir_.path(); }
    BootstrapDriver& driver() { return *drivers_.back(); }

    bool has_meta = false;
    // What it answers to those that want to join; nothing: that it cannot.
    std::atomic<const Admission*> admits{nullptr};

  private:
    void on_up(const link::StreamId&) noexcept override {}
    void on_down(const link::StreamId&, LinkEnd) noexcept override {}
    void on_batch(const link::StreamId&, link::ReceivedBatch) noexcept override {}
    void on_question(const link::QuestionView& question, link::AnswerDoor door) noexcept override {
        BootstrapDriver* driver = driving_.load();
        if (question.kind == kBootstrapQuestion && driver != nullptr) {
            driver->on_question(question.bytes, std::move(door));
        } else if (question.kind == kAdmissionQuestion && admits.load() != nullptr) {
            door.answer(encode(*admits.load()));
        }
    }

    std::string name_;
    Logger& logger_;
    test::TempDir dir_;
    std::vector<std::unique_ptr<BootstrapDriver>> drivers_;  // until the links have stopped
    std::atomic<BootstrapDriver*> driving_{nullptr};
    std::unique_ptr<link::LinkHost> links_;
    std::future<Result<Arrival>> result_;
};

class Scene {
  public:
    Scene() {
        LogOptions log;
        log.to_stderr = true;
        log.level = LogLevel::Error;
        auto opened = Logger::open(log);
        REQUIRE(opened.ok());
        logger_ = std::move(opened).value();
    }
    Starter& add(const std::string& name) {
        starters_.push_back(std::make_unique<Starter>(name, metrics_, *logger_));
        return *starters_.back();
    }
    std::vector<std::string> addresses() {
        std::vector<std::string> out;
        for (const auto& each : starters_)
            out.push_back(each->address());
        return out;
    }

  private:
    Metrics metrics_;
    std::unique_ptr<Logger> logger_;
    std::vector<std::unique_ptr<Starter>> starters_;
};

}  // namespace

TEST_CASE("three nodes with empty disks form one cluster, and each is told the same of it",
          "[node]") {
    Scene scene;
    std::vector<Starter*> nodes = {&scene.add("n1"), &scene.add("n2"), &scene.add("n3")};
    for (Starter* node : nodes)
        node->start(scene.addresses(), 3);
    uint64_t cluster = 0;
    for (uint32_t at = 0; at < 3; ++at) {
        const auto arrived = nodes[at]->arrival();
        REQUIRE(arrived.ok());
        REQUIRE(arrived->founding);
        if (cluster == 0) cluster = arrived->founding->cluster_id;
        CHECK(arrived->founding->cluster_id == cluster);
        CHECK(arrived->founding->members.size() == 3);
        CHECK(arrived->record.bootstrap.node == NodeId(at + 1));
        const auto disk = NodeFile(nodes[at]->directory()).read();
        REQUIRE(disk.ok());
        CHECK((*disk)->bootstrap.cluster_id == cluster);
    }
}

TEST_CASE("two of three nodes wait for the third, and say so, until they are told to stop",
          "[node]") {
    Scene scene;
    Starter& one = scene.add("n1");
    Starter& two = scene.add("n2");
    one.start({one.address(), two.address()}, 3);
    two.start({one.address(), two.address()}, 3);
    CHECK(eventually([&] {
        return one.driver().waits_for() == "3 nodes with empty disks; 2 are seen" &&
               two.driver().waits_for() == "3 nodes with empty disks; 2 are seen";
    }));
    CHECK(one.waits());
    one.driver().stop();
    const auto stopped = one.arrival();
    REQUIRE_FALSE(stopped.ok());
    CHECK(stopped.error().code == ErrorCode::Unavailable);
    CHECK(two.waits());
}

TEST_CASE("a node without seeds of which one is expected is a cluster by itself", "[node]") {
    Scene scene;
    Starter& one = scene.add("n1");
    one.start({}, 1);
    const auto arrived = one.arrival();
    REQUIRE(arrived.ok());
    REQUIRE(arrived->founding);
    CHECK(arrived->record.bootstrap.node == NodeId(1));
}

TEST_CASE("a newcomer keeps asking until it is admitted, and comes back as the same node",
          "[node]") {
    Scene scene;
    Starter& member = scene.add("n1");
    member.start({}, 1);
    const auto founded = member.arrival();
    REQUIRE(founded.ok());

    Starter& newcomer = scene.add("n2");
    newcomer.start({member.address()}, 1);
    CHECK(
        eventually([&] { return newcomer.driver().waits_for().starts_with("its admission by"); }));
    Admission taken;
    taken.code = MetaCode::Exists;
    taken.node = NodeId(7);
    member.admits = &taken;
    CHECK(eventually([&] {
        return newcomer.driver().waits_for() ==
               "its name: node 7 of the cluster, which runs, is called n2 too";
    }));
    Admission admission;
    admission.cluster_id = founded->founding->cluster_id;
    admission.layout = ShardLayout{4, 0};
    admission.node = NodeId(2);
    member.admits = &admission;
    CHECK(eventually(
        [&] { return newcomer.driver().waits_for() == "the leader of meta to give it a copy"; }));
    Admission placed = admission;
    placed.replica = ReplicaId(9);
    placed.configuration = {{ReplicaId(1)}};
    member.admits = &placed;
    auto arrived = newcomer.arrival();
    REQUIRE(arrived.ok());
    REQUIRE(arrived->admitted);
    CHECK(arrived->admitted->replica == ReplicaId(9));
    CHECK(arrived->record.bootstrap.node == NodeId(2));

    // Its copy of meta was not made before it ended: it is asked for again.
    newcomer.start({member.address()}, 1);
    arrived = newcomer.arrival();
    REQUIRE(arrived.ok());
    CHECK(arrived->admitted);
    CHECK(arrived->record.bootstrap.node == NodeId(2));
    // It was.
    newcomer.has_meta = true;
    newcomer.start({member.address()}, 1);
    arrived = newcomer.arrival();
    REQUIRE(arrived.ok());
    CHECK_FALSE(arrived->admitted);
    member.admits = nullptr;
}

TEST_CASE("a node whose seed belongs to another cluster is refused with the reason", "[node]") {
    Scene scene;
    Starter& one = scene.add("n1");
    one.start({}, 1);
    REQUIRE(one.arrival().ok());
    Starter& other = scene.add("n2");
    other.start({}, 1);
    REQUIRE(other.arrival().ok());
    other.start({one.address()}, 1);
    const auto refused = other.arrival();
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code == ErrorCode::Corrupt);
    CHECK(refused.error().message.find("this disk belongs to cluster") != std::string::npos);
}

TEST_CASE("a node that lost its copy of meta does not come back under its old name", "[node]") {
    Scene scene;
    Starter& one = scene.add("n1");
    one.start({}, 1);
    auto arrived = one.arrival();
    REQUIRE(arrived.ok());
    NodeRecord record = arrived->record;
    record.founded = true;
    REQUIRE(NodeFile(one.directory()).write(record).ok());
    one.start({}, 1);
    const auto refused = one.arrival();
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code == ErrorCode::Corrupt);
}
