#include "cluster/router/remote/parcel_codec.h"

#include "proto/base/environment.h"
#include "tests/unit/catch.h"

namespace quorate::cluster {
namespace {

const ConnectionRef kConnection{make_incarnation(NodeId(1), 2), LoopId(3), 4, 5};

mqtt::Message message(const std::string& topic) {
    mqtt::Message out;
    out.topic = topic;
    out.payload = "payload";
    out.qos = mqtt::QoS::AtLeastOnce;
    return out;
}

SharedBytes flat(const std::string& topic) {
    const mqtt::Message held = message(topic);
    std::string bytes;
    mqtt::encode_message(bytes, held.view());
    return SharedBytes(as_bytes(bytes));
}

OutboxSource source() {
    OutboxSource out;
    out.stream = {ShardId(1), Generation(2), {OutboxTargetKind::Group, ShardId(3), {}}};
    out.number = OutboxNumber(5);
    out.high = OutboxNumber(4);
    out.unfinished = {OutboxNumber(2)};
    return out;
}

GroupAnswer answer() {
    GroupAnswer out;
    out.group = GroupId(17);
    out.answer.lane = {make_incarnation(NodeId(3), 4), 5, LaneClass::Publish};
    out.answer.number = CommandNumber(6);
    out.answer.result = RetainResult{mqtt::ReasonCode::QuotaExceeded};
    return out;
}

WorkerParcel worker_parcel() {
    WorkerParcel out;
    const std::size_t at = out.commands.begin(GroupId(16));
    out.commands.bytes += "command";
    out.commands.end(at);
    out.owned.add(7, WorkerParcel::kSkipLoops, message("a").view());
    out.owned.add(0, 0, message("b").view());
    out.live.add(3, 0, message("c").view());
    out.group_batch.add({ShardId(4), "g/f"}, 8, message("d").view());
    GroupPublish publish;
    publish.group = {ShardId(4), "g/f"};
    publish.ticket = 9;
    publish.message = flat("e");
    out.groups.push_back(publish);
    publish.source = source();
    publish.to_outbox = true;
    out.groups.insert(out.groups.begin(), publish);
    out.wants.push_back({ShardId(1), SessionId(2), Epoch(3), MessageNumber(4), 5, 6, 7});
    out.shared_acks.push_back({ShardId(1), 2, SharedAck::Kind::Room, kConnection});
    out.presence.push_back(
        {ShardId(1), "g/f", Destination::to_session(ShardId(2), SessionId(3)), true});
    RetainedQuery query;
    query.token = 2;
    query.filter = "a/#";
    query.at = {ShardId(3), "a/b"};
    query.room = 4;
    out.retained.push_back(query);
    query.durable = RetainedQuery::Durable{
        ShardId(5),          SessionId(6), "a/#", {Epoch(7), CommandNumber(8)},
        {ShardId(3), "a/b"}, ShardId(9)};
    out.retained.push_back(query);
    out.hand_overs.push_back({source(), "g/f", flat("h")});
    out.done.push_back({ShardId(1), source().stream.target, OutboxNumber(2)});
    out.taken.taken.push_back({1, 2, mqtt::ReasonCode::NoMatchingSubscribers});
    out.answers.push_back(answer());
    return out;
}

LoopParcel loop_parcel() {
    LoopParcel out;
    RetainedPage page;
    page.token = 1;
    page.worker = WorkerId(2);
    page.next = RetainedCursor{ShardId(3), "t"};
    page.messages = {flat("a"), flat("b")};
    page.full = true;
    out.retained.push_back(page);
    out.publishes.add(7, 0, message("c").view());
    const std::vector<uint32_t> ids = {1, 2};
    const mqtt::Message held = message("d");
    DeliveryView delivery;
    delivery.connection = kConnection;
    delivery.session = SessionId(1);
    delivery.epoch = Epoch(2);
    delivery.number = MessageNumber(3);
    delivery.dup = true;
    delivery.qos = mqtt::QoS::AtLeastOnce;
    delivery.message = held.view();
    delivery.subscription_ids = ids;
    out.deliveries.add(delivery);
    out.shared.push_back({kConnection, 1, ShardId(2), mqtt::QoS::ExactlyOnce, 3, flat("e")});
    out.let_go.push_back({ShardId(1), {kConnection, SessionId(2), Epoch(3)}});
    out.taken.taken.push_back({1, 0, mqtt::ReasonCode::Success});
    out.answers.push_back(answer());
    return out;
}

TEST_CASE("A parcel for a worker is read as it was written", "[remote]") {
    std::string bytes;
    encode_parcel(bytes, worker_parcel());
    const auto read = decode_worker_parcel(bytes);
    REQUIRE(read.ok());
    const WorkerParcel& parcel = **read;
    CHECK(parcel.owned.count == 2);
    CHECK(parcel.groups.at(0).to_outbox);
    CHECK(parcel.groups.at(0).source->unfinished == source().unfinished);
    CHECK_FALSE(parcel.groups.at(1).source);
    CHECK(parcel.retained.at(1).durable->then == ShardId(9));
    CHECK(parcel.wants.at(0).room == 7);
    CHECK(parcel.shared_acks.at(0).connection == kConnection);
    CHECK(parcel.hand_overs.at(0).group == "g/f");
    CHECK(parcel.answers.at(0).answer.number == CommandNumber(6));
    std::string again;
    encode_parcel(again, parcel);
    CHECK(again == bytes);
}

TEST_CASE("A parcel for a loop is read as it was written", "[remote]") {
    std::string bytes;
    encode_parcel(bytes, loop_parcel());
    const auto read = decode_loop_parcel(bytes);
    REQUIRE(read.ok());
    const LoopParcel& parcel = **read;
    CHECK(parcel.retained.at(0).messages.size() == 2);
    CHECK(parcel.retained.at(0).next->after == "t");
    CHECK(parcel.shared.at(0).qos == mqtt::QoS::ExactlyOnce);
    CHECK(parcel.let_go.at(0).let_go.epoch == Epoch(3));
    parcel.deliveries.for_each([](const DeliveryView& delivery) {
        CHECK(delivery.number == MessageNumber(3));
        CHECK(delivery.message.topic == "d");
        CHECK(delivery.subscription_ids.size() == 2);
    });
    std::string again;
    encode_parcel(again, parcel);
    CHECK(again == bytes);
}

TEST_CASE("A parcel with nothing in it takes five bytes", "[remote]") {
    std::string bytes;
    encode_parcel(bytes, LoopParcel{});
    CHECK(bytes.size() == 5);
    CHECK(decode_loop_parcel(bytes).ok());
}

TEST_CASE("Cut or lengthened bytes are no parcel", "[remote]") {
    std::string worker;
    encode_parcel(worker, worker_parcel());
    std::string loop;
    encode_parcel(loop, loop_parcel());
    for (std::size_t size = 0; size < worker.size(); ++size)
        CHECK_FALSE(decode_worker_parcel(std::string_view(worker).substr(0, size)).ok());
    for (std::size_t size = 0; size < loop.size(); ++size)
        CHECK_FALSE(decode_loop_parcel(std::string_view(loop).substr(0, size)).ok());
    CHECK_FALSE(decode_worker_parcel(worker + "x").ok());
    CHECK_FALSE(decode_loop_parcel(loop + "x").ok());
    // Sections of a later version.
    worker[4] = '\x80';
    CHECK_FALSE(decode_worker_parcel(worker).ok());
}

TEST_CASE("Damaged bytes are refused, or make a parcel that can be read", "[remote]") {
    std::string worker;
    encode_parcel(worker, worker_parcel());
    std::string loop;
    encode_parcel(loop, loop_parcel());
    Random random(7);
    for (int round = 0; round < 20'000; ++round) {
        const bool to_loop = round % 2 == 0;
        std::string bytes = to_loop ? loop : worker;
        for (uint64_t i = 1 + random.below(3); i > 0; --i)
            bytes[random.below(bytes.size())] = static_cast<char>(random.below(256));
        if (to_loop) {
            const auto read = decode_loop_parcel(bytes);
            if (!read.ok()) continue;
            (*read)->deliveries.for_each([](const DeliveryView&) {});
            (*read)->publishes.for_each([](Ticket, uint8_t, const mqtt::MessageView&) {});
        } else {
            const auto read = decode_worker_parcel(bytes);
            if (!read.ok()) continue;
            (*read)->owned.for_each([](Ticket, uint8_t, const mqtt::MessageView&) {});
            (*read)->group_batch.for_each(
                [](ShardId, std::string_view, Ticket, std::string_view) {});
            (*read)->commands.for_each([](GroupId, std::string_view) {});
        }
    }
}

}  // namespace
}  // namespace quorate::cluster
