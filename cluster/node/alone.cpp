#include "cluster/node/alone.h"

#include <future>
#include <string>

#include "cluster/control/placement.h"
#include "cluster/group/group_ids.h"

namespace quorate::cluster {
namespace {

Error refused(const MetaAnswer& answer) {
    return Error{
        ErrorCode::Unavailable,
        std::string("the meta group refused to start this node: ") + to_string(answer.code)};
}

}  // namespace

Result<Incarnation> start_alone(GroupHost& host, MetaRunner& meta, MetaAsker& asker,
                                const DiskName& name, std::chrono::milliseconds limit) {
    std::promise<void> begun;
    Worker& worker = host.worker_of(kMetaGroup);
    worker.post_reserved([&] {
        meta.set_answered([&asker](const MetaAnswer& answer) { asker.answered(answer); });
        if (Group* group = host.group(kMetaGroup)) meta.begin(worker, *group, false);
        begun.set_value();
    });
    begun.get_future().wait();

    FormCluster form{name.cluster_id != 0 ? name.cluster_id : 1,
                     name.layout,
                     1,
                     {{"node-1", ""}},
                     founding_groups(1, 1, name.layout.shards)};
    // Refused with Exists when the disk holds a cluster: it keeps its id.
    const auto formed = asker.ask_and_wait(new_token(), form, limit);
    if (!formed.ok()) return formed.error();
    const MetaView view = meta.view();
    if (view.state->nodes().empty()) return refused(*formed);
    const StartNode start{view.state->nodes().begin()->first, ""};
    const auto started = asker.ask_and_wait(new_token(), start, limit);
    if (!started.ok()) return started.error();
    if (started->code != MetaCode::Applied) return refused(*started);
    return started->incarnation;
}

}  // namespace quorate::cluster
