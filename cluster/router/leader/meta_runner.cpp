#include "cluster/router/leader/meta_runner.h"

#include <future>
#include <string>
#include <utility>

#include "cluster/group/group_ids.h"
#include "proto/base/environment.h"

namespace quorate::cluster {
namespace {

constexpr std::chrono::milliseconds kAskAgain{20};

uint64_t new_token() {
    const uint64_t token = system_seed();
    return token != 0 ? token : 1;
}

// A cluster of one node, which leads every group.
FormCluster alone(uint64_t cluster_id, const ShardLayout& layout) {
    FormCluster form{cluster_id, layout, 1, {{"node-1", ""}}, {}};
    const auto add = [&form](GroupId group) { form.groups.push_back({group, {NodeId(1)}, {}}); };
    add(kMetaGroup);
    add(kWildcardsGroup);
    for (uint32_t shard = 0; shard < layout.shards; ++shard)
        add(group_of(ShardId(shard)));
    return form;
}

Error refused(const MetaAnswer& answer) {
    return Error{
        ErrorCode::Unavailable,
        std::string("the meta group refused to start this node: ") + to_string(answer.code)};
}

}  // namespace

Status MetaRunner::load(storage::StateStore& store, LogIndex, ClusterTime) {
    answers_.clear();
    return state_.load(store);
}

Status MetaRunner::apply(const CommandEntry& entry, storage::StateBatch& batch) {
    CommandReader reader = entry.commands;
    while (const auto command = reader.next()) {
        auto answer = state_.apply(*command, batch);
        if (!answer.ok()) return answer.error();
        answers_.push_back(*answer);
    }
    if (!reader.finished()) return Error{ErrorCode::Corrupt, "entry with damaged commands"};
    return {};
}

void MetaRunner::applied(LogIndex) {
    if (answers_.empty()) return;
    {
        const std::lock_guard lock(mutex_);
        for (const MetaAnswer& answer : answers_)
            told_[answer.token] = answer;
    }
    answers_.clear();
    answered_.notify_all();
}

void MetaRunner::on_leader(Term term) {
    log_.debug("leads", {{"term", term.value()}});
}

void MetaRunner::on_follower(Term) {}

Result<MetaAnswer> MetaRunner::ask(GroupHost& host, const MetaCommandBody& body,
                                   std::chrono::steady_clock::time_point deadline) {
    const uint64_t token = new_token();
    std::string command;
    encode_meta_command(command, token, body);
    const auto answered = [&] { return told_.contains(token); };
    while (std::chrono::steady_clock::now() < deadline) {
        host.worker_of(kMetaGroup).post_reserved([&host, command] {
            Group* group = host.group(kMetaGroup);
            // Refused while it is not led: the asker comes again.
            if (group != nullptr) group->propose(command).ignore_because("asked again");
        });
        std::unique_lock lock(mutex_);
        if (!answered_.wait_for(lock, kAskAgain, answered)) continue;
        const MetaAnswer answer = told_[token];
        told_.clear();
        return answer;
    }
    return Error{ErrorCode::Unavailable, "the meta group did not answer in time"};
}

std::pair<uint64_t, NodeId> MetaRunner::identity(GroupHost& host) {
    std::promise<std::pair<uint64_t, NodeId>> found;
    host.worker_of(kMetaGroup).post_reserved([this, &found] {
        const auto& nodes = state_.nodes();
        found.set_value({state_.cluster_id(), nodes.empty() ? NodeId() : nodes.begin()->first});
    });
    return found.get_future().get();
}

Result<Incarnation> MetaRunner::allot(GroupHost& host, uint64_t cluster_id,
                                      const ShardLayout& layout, std::chrono::milliseconds limit) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    // Refused with Exists when the disk holds a cluster: it keeps its id.
    auto formed = ask(host, alone(cluster_id != 0 ? cluster_id : 1, layout), deadline);
    if (!formed.ok()) return formed.error();
    const auto [cluster, node] = identity(host);
    if (cluster == 0) return refused(*formed);
    auto started = ask(host, StartNode{node, ""}, deadline);
    if (!started.ok()) return started.error();
    if (started->code != MetaCode::Applied) return refused(*started);
    return started->incarnation;
}

}  // namespace quorate::cluster
