// Makes, removes and begins anew this node's copies of groups, as group_keeper.h decides.
//
// Thread: step: one, which it blocks for a turn of every worker; what it begins ends on workers.
// Owner: NodeControl; the host is stopped before it is destroyed.
// Errors: logged, and tried again with the next step. Bounded: one thing at a time for each group.
// Spec: R-8.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <set>

#include "cluster/control/group_keeper.h"
#include "cluster/group/group_host.h"
#include "cluster/meta/meta_state.h"
#include "cluster/node/meta_asker.h"
#include "proto/base/ids.h"
#include "proto/base/log.h"

namespace quorate::cluster {

// Who gives a group its machine and wants to know when it comes and goes.
struct GroupHooks {
    // Null: there is no such group in this cluster. Thread: any.
    std::function<StateMachine*(GroupId)> machine;
    // It is open; null: it is about to go. Thread: its worker.
    std::function<void(GroupId, Group*)> here;
};

class CopyKeeper {
  public:
    struct Context {
        GroupHost& host;
        MetaAsker& asker;
        GroupHooks hooks;
        GroupOptions base;  // of a group, but for who takes part in it
        NodeId self;
        std::function<void()> changed;  // something ended: step again. Thread: any
    };

    CopyKeeper(Context context, const Log& log) : context_(std::move(context)), log_(log) {}

    // Requires: `meta` has caught up with the group since this node started.
    void step(const MetaState& meta, bool founded);

  private:
    [[nodiscard]] std::vector<DiskReplica> on_disk(const MetaState& meta);
    [[nodiscard]] bool begin(GroupId group);
    void end(GroupId group);
    void carry_out(const MetaState& meta, const CreateReplica& create);
    void carry_out(const MetaState& meta, const DeleteReplica& remove);
    void carry_out(const MetaState& meta, const RejoinReplica& rejoin);
    void carry_out(const MetaState& meta, const AskReplacement& ask);

    const Context context_;
    const Log log_;
    // Of copies whose record is damaged: the name they are taken to have.
    std::map<GroupId, ReplicaId> assumed_;

    std::mutex mutex_;
    std::set<GroupId> busy_;  // guarded by mutex_
};

}  // namespace quorate::cluster
