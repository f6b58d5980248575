// Nodes of a cluster in one process: each with its links on loopback, its directory, its groups
// with the smallest machines there are, and the leader's work on them that steward does elsewhere.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cluster/control/catch_up.h"
#include "cluster/control/group_reconciler.h"
#include "cluster/group/group_host.h"
#include "cluster/group/group_post.h"
#include "cluster/link/link.h"
#include "cluster/node/node_control.h"
#include "proto/base/log.h"
#include "proto/base/metrics.h"
#include "tests/sim/toy_machine.h"
#include "tests/unit/storage/temp_dir.h"

namespace quorate::test {

// Settings and port outlive the process's starts. Thread: the test's.
class NodeInWorld final : public link::LinkHandler {
  public:
    NodeInWorld(std::string name, Metrics& metrics, Logger& logger);
    ~NodeInWorld() override;

    // Takes a port, so that others can be told of it.
    [[nodiscard]] const std::string& address() const { return address_; }
    // An empty disk instead of the one it had. Requires: stopped.
    void lose_disk();
    // Without a copy that it had. Requires: stopped.
    void lose_copy(GroupId group);
    // Begins on a thread of its own: enter, groups, incarnation.
    void start(std::vector<std::string> seeds, uint32_t expect);
    // Waits until it has its incarnation, or why not.
    [[nodiscard]] Result<Incarnation> started();
    [[nodiscard]] bool starting() const;
    void stop();

    [[nodiscard]] cluster::NodeControl& control() { return *control_; }
    [[nodiscard]] cluster::GroupHost& host() { return *host_; }
    [[nodiscard]] cluster::MetaView meta() const { return meta_->view(); }
    [[nodiscard]] const cluster::Identity& identity() const { return *identity_; }
    [[nodiscard]] std::string fenced() const;
    [[nodiscard]] std::vector<cluster::PeerState> peers() const;
    // The copies it has, by group. Requires: started.
    [[nodiscard]] std::map<GroupId, ReplicaId> copies();
    [[nodiscard]] const std::string& directory() const { return dir_->path(); }
    // What is done with a group that it leads, as the steward does it; from now on.
    void steward(bool on) { stewards_.store(on); }

  private:
    void on_up(const link::StreamId&) noexcept override {}
    void on_down(const link::StreamId&, LinkEnd) noexcept override {}
    void on_batch(const link::StreamId& from, link::ReceivedBatch batch) noexcept override {
        post_.arrived(from.peer.node, batch);
    }
    void on_question(const link::QuestionView& question, link::AnswerDoor door) noexcept override;

    void open_links(const std::string& listen);
    [[nodiscard]] Result<Incarnation> bring_up();
    [[nodiscard]] cluster::StateMachine* machine(GroupId group);
    void lead(GroupId group);
    void lead_once(cluster::Group& group);

    const std::string name_;
    Metrics& metrics_;
    Logger& logger_;
    std::string address_;
    std::unique_ptr<TempDir> dir_;
    std::vector<std::string> seeds_;
    uint32_t expect_ = 1;
    std::atomic<bool> stewards_{true};

    cluster::GroupPost post_;
    std::map<GroupId, std::unique_ptr<sim::ToyMachine>> machines_;
    std::map<GroupId, cluster::CatchUp> catch_up_;  // each its worker's
    std::unique_ptr<cluster::MetaRunner> meta_;
    std::unique_ptr<cluster::NodeControl> control_;
    std::atomic<cluster::NodeControl*> controlling_{nullptr};
    std::unique_ptr<link::LinkHost> links_;
    std::unique_ptr<cluster::GroupHost> host_;
    std::optional<cluster::Identity> identity_;
    std::future<Result<Incarnation>> starting_;

    mutable std::mutex mutex_;
    std::string fenced_;                     // guarded by mutex_
    std::vector<cluster::PeerState> peers_;  // guarded by mutex_
};

class NodeWorld {
  public:
    static constexpr uint32_t kShards = 3;

    NodeWorld();
    NodeInWorld& add(const std::string& name);
    // All of them, with each other as seeds.
    void start_all(uint32_t expect);
    [[nodiscard]] std::vector<std::string> addresses() const;

  private:
    Metrics metrics_;
    std::unique_ptr<Logger> logger_;
    std::vector<std::unique_ptr<NodeInWorld>> nodes_;
};

// Within a minute: a busy machine takes many seconds for an election.
[[nodiscard]] bool soon(const std::function<bool()>& condition);

}  // namespace quorate::test
