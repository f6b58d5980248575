#include "cluster/shard/wildcard_state.h"

#include "cluster/topics/route_records.h"
#include "proto/base/hash.h"
#include "proto/mqtt/topic.h"
#include "storage/state_store.h"

namespace quorate::cluster {

Status WildcardState::load(const storage::StateStore& store) {
    producers_ = Producers();
    routes_ = RouteTable();
    const Status producers = producers_.load(store);
    return producers.ok() ? load_routes(store, routes_) : producers;
}

Status WildcardState::apply(std::string_view command, storage::StateBatch& batch,
                            Actions& actions) {
    const Result<Command> decoded = decode_command(command);
    if (!decoded.ok()) return decoded.error();
    Answer answer;
    answer.lane = decoded->header.lane;
    answer.number = decoded->header.number;
    answer.token = decoded->header.token;
    switch (producers_.check(decoded->header)) {
        case LaneVerdict::Duplicate:
            answer.code = AnswerCode::Duplicate;
            break;
        case LaneVerdict::Gap:
            answer.code = AnswerCode::Gap;
            answer.expected = producers_.expected(decoded->header.lane);
            break;
        case LaneVerdict::Fenced:
            answer.code = AnswerCode::Fenced;
            break;
        case LaneVerdict::StaleSource:
            answer.code = AnswerCode::StaleSource;
            break;
        case LaneVerdict::Apply:
            if (const auto* change = std::get_if<Route>(&decoded->body)) {
                answer.code = route(*change, batch, actions);
            } else if (const auto* down = std::get_if<NodeDown>(&decoded->body)) {
                node_down(down->incarnation, batch, actions);
            } else if (const auto* empty = std::get_if<Void>(&decoded->body)) {
                if (empty->refused) answer.code = AnswerCode::LimitExceeded;
            } else if (!std::holds_alternative<Tick>(decoded->body)) {
                answer.code = AnswerCode::Malformed;
            }
            break;
    }
    if (std::holds_alternative<Route>(decoded->body)) answer.result = RouteResult{};
    actions.answers.push_back(std::move(answer));
    return {};
}

AnswerCode WildcardState::route(const Route& body, storage::StateBatch& batch, Actions& actions) {
    const DestinationKind kind = body.destination.kind;
    const bool member = kind == DestinationKind::Session || kind == DestinationKind::Connection;
    const auto parsed = mqtt::parse_filter(body.filter);
    if (!parsed || parsed->shared() || member || body.serial.value() == 0) {
        return AnswerCode::Malformed;
    }
    if (kind == DestinationKind::Node && producers_.down(body.destination.node)) {
        return AnswerCode::Fenced;
    }
    const RouteChange change{body.filter, body.destination, body.best_qos, body.remove,
                             body.serial};
    if (!routes_.change(change)) return AnswerCode::Applied;
    actions.topics_changed = true;
    if (body.remove) {
        remove_route(batch, body.filter, body.destination);
    } else {
        put_route(batch, body.filter, {body.destination, body.best_qos, body.serial});
    }
    return AnswerCode::Applied;
}

void WildcardState::node_down(Incarnation incarnation, storage::StateBatch& batch,
                              Actions& actions) {
    producers_.node_down(incarnation, batch);
    uint32_t budget = step_limit_;
    for (const Incarnation node : routes_.nodes()) {
        if (node_of(node) != node_of(incarnation) || node > incarnation) continue;
        const bool more = routes_.remove_node(
            node, budget, [&](std::string_view filter, const RouteEntry& route) {
                remove_route(batch, filter, route.destination);
                --budget;
                actions.topics_changed = true;
            });
        if (!more) continue;
        actions.work_left = true;
        return;
    }
}

uint64_t WildcardState::digest() const {
    std::string bytes;
    RecordWriter out(bytes);
    out.u64(producers_.digest());
    routes_.for_each([&out](std::string_view filter, const RouteEntry& route) {
        out.text(filter);
        route.destination.write(out);
        out.u8(static_cast<uint8_t>(route.best_qos));
        out.id(route.serial);
    });
    return hash64(bytes);
}

}  // namespace quorate::cluster
