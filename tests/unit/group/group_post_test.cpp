// Three nodes in one process: their own stores, workers and links over loopback.
#include "cluster/group/group_post.h"

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cluster/group/group_host.h"
#include "cluster/group/group_ids.h"
#include "cluster/meta/replica_id.h"
#include "cluster/raft/message_codec.h"
#include "tests/sim/toy_machine.h"
#include "tests/unit/catch.h"
#include "tests/unit/link/node.h"
#include "tests/unit/storage/temp_dir.h"

using namespace quorate;
using cluster::Group;
using cluster::GroupHost;
using cluster::GroupHostOptions;
using cluster::GroupOptions;
using cluster::GroupPost;
using link::eventually;
using sim::ToyMachine;

namespace {

constexpr uint32_t kGroups = 3;

GroupId group_id(uint32_t at) {
    return cluster::group_of(ShardId(at));
}

// A node with three groups of three replicas on two workers.
class ClusterNode final : public link::LinkHandler {
  public:
    ClusterNode(uint32_t id, std::string dir, Metrics& metrics, Logger& logger)
        : id_(id), dir_(std::move(dir)), post_(cluster::node_of) {
        link::LinkOptions options;
        options.listen = "127.0.0.1:0";
        options.self = {"toys", NodeId(id), make_incarnation(NodeId(id), 1)};
        auto started = link::LinkHost::start(options, *this, metrics, logger);
        REQUIRE(started.ok());
        links_ = std::move(*started);
        boot();
    }
    ~ClusterNode() override {
        links_->stop();
        halt();
    }

    void boot() {
        GroupHostOptions options;
        options.storage.data_dir = dir_;
        options.workers = 2;
        options.messages = &post_;
        auto opened = GroupHost::open(options);
        REQUIRE(opened.ok());
        host_ = std::move(*opened);
        for (uint32_t at = 0; at < kGroups; ++at) {
            machines_.push_back(std::make_unique<ToyMachine>());
            GroupOptions group;
            group.id = group_id(at);
            group.self = cluster::replica_id(NodeId(id_), 1);
            group.configuration = {{cluster::replica_id(NodeId(1), 1),
                                    cluster::replica_id(NodeId(2), 1),
                                    cluster::replica_id(NodeId(3), 1)}};
            group.seed = id_;
            REQUIRE(host_->add_group(group, *machines_.back()).ok());
        }
        post_.connect(*links_, *host_);
        REQUIRE(host_->start().ok());
    }
    void halt() {
        post_.disconnect();
        if (host_ != nullptr) host_->stop();
        host_.reset();
        machines_.clear();
    }

    void knows(const std::vector<ClusterNode*>& all) {
        std::vector<link::Member> members;
        for (const ClusterNode* node : all) {
            const std::string address = "127.0.0.1:" + std::to_string(node->links_->port());
            members.push_back({NodeId(node->id_), "n" + std::to_string(node->id_), {address}});
        }
        links_->set_members(std::move(members));
    }

    [[nodiscard]] bool running() const { return host_ != nullptr; }
    [[nodiscard]] uint32_t id() const { return id_; }
    [[nodiscard]] GroupPost& post() { return post_; }

    // On the worker of the group; waits.
    template <typename Ask>
    auto ask(uint32_t at, Ask question) {
        using Answer = decltype(question(*host_->group(group_id(at)), *machines_[at]));
        std::optional<Answer> answer;
        std::mutex mutex;
        std::condition_variable done;
        host_->worker_of(group_id(at)).post_reserved([&] {
            const std::lock_guard lock(mutex);
            answer = question(*host_->group(group_id(at)), *machines_[at]);
            done.notify_one();
        });
        std::unique_lock lock(mutex);
        REQUIRE(done.wait_for(lock, std::chrono::seconds(20), [&] { return answer.has_value(); }));
        return *answer;
    }
    [[nodiscard]] bool leads(uint32_t at) {
        return ask(at, [](Group& group, ToyMachine&) { return group.leading(); });
    }
    [[nodiscard]] uint64_t number(uint32_t at) {
        return ask(at, [](Group&, ToyMachine& machine) { return machine.number(1); });
    }

  private:
    void on_up(const link::StreamId&) noexcept override {}
    void on_down(const link::StreamId&, LinkEnd) noexcept override {}
    void on_batch(const link::StreamId& from, link::ReceivedBatch batch) noexcept override {
        post_.arrived(from.peer.node, batch);
    }
    void on_question(const link::QuestionView&, link::AnswerDoor) noexcept override {}

