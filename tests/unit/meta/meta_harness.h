// A MetaState over a store in memory, and short words for its commands.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cluster/group/group_ids.h"
#include "cluster/meta/meta_state.h"
#include "cluster/meta/replica_id.h"
#include "storage/memory_stores.h"
#include "storage/state_store.h"
#include "tests/unit/catch.h"

namespace quorate::cluster::test {

struct Meta {
    MetaState state;
    storage::MemoryStateStore store;
    uint64_t token = 0;

    MetaAnswer ask(const MetaCommandBody& body) { return ask(body, ++token); }
    MetaAnswer ask(const MetaCommandBody& body, uint64_t as_token) {
        std::string command;
        encode_meta_command(command, as_token, body);
        storage::StateBatch batch;
        const auto answer = state.apply(command, batch);
        REQUIRE(answer.ok());
        REQUIRE(store.write(batch).ok());
        return *answer;
    }
    MetaCode code(const MetaCommandBody& body) { return ask(body).code; }
};

// Nodes named "n1" to "nN"; every group on the first nodes, as many as there is replication.
inline FormCluster form_of(const std::vector<std::string>& names, uint32_t replication,
                           uint32_t shards, uint64_t cluster_id = 77) {
    FormCluster form{cluster_id, ShardLayout{shards, 0}, replication, {}, {}};
    for (const std::string& name : names)
        form.nodes.push_back({name, name});
    std::vector<GroupId> groups{kMetaGroup, kWildcardsGroup};
    for (uint32_t shard = 0; shard < shards; ++shard)
        groups.push_back(group_of(ShardId(shard)));
    for (const GroupId group : groups) {
        FoundingGroup founding{group, {}, {}};
        for (uint32_t node = 1; node <= names.size(); ++node) {
            if (node <= replication) founding.voters.emplace_back(node);
            if (node > replication && !shard_of_group(group)) founding.learners.emplace_back(node);
        }
        form.groups.push_back(std::move(founding));
    }
    return form;
}

}  // namespace quorate::cluster::test
