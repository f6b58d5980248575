#include "tests/unit/app/fake_port.h"

#include <fmt/format.h>

#include "tests/unit/catch.h"

namespace quorate::broker::test {

cluster::CommandBody FakePort::Sent::body() const {
    auto command = cluster::decode_command(bytes);
    REQUIRE(command.ok());
    return std::move(command).value().body;
}

void FakePort::apply(cluster::DirectoryOp op) {
    table.apply(op);
    ++version;
}

void FakePort::route(std::string filter, std::vector<cluster::ShardRoute> shards) {
    cluster::DirectoryOp op;
    op.kind = cluster::DirectoryOp::Kind::SetRoutes;
    op.filter = std::move(filter);
    op.shards = std::move(shards);
    apply(std::move(op));
}

void FakePort::group(std::string filter, const std::string& group) {
    cluster::DirectoryOp op;
    op.kind = cluster::DirectoryOp::Kind::SetRoutes;
    op.filter = std::move(filter);
    op.groups.push_back({ShardId(0), group});
    apply(std::move(op));
}

void FakePort::loop_subscribes(std::string filter, uint16_t loop) {
    cluster::DirectoryOp op;
    op.filter = std::move(filter);
    op.loop = LoopId(loop);
    apply(std::move(op));
}

bool FakePort::command(ShardId shard, uint64_t token, const cluster::CommandBody& body) {
    if (full_lanes.contains(shard)) return false;
    cluster::CommandHeader header;
    header.lane = {incarnation(), 0, cluster::LaneClass::Control};
    header.number = CommandNumber(commands.size() + 1);
    header.token = token;
    std::string bytes;
    cluster::encode_command(bytes, header, body);
    commands.push_back({shard, token, std::move(bytes)});
    return true;
}

void FakePort::keep(std::string to, cluster::Ticket ticket, const mqtt::MessageView& message) {
    publishes.push_back(
        {std::move(to), ticket, std::string(message.topic), std::string(message.payload)});
}

bool FakePort::publish_to_owner(cluster::Ticket ticket, const mqtt::MessageView& message,
                                bool skip_loops) {
    if (owner_full) return false;
    keep(skip_loops ? "owner-rest" : "owner", ticket, message);
    return true;
}

void FakePort::publish_to_shard(ShardId shard, const mqtt::MessageView& message) {
    keep(fmt::format("shard {}", shard.value()), 0, message);
}

bool FakePort::publish_to_group(const cluster::GroupRoute& group, cluster::Ticket ticket,
                                const mqtt::MessageView& message) {
    if (full_groups.contains(group.group)) return false;
    keep("group " + group.group, ticket, message);
    return true;
}

void FakePort::publish_to_loop(LoopId loop, cluster::Ticket ticket,
                               const mqtt::MessageView& message) {
    keep(fmt::format("loop {}", loop.value()), ticket, message);
}

void FakePort::loop_route(std::string_view, bool, uint64_t token) {
    if (token == 0) return;
    routes_asked.push_back(token);
    if (hold_routes) return;
    arrive([token](cluster::LoopSink& sink) { sink.on_shown(token); });
}

bool FakePort::match(std::string_view topic, cluster::Destinations& out) {
    ++matches;
    return table.match(topic, out) && !cut_off;
}

void FakePort::receive() {
    std::vector<std::function<void(cluster::LoopSink&)>> events;
    events.swap(arriving_);
    for (const auto& event : events)
        event(*sink_);
}

}  // namespace quorate::broker::test
