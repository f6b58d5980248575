#include "cluster/topics/route_table.h"

#include <algorithm>

#include "cluster/mutants.h"

namespace quorate::cluster {

bool RouteTable::change(const RouteChange& change) {
    Routes* routes = tree_.find(change.filter);
    if (routes == nullptr && change.remove) return false;
    if (routes == nullptr) routes = &tree_.get_or_insert(change.filter);
    auto& entries = routes->entries;
    auto at = std::ranges::lower_bound(entries, change.destination, {}, &RouteEntry::destination);
    const bool found = at != entries.end() && at->destination == change.destination;
    const bool older = found && change.serial <= at->serial;
    if (older && !mutated(RuleMutant::OlderRouteApplied)) return false;
    const bool node = change.destination.kind == DestinationKind::Node;
    if (change.remove) {
        if (!found) return false;
        entries.erase(at);
        --size_;
        if (node) by_node_[change.destination.node].erase(std::string(change.filter));
        if (node && by_node_[change.destination.node].empty()) {
            by_node_.erase(change.destination.node);
        }
        if (entries.empty()) tree_.erase(change.filter);
        return true;
    }
    if (found) {
        at->best_qos = change.best_qos;
        at->serial = change.serial;
        return true;
    }
    entries.insert(at, RouteEntry{change.destination, change.best_qos, change.serial});
    if (node) by_node_[change.destination.node].emplace(change.filter);
    ++size_;
    return true;
}

bool RouteTable::remove_node(
    Incarnation node, uint32_t max,
    const std::function<void(std::string_view filter, const RouteEntry&)>& removed) {
    const Destination destination = Destination::to_node(node);
    while (true) {
        const auto found = by_node_.find(node);
        if (found == by_node_.end()) return false;
        if (max-- == 0) return true;
        const std::string filter = *found->second.begin();
        for (const RouteEntry& entry : routes_of(filter)) {
            if (entry.destination != destination) continue;
            removed(filter, entry);
            change({filter, destination, entry.best_qos, true, entry.serial.next()});
        }
    }
}

std::vector<Incarnation> RouteTable::nodes() const {
    std::vector<Incarnation> out;
    for (const auto& [node, filters] : by_node_)
        out.push_back(node);
    return out;
}

void RouteTable::for_each(
    const std::function<void(std::string_view filter, const RouteEntry&)>& visit) const {
    std::vector<std::string> filters;
    filters.reserve(tree_.size());
    tree_.for_each(
        [&filters](std::string_view filter, const Routes&) { filters.emplace_back(filter); });
    std::ranges::sort(filters);
    for (const std::string& filter : filters) {
        for (const RouteEntry& entry : tree_.find(filter)->entries)
            visit(filter, entry);
    }
}

std::vector<RouteEntry> RouteTable::routes_of(std::string_view filter) const {
    const Routes* routes = tree_.find(filter);
    return routes == nullptr ? std::vector<RouteEntry>{} : routes->entries;
}

}  // namespace quorate::cluster
