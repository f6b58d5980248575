// What shards and `wildcards` have in common as state machines of a group that answers lanes:
// taking commands in, holding back what the group refuses for the moment, and letting answers out.
//
// Thread: the group's worker. Owner: the Cluster. Errors: see StateMachine.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/group/group.h"
#include "cluster/group/state_machine.h"
#include "cluster/router/worker_router.h"
#include "cluster/topics/route_table.h"
#include "proto/base/ids.h"
#include "proto/base/log.h"

namespace quorate::cluster {

class GroupRunnerBase : public StateMachine {
  public:
    GroupRunnerBase(GroupId group, WorkerRouter& router, const Log& log)
        : group_id_(group), router_(router), log_(log) {}

    // Before the host starts serving; the group outlives the runner's use of it. Null: this node
    // has no copy any more.
    void set_group(Group* group) { group_ = group; }

    // An encoded command of a lane, or of this leader itself. What the group refuses because too
    // much is in flight waits here, in order; lanes bound how much that can be. On a disk that is
    // nearly full a client's command that grows the state is replaced by its refusal: the asker is
    // answered LimitExceeded at once, and what frees or was accepted before goes through.
    void propose(std::string_view command);
    // Once a turn, after what was applied was told. True when it proposed something: the groups
    // need another turn.
    bool end_turn();

    void on_leader(Term term) final;
    void on_follower(Term term) final;
    // From here on it may act for the outside: the node's incarnation is known, and the tables of
    // all groups are shown. An outbox driven earlier would match its messages against nothing.
    void start_serving();
    [[nodiscard]] bool led() const { return led_; }
    // All routes of its state, for a table that has none of them. Requires: led().
    [[nodiscard]] virtual std::vector<DirectoryOp> table_ops() const = 0;

    // Among other nodes, of the leader: what table_ops() said when `term` began is shown now. From
    // here on it owns, and says so.
    virtual void tables_shown(Term term);
    // Of `wildcards`: every table of this node shows all entries up to this one.
    virtual void shown(LogIndex /*index*/) {}
    // Another node leads that group now, or has lost what it was sent.
    virtual void moved(GroupId /*group*/) {}
    // Incarnations have ended or begun.
    virtual void peers_changed() {}
    // `done` with true once a quorum has confirmed this leader. False: it leads no more.
    [[nodiscard]] bool confirm(std::function<void(bool)> done);

    // True while the disk refuses growth. Thread: any.
    [[nodiscard]] bool disk_full() const {
        return group_ != nullptr && group_->disk() != storage::DiskState::Ample;
    }

    // Leads, and serves.
    [[nodiscard]] bool leading() const { return led_ && started_; }
    [[nodiscard]] bool serving() const { return leading() && group_ != nullptr; }
    [[nodiscard]] WorkerRouter& router() const { return router_; }
    [[nodiscard]] Term term() const { return term_; }
    [[nodiscard]] GroupId group_id() const { return group_id_; }

    // Of routes as the state machines keep them: those to this node's loops are not among them.
    [[nodiscard]] static DirectoryOp directory_op(std::string_view filter,
                                                  const std::vector<RouteEntry>& routes);
    [[nodiscard]] static std::vector<DirectoryOp> all_directory_ops(const RouteTable& routes);

  protected:
    // Whatever a new leader does first, and what it stops doing.
    virtual void begin_leading() = 0;
    virtual void end_leading() {}
    // Whether the client behind a command may be told that there is no room.
    [[nodiscard]] virtual bool may_refuse(const Command& /*command*/) const { return false; }
    // The leader's work at the end of each turn.
    virtual void work() {}
    // Every replica's.
    virtual void turn() {}
    // `token` comes back in the answer; 0 when nobody looks at it.
    void propose_own(const CommandBody& body, uint64_t token = 0);
    // Ops are shown to all readers, then the answers go out. Both are taken over.
    void show(std::vector<DirectoryOp> ops, std::vector<GroupAnswer> then);
    void show(std::vector<DirectoryOp> ops, std::unique_ptr<WorkerParcel> then);
    // As a new leader: all of its routes, then tables_shown(). When it leads no more they go.
    void show_all();
    void hide_all();

    GroupId group_id_;
    WorkerRouter& router_;
    Log log_;
    Group* group_ = nullptr;

  private:
    [[nodiscard]] bool try_propose(std::string_view command);

    bool led_ = false;
    bool started_ = false;
    Term term_;
    bool proposed_ = false;  // since the last end_turn()
    std::deque<std::string> refused_;
};

}  // namespace quorate::cluster
