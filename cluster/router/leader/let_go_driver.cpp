#include "cluster/router/leader/let_go_driver.h"

namespace quorate::cluster {

void LetGoDriver::ask(const LetGo& request) {
    // Connections of incarnations that ended are ended by NodeDown.
    if (!router_.reachable(request.connection.incarnation)) return;
    asked_[request.session] = request;
    send(request);
}

void LetGoDriver::repeat(const ShardState& state) {
    for (auto at = asked_.begin(); at != asked_.end();) {
        const auto session = state.session(at->first);
        if (!session || !session->connection || session->epoch != at->second.epoch ||
            !session->must_let_go) {
            at = asked_.erase(at);
            continue;
        }
        send(at->second);
        ++at;
    }
}

void LetGoDriver::send(const LetGo& request) {
    router_.outbound().at(request.connection).let_go.push_back({shard_, request});
}

}  // namespace quorate::cluster
