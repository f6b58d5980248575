#include "cluster/shard/command.h"

#include "proto/base/environment.h"
#include "tests/unit/catch.h"
#include "tests/unit/shard/harness.h"

namespace quorate::cluster::testing {
namespace {

CommandHeader header() {
    CommandHeader header;
    header.lane = {make_incarnation(NodeId(3), 4), 5, LaneClass::Publish};
    header.number = CommandNumber(6);
    header.token = 7;
    header.fence = SourceFence{ShardId(8), Term(9)};
    return header;
}

std::vector<CommandBody> examples() {
    const ConnectionRef connection{make_incarnation(NodeId(1), 2), LoopId(3), 4, 5};
    OutboxSource source;
    source.stream = {ShardId(1), Generation(2), {OutboxTargetKind::Group, ShardId(3), {}}};
    source.number = OutboxNumber(5);
    source.high = OutboxNumber(4);
    source.unfinished = {OutboxNumber(2), OutboxNumber(3)};
    OutboxSource publisher;
    publisher.stream.target = {OutboxTargetKind::Publisher, ShardId(3),
                               make_incarnation(NodeId(4), 5), LoopId(6)};
    publisher.number = OutboxNumber(7);
    Attach attach;
    attach.client_id = "c";
    attach.identity = "i";
    attach.will = WillRequest{"message", 5};
    attach.connection = connection;
    Subscribe subscribe{SessionId(1), Epoch(2), {{"a/b", mqtt::QoS::ExactlyOnce, true, true}}, 7};
    Detached detached;
    detached.new_expiry_s = 9;
    return {attach,
            detached,
            subscribe,
            Unsubscribe{SessionId(1), Epoch(2), {"a", "b"}},
            Enqueue{"message", source, Restriction{{SessionId(1)}, "f"}},
            EnqueueGroup{"g/f", "message", publisher},
            Ack{SessionId(1), Epoch(2), {{MessageNumber(3), AckKind::Pubcomp}}},
            OutboxPut{SessionId(1), Epoch(2), PacketId(3), "message"},
            Release{SessionId(1), Epoch(2), PacketId(3)},
            Retain{"message", {make_incarnation(NodeId(1), 1), LoopId(2)}, 3},
            OutboxDone{{OutboxTargetKind::Topic, ShardId(1), {}}, {OutboxNumber(4)}},
            Route{"f", Destination::to_group(ShardId(1), "g/f"), mqtt::QoS::AtLeastOnce, true,
                  RouteSerial(4)},
            Made{{{"f", SessionId(1), RouteSerial(2)}}},
            NodeDown{make_incarnation(NodeId(1), 1)},
            Tick{},
            Void{true},
            EndSession{"c"},
            GroupPick{"g/f", MessageNumber(1), Destination::to_connection(connection)},
            OutboxReturn{{OutboxTargetKind::Node, ShardId(), connection.incarnation},
                         {OutboxNumber(4), OutboxNumber(6)}},
            Replay{SessionId(1),
                   "f",
                   {Epoch(2), CommandNumber(3)},
                   {ShardId(1), "a"},
                   {"one", "two"},
                   Replay::Position{ShardId(4), "t"}}};
}

TEST_CASE("A replay's last page names no next one") {
    std::string bytes;
    const Replay last{SessionId(1), "f", {Epoch(2), CommandNumber(3)}, {}, {}, {}};
    encode_command(bytes, header(), last);
    const auto read = decode_command(bytes);
    REQUIRE(read.ok());
    const auto& replay = std::get<Replay>(read->body);
    CHECK(replay.id == last.id);
    CHECK(replay.messages.empty());
    CHECK_FALSE(replay.next);
}

TEST_CASE("Every command is read as it was written") {
    const auto all = examples();
    REQUIRE(all.size() == std::variant_size_v<CommandBody>);
    for (const CommandBody& body : all) {
        INFO(command_name(body));
        std::string bytes;
        encode_command(bytes, header(), body);
        const auto decoded = decode_command(bytes);
        REQUIRE(decoded.ok());
        CHECK(decoded->body.index() == body.index());
        CHECK(decoded->header.lane == header().lane);
        CHECK(decoded->header.fence == header().fence);
        std::string again;
        encode_command(again, decoded->header, decoded->body);
        CHECK(again == bytes);
    }
}

TEST_CASE("Cut or lengthened bytes are no command") {
    for (const CommandBody& body : examples()) {
        INFO(command_name(body));
        std::string bytes;
        encode_command(bytes, header(), body);
        for (std::size_t size = 0; size < bytes.size(); ++size) {
            CHECK_FALSE(decode_command(std::string_view(bytes).substr(0, size)).ok());
        }
        CHECK_FALSE(decode_command(bytes + "x").ok());
    }
}

TEST_CASE("A numbered lane needs a number and the leader's has none") {
    CommandHeader bad = header();
    bad.number = CommandNumber();
    std::string bytes;
    encode_command(bytes, bad, Tick{});
    CHECK_FALSE(decode_command(bytes).ok());
    bytes.clear();
    bad = header();
    bad.lane.lane_class = LaneClass::Leader;
    encode_command(bytes, bad, Tick{});
    CHECK_FALSE(decode_command(bytes).ok());
}

TEST_CASE("Bytes that are no command change nothing; damaged commands break nothing") {
    Harness harness;
    const uint64_t before = harness.state().digest();
    storage::StateBatch batch;
    CHECK_FALSE(harness.state().apply(harness.now, "nonsense", batch, harness.actions).ok());
    CHECK(harness.state().digest() == before);
    CHECK(batch.empty());

    Random random(7);
    for (int round = 0; round < 4'000; ++round) {
        const auto all = examples();
        std::string bytes;
        CommandHeader damaged = header();
        damaged.lane.lane_class = LaneClass::Leader;
        damaged.number = CommandNumber();
        encode_command(bytes, damaged, all[random.below(all.size())]);
        for (uint64_t i = random.below(4); i > 0; --i) {
            bytes[random.below(bytes.size())] = static_cast<char>(random.next());
        }
        if (decode_command(bytes).ok()) harness.apply_bytes(bytes, round % 100 == 0);
    }
}

}  // namespace
}  // namespace quorate::cluster::testing