    uint32_t id_;
    std::string dir_;
    GroupPost post_;
    std::unique_ptr<link::LinkHost> links_;
    std::vector<std::unique_ptr<ToyMachine>> machines_;
    std::unique_ptr<GroupHost> host_;
};

class Trio {
  public:
    Trio() {
        LogOptions log;
        log.to_stderr = true;
        log.level = LogLevel::Error;
        auto opened = Logger::open(log);
        REQUIRE(opened.ok());
        logger_ = std::move(opened).value();
        for (uint32_t id = 1; id <= 3; ++id) {
            dirs_.push_back(std::make_unique<test::TempDir>());
            nodes_.push_back(
                std::make_unique<ClusterNode>(id, dirs_.back()->path(), metrics_, *logger_));
        }
        std::vector<ClusterNode*> all;
        for (const auto& node : nodes_)
            all.push_back(node.get());
        for (ClusterNode* node : all)
            node->knows(all);
    }

    [[nodiscard]] ClusterNode& node(std::size_t at) { return *nodes_[at]; }
    // Waits for one.
    [[nodiscard]] ClusterNode& leader(uint32_t group) {
        ClusterNode* found = nullptr;
        REQUIRE(eventually([&] {
            for (const auto& node : nodes_) {
                if (node->running() && node->leads(group)) found = node.get();
            }
            return found != nullptr;
        }));
        return *found;
    }
    // Proposes `number` of writer 1 until it is applied on every running node.
    void write(uint32_t group, uint64_t number) {
        REQUIRE(eventually([&] {
            ClusterNode& at = leader(group);
            if (at.number(group) < number) {
                (void)at.ask(group, [&](Group& to, ToyMachine&) {
                    return to.propose(ToyMachine::command(1, number, "payload")).ok();
                });
            }
            return std::ranges::all_of(nodes_, [&](const auto& node) {
                return !node->running() || node->number(group) >= number;
            });
        }));
    }

  private:
    Metrics metrics_;
    std::unique_ptr<Logger> logger_;
    std::vector<std::unique_ptr<test::TempDir>> dirs_;
    std::vector<std::unique_ptr<ClusterNode>> nodes_;
};

TEST_CASE("Groups of three nodes replicate over links", "[group][links]") {
    Trio trio;
    for (uint32_t group = 0; group < kGroups; ++group) {
        for (uint64_t number = 1; number <= 5; ++number)
            trio.write(group, number);
    }
}

TEST_CASE("When a leader's node stops another leads, and it catches up when it is back",
          "[group][links]") {
    Trio trio;
    trio.write(0, 1);
    ClusterNode& first = trio.leader(0);
    first.halt();
    trio.write(0, 2);
    CHECK(trio.leader(0).id() != first.id());
    first.boot();
    trio.write(0, 3);
    CHECK(first.number(0) == 3);
}

TEST_CASE("A message that claims another node's replica is refused and counted",
          "[group][links][R-8]") {
    Trio trio;
    trio.write(0, 1);
    ClusterNode& leader = trio.leader(0);
    const Term term = leader.ask(0, [](Group& group, ToyMachine&) { return group.term(); });
    const uint32_t other = leader.id() == 1 ? 2 : 1;
    // A later term, in the name of a replica that lives elsewhere, would end the leadership.
    const raft::Message forged{cluster::replica_id(NodeId(other), 1),
                               cluster::replica_id(NodeId(leader.id()), 1),
                               Term(term.value() + 100), raft::RequestVote{}};
    std::string item;
    RecordWriter head(item);
    head.u8(static_cast<uint8_t>(GroupPost::kRaftMessage));
    head.id(group_id(0));
    raft::encode_message(item, forged);
    std::string batch;
    link::append_item(batch, as_bytes(item), {});
    link::append_item(batch, as_bytes(std::string_view("\x01jun")), {});
    const uint64_t refused = leader.post().refused();
    leader.post().arrived(NodeId(6 - other - leader.id()), {batch, 2, {}});
    CHECK(eventually([&] { return leader.post().refused() == refused + 2; }));
    CHECK(leader.ask(0, [](Group& group, ToyMachine&) { return group.term(); }) == term);
}

}  // namespace
