#include "cluster/control/liveness.h"

namespace quorate::cluster {

std::vector<IncarnationDown> incarnations_down(const MetaState& meta,
                                               std::span<const TableGranter::Report> reports) {
    std::vector<IncarnationDown> out;
    for (const TableGranter::Report& report : reports) {
        const MetaNode* node = meta.node(report.node);
        if (!report.silent || node == nullptr || !node->up()) continue;
        // What the granter heard is older than the node's last start at worst: 0 for never heard.
        if (report.incarnation <= node->running) out.push_back({node->running});
    }
    return out;
}

const char* to_string(NodeStanding standing) {
    switch (standing) {
        case NodeStanding::Serving:
            return "serving";
        case NodeStanding::Suspended:
            return "suspended";
        case NodeStanding::Minority:
            return "minority";
        case NodeStanding::Fenced:
            return "fenced";
    }
    return "unknown";
}

NodeStanding NodeView::at(Time now, const TableView& meta, const TableView& wildcards) const {
    if (meta.fenced || wildcards.fenced) return NodeStanding::Fenced;
    if (!last_contact_ || *last_contact_ + silence_max_ <= now) return NodeStanding::Minority;
    const bool lags = meta.suspended || wildcards.suspended;
    if (lags || !meta.valid || !wildcards.valid) return NodeStanding::Suspended;
    return NodeStanding::Serving;
}

}  // namespace quorate::cluster
