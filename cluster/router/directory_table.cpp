#include "cluster/router/directory_table.h"

#include <algorithm>

#include "proto/base/assert.h"

namespace quorate::cluster {

void Destinations::clear() {
    loops = 0;
    shards.clear();
    groups.clear();
    nodes.clear();
}

void DirectoryTable::apply(const DirectoryOp& op) {
    Entry& entry = tree_.get_or_insert(op.filter);
    switch (op.kind) {
        case DirectoryOp::Kind::AddLoop:
            ASSERT(op.loop.value() < kLoopsMax, "a loop mask has 64 bits");
            entry.loops |= uint64_t{1} << op.loop.value();
            break;
        case DirectoryOp::Kind::RemoveLoop:
            entry.loops &= ~(uint64_t{1} << op.loop.value());
            break;
        case DirectoryOp::Kind::SetRoutes:
            if (op.shards.empty() && op.groups.empty() && op.nodes.empty()) {
                entry.replicated.reset();
            } else {
                entry.replicated =
                    std::make_unique<Replicated>(Replicated{op.shards, op.groups, op.nodes});
            }
            break;
    }
    if (entry.empty()) tree_.erase(op.filter);
}

void DirectoryTable::add(const Entry& entry, Destinations& out) {
    out.loops |= entry.loops;
    if (entry.replicated == nullptr) return;
    for (const ShardRoute& route : entry.replicated->shards) {
        const auto same = std::ranges::find(out.shards, route.shard, &ShardRoute::shard);
        if (same == out.shards.end()) {
            out.shards.push_back(route);
        } else {
            same->best_qos = std::max(same->best_qos, route.best_qos);
        }
    }
    for (const GroupRoute& route : entry.replicated->groups) {
        if (std::ranges::find(out.groups, route) == out.groups.end()) out.groups.push_back(route);
    }
    for (const Incarnation node : entry.replicated->nodes) {
        if (std::ranges::find(out.nodes, node) == out.nodes.end()) out.nodes.push_back(node);
    }
}

bool DirectoryTable::match(std::string_view topic, Destinations& out, uint32_t steps_max) const {
    return tree_.match(
        topic, [&out](const Entry& entry) { add(entry, out); }, steps_max);
}

}  // namespace quorate::cluster
