#include "cluster/router/traffic.h"

#include "cluster/router/exchange.h"
#include "tests/unit/catch.h"

namespace quorate::cluster {
namespace {

std::vector<mqtt::Message> samples() {
    std::vector<mqtt::Message> out(3);
    out[0].topic = "a/b";
    out[0].payload = "payload";
    out[0].qos = mqtt::QoS::ExactlyOnce;
    out[0].retain = true;
    out[0].publisher = 77;
    out[0].message_expiry_s = 0xFFFFFFFF;
    out[1].topic = "empty";
    out[2].topic = std::string(65'535, 't');
    out[2].payload = std::string("\0binary\xFF", 8);
    out[2].forward = "properties";
    out[2].qos = mqtt::QoS::AtLeastOnce;
    return out;
}

TEST_CASE("A batch of publishes is read as it was filled", "[traffic]") {
    PublishBatch batch;
    const auto messages = samples();
    for (std::size_t i = 0; i < messages.size(); ++i)
        batch.add(i == 0 ? ~uint64_t{0} : i, static_cast<uint8_t>(255 - i), messages[i].view());
    CHECK(batch.count == 3);
    std::size_t at = 0;
    batch.for_each([&](Ticket ticket, uint8_t flags, const mqtt::MessageView& message) {
        CHECK(ticket == (at == 0 ? ~uint64_t{0} : at));
        CHECK(flags == 255 - at);
        CHECK(mqtt::Message(message) == messages[at]);
        ++at;
    });
    CHECK(at == 3);
}

TEST_CASE("A batch of deliveries keeps each one's own marks and identifiers", "[traffic]") {
    const auto messages = samples();
    const std::vector<uint32_t> ids = {1, 268'435'455};
    DeliveryView first;
    first.connection = {make_incarnation(NodeId(1), 2), LoopId(3), 4, 5};
    first.session = SessionId(~uint64_t{0});
    first.epoch = Epoch(6);
    first.number = MessageNumber(7);
    first.dup = true;
    first.qos = mqtt::QoS::AtLeastOnce;
    first.message = messages[0].view();
    first.subscription_ids = ids;
    DeliveryView second = first;
    second.dup = false;
    second.pubrec_known = true;
    second.retain = true;
    second.qos = mqtt::QoS::AtMostOnce;
    second.message = messages[2].view();
    second.subscription_ids = {};

    DeliveryBatch batch;
    batch.add(first);
    std::string flat;
    mqtt::encode_message(flat, messages[2].view());
    batch.add_flat(second, flat);
    batch.add(second);
    CHECK(batch.count == 3);
    std::size_t at = 0;
    batch.for_each([&](const DeliveryView& delivery) {
        const DeliveryView& expected = at == 0 ? first : second;
        CHECK(delivery.connection == first.connection);
        CHECK(delivery.session == first.session);
        CHECK(delivery.epoch == first.epoch);
        CHECK(delivery.number == first.number);
        CHECK(delivery.dup == expected.dup);
        CHECK(delivery.pubrec_known == expected.pubrec_known);
        CHECK(delivery.subscription_ids.size() == (at == 0 ? 2 : 0));
        CHECK(std::vector<uint32_t>(delivery.subscription_ids.begin(),
                                    delivery.subscription_ids.end()) ==
              (at == 0 ? ids : std::vector<uint32_t>()));
        CHECK(delivery.message.payload == expected.message.payload);
        CHECK(delivery.message.forward == expected.message.forward);
        CHECK(delivery.message.message_expiry_s == expected.message.message_expiry_s);
        // How it was published does not matter any more.
        CHECK(delivery.message.qos == expected.qos);
        CHECK(delivery.message.retain == expected.retain);
        ++at;
    });
    CHECK(at == 3);
}

TEST_CASE("Commands for several groups share a parcel", "[traffic]") {
    CommandParcel parcel;
    for (uint32_t group = 16; group < 19; ++group) {
        const std::size_t position = parcel.begin(GroupId(group));
        parcel.bytes.append(std::string(group - 16, 'x'));
        parcel.end(position);
    }
    CHECK(parcel.count == 3);
    uint32_t expected = 16;
    parcel.for_each([&expected](GroupId group, std::string_view command) {
        CHECK(group == GroupId(expected));
        CHECK(command == std::string(expected - 16, 'x'));
        ++expected;
    });
    CHECK(expected == 19);
}

TEST_CASE("A thread posts one parcel to each destination of a turn", "[traffic][exchange]") {
    Exchange exchange(2, 2);
    int woken = 0;
    exchange.set_loop(LoopId(0), [&woken](auto) { ++woken; });
    exchange.set_loop(LoopId(1), [&woken](auto) { woken += 10; });
    std::vector<std::pair<WorkerId, std::unique_ptr<WorkerParcel>>> posted;
    exchange.set_workers([&posted](WorkerId worker, std::unique_ptr<WorkerParcel> parcel) {
        posted.emplace_back(worker, std::move(parcel));
    });
    CHECK(exchange.ports() == 4);
    CHECK(exchange.is_loop(PortId(1)));
    CHECK_FALSE(exchange.is_loop(PortId(2)));
    CHECK(exchange.worker_at(exchange.port_of(WorkerId(1))) == WorkerId(1));
    CHECK(exchange.loop_at(exchange.port_of(LoopId(1))) == LoopId(1));

    Outbound outbound(exchange, PortId(2));
    outbound.loop(LoopId(1)).shown.push_back(1);
    outbound.loop(LoopId(1)).shown.push_back(2);
    outbound.worker(WorkerId(0)).wants.emplace_back();
    CHECK(woken == 0);
    outbound.flush();
    outbound.flush();
    CHECK(woken == 10);
    REQUIRE(posted.size() == 1);
    CHECK(posted[0].first == WorkerId(0));
    CHECK(posted[0].second->from == local_port(PortId(2)));
    CHECK(posted[0].second->owned.from == local_port(PortId(2)));
    std::vector<std::unique_ptr<LoopParcel>> taken;
    exchange.mailbox(LoopId(1)).take(taken);
    REQUIRE(taken.size() == 1);
    CHECK(taken[0]->shown == std::vector<uint64_t>{1, 2});
    CHECK(taken[0]->publishes.from == local_port(PortId(2)));
    // The next turn starts anew.
    outbound.loop(LoopId(1)).shown.push_back(3);
    outbound.flush();
    taken.clear();
    exchange.mailbox(LoopId(1)).take(taken);
    REQUIRE(taken.size() == 1);
    CHECK(taken[0]->shown == std::vector<uint64_t>{3});
}

}  // namespace
}  // namespace quorate::cluster
