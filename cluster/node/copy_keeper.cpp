#include "cluster/node/copy_keeper.h"

#include <utility>
#include <variant>

#include "cluster/meta/replica_id.h"
#include "cluster/node/admission.h"

namespace quorate::cluster {
namespace {

constexpr std::chrono::seconds kAskFor{5};

GroupId group_of_step(const KeeperStep& step) {
    return std::visit([](const auto& each) { return each.group; }, step);
}

}  // namespace

void CopyKeeper::step(const MetaState& meta, bool founded) {
    const std::vector<DiskReplica> replicas = on_disk(meta);
    for (const KeeperStep& each : keep(meta, KeptDisk{context_.self, founded, replicas})) {
        if (!begin(group_of_step(each))) continue;
        std::visit([&](const auto& what) { carry_out(meta, what); }, each);
    }
}

std::vector<DiskReplica> CopyKeeper::on_disk(const MetaState& meta) {
    std::vector<DiskReplica> out;
    for (const GroupReport& report : context_.host.reports()) {
        ReplicaId replica = report.replica;
        if (replica.value() == 0) {
            // No record tells whose promises were lost: those of whom `meta` wanted here when this
            // process saw it first. A later name can have promised nothing.
            const MetaGroup* group = meta.group(report.id);
            const ReplicaId wanted = group != nullptr ? group->target_on(context_.self) : replica;
            replica = assumed_.try_emplace(report.id, wanted).first->second;
        }
        out.push_back(
            {report.id, replica, report.health == GroupHealth::Sound, report.configuration_index});
    }
    return out;
}

bool CopyKeeper::begin(GroupId group) {
    const std::lock_guard lock(mutex_);
    return busy_.insert(group).second;
}

void CopyKeeper::end(GroupId group) {
    {
        const std::lock_guard lock(mutex_);
        busy_.erase(group);
    }
    context_.changed();
}

void CopyKeeper::carry_out(const MetaState& meta, const CreateReplica& create) {
    StateMachine* machine = context_.hooks.machine(create.group);
    const MetaGroup* group = meta.group(create.group);
    if (machine == nullptr || group == nullptr) {
        log_.error("meta names a group that this node cannot have",
                   {{"group", create.group.value()}});
        return;
    }
    GroupOptions options = context_.base;
    options.id = create.group;
    options.self = create.replica;
    options.configuration =
        create.founding ? create.configuration : newcomers_configuration(*group, create.replica);
    log_.info("makes a copy", {{"group", create.group.value()},
                               {"replica", number_of(create.replica)},
                               {"founding", create.founding}});
    context_.host.create(options, *machine, [this, id = create.group](Result<Group*> made) {
        if (made.ok()) {
            context_.hooks.here(id, *made);
        } else {
            log_.error("a copy could not be made",
                       {{"group", id.value()}, {"error", made.error().message}});
        }
        end(id);
    });
}

void CopyKeeper::carry_out(const MetaState& /*meta*/, const DeleteReplica& remove) {
    log_.info("removes a copy",
              {{"group", remove.group.value()}, {"replica", number_of(remove.replica)}});
    context_.host.worker_of(remove.group).post_reserved([this, id = remove.group] {
        context_.hooks.here(id, nullptr);
    });
    context_.host.remove(remove.group, [this, id = remove.group](const Status& removed) {
        if (!removed.ok()) {
            log_.error("a copy could not be removed",
                       {{"group", id.value()}, {"error", removed.error().message}});
        }
        end(id);
    });
}

void CopyKeeper::carry_out(const MetaState& meta, const RejoinReplica& rejoin) {
    log_.warn("a copy that lost what it had promised begins anew",
              {{"group", rejoin.group.value()}, {"replica", number_of(rejoin.as)}});
    const raft::Configuration configuration =
        newcomers_configuration(*meta.group(rejoin.group), rejoin.as);
    context_.host.worker_of(rejoin.group).post_reserved([this, rejoin, configuration] {
        Group* group = context_.host.group(rejoin.group);
        const Status done = group == nullptr ? Status(Error{ErrorCode::NotFound, "it is gone"})
                                             : group->rejoin(rejoin.as, configuration);
        if (!done.ok()) {
            log_.error("a copy could not begin anew",
                       {{"group", rejoin.group.value()}, {"error", done.error().message}});
        }
        end(rejoin.group);
    });
}

void CopyKeeper::carry_out(const MetaState& /*meta*/, const AskReplacement& ask) {
    log_.warn("asks for another name for a copy that lost what it had promised",
              {{"group", ask.group.value()}, {"replica", number_of(ask.replica)}});
    context_.asker.ask(ReplaceReplica{ask.group, ask.replica}, kAskFor,
                       [this, id = ask.group](const Result<MetaAnswer>& /*answer*/) { end(id); });
}

}  // namespace quorate::cluster
