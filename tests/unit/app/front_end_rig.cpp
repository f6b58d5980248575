#include "tests/unit/app/front_end_rig.h"

#include <utility>

#include "tests/unit/catch.h"
#include "tests/unit/channel/notation.h"

namespace quorate::broker::test {
namespace {

constexpr std::chrono::seconds kPatience{10};

std::unique_ptr<Logger> quiet_logger() {
    LogOptions options;
    options.level = LogLevel::Error;
    auto logger = Logger::open(options);
    REQUIRE(logger.ok());
    return std::move(logger).value();
}

std::unique_ptr<ListenerGroup> open_group() {
    auto group = ListenerGroup::open(plain(), 1);
    REQUIRE(group.ok());
    return std::move(group).value();
}

}  // namespace

FrontEndRig::Mqtt::Mqtt(FrontEndRig& rig, mqtt::ProtocolVersion version)
    : rig_(rig), version_(version), socket_(rig.group->options().address.host, rig.group->port()) {}

void FrontEndRig::Mqtt::send(std::string_view line) {
    const std::string bytes = bytes_of(version_, line);
    REQUIRE(socket_.send(bytes) == bytes.size());
}

std::vector<std::string> FrontEndRig::Mqtt::take() {
    socket_.receive();
    std::vector<std::string> packets = text_of(version_, socket_.received());
    if (!packets.empty() && packets.back().starts_with("CUT")) return {};
    return packets;
}

std::vector<std::string> FrontEndRig::Mqtt::receive(std::size_t count) {
    std::vector<std::string> packets;
    rig_.until([&] { return (packets = take()).size() >= count || ended(); });
    socket_.received().clear();
    return packets;
}

std::vector<std::string> FrontEndRig::Mqtt::receive_nothing_more() {
    rig_.turn();
    return receive(0);
}

bool FrontEndRig::Mqtt::ended() {
    socket_.receive();
    return socket_.ended() || socket_.reset();
}

FrontEndOptions FrontEndRig::anonymous() {
    FrontEndOptions options;
    options.allow_anonymous = true;
    return options;
}

FrontEndRig::FrontEndRig(const FrontEndOptions& options, bool among_others)
    : logger(quiet_logger()),
      group(open_group()),
      loop(LoopId(0), clock),
      front_end(loop, options, status, metrics.make_shard(), Log(*logger, "test"), 7) {
    auto made = std::make_unique<FakePort>(&front_end);
    port = made.get();
    port->clustered = among_others;
    front_end.set_port(std::move(made));
    loop.set_hooks(&front_end);
    auto listener = std::make_unique<Listener>(loop, *group, 0, front_end);
    REQUIRE(listener->start().ok());
    front_end.add_listener(std::move(listener));
}

bool FrontEndRig::until(const std::function<bool()>& done) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!done()) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        loop.run_once(std::chrono::milliseconds(5));
    }
    return true;
}

void FrontEndRig::turn(int times) {
    for (int i = 0; i < times; ++i)
        loop.run_once(std::chrono::milliseconds(1));
}

void FrontEndRig::arrive(std::function<void(cluster::LoopSink&)> event) {
    bool happened = false;
    port->arrive([&, event = std::move(event)](cluster::LoopSink& sink) {
        event(sink);
        happened = true;
    });
    loop.mail();
    REQUIRE(until([&] { return happened; }));
    turn(2);
}

void FrontEndRig::answer(uint64_t token, cluster::CommandResult result, cluster::AnswerCode code) {
    cluster::Answer answer;
    answer.token = token;
    answer.code = code;
    answer.result = std::move(result);
    arrive([&](cluster::LoopSink& sink) { sink.on_answer(token, answer); });
}

void FrontEndRig::taken(cluster::Ticket ticket, uint32_t receivers, mqtt::ReasonCode code) {
    cluster::TakenBatch batch;
    batch.taken.push_back({ticket, receivers, code});
    arrive([&](cluster::LoopSink& sink) { sink.on_taken(batch); });
}

void FrontEndRig::deliver(uint64_t number, mqtt::QoS qos, std::string_view payload, uint32_t slot,
                          uint64_t from) {
    cluster::DeliveryBatch batch;
    cluster::DeliveryView view;
    view.connection = {make_incarnation(NodeId(1), 1), LoopId(0), slot, slot + 1};
    view.session = SessionId(1);
    view.epoch = Epoch(1);
    view.number = MessageNumber(number);
    view.from = MessageNumber(from);
    view.qos = qos;
    view.message.topic = "t";
    view.message.payload = payload;
    view.message.qos = qos;
    batch.add(view);
    arrive([&](cluster::LoopSink& sink) { sink.on_deliveries(batch); });
}

FakePort::Sent FrontEndRig::command(const std::string& name) {
    REQUIRE(until([&] { return !port->commands.empty(); }));
    FakePort::Sent first = port->commands.front();
    port->commands.erase(port->commands.begin());
    REQUIRE(first.name() == name);
    return first;
}

bool FrontEndRig::no_command() {
    turn();
    return port->commands.empty();
}

cluster::AttachResult FrontEndRig::attached(bool durable, uint64_t session, uint64_t epoch) {
    cluster::AttachResult result;
    result.durable = durable;
    result.session = SessionId(session);
    result.epoch = Epoch(epoch);
    result.first_unacked = MessageNumber(1);
    result.next = MessageNumber(1);
    return result;
}

std::unique_ptr<FrontEndRig::Mqtt> FrontEndRig::open(mqtt::ProtocolVersion version) {
    return std::make_unique<Mqtt>(*this, version);
}

std::unique_ptr<FrontEndRig::Mqtt> FrontEndRig::memory_client(const std::string& id,
                                                              mqtt::ProtocolVersion version) {
    const bool v5 = version == mqtt::ProtocolVersion::V5;
    auto client = open(version);
    client->send((v5 ? "CONNECT v5 clean id=" : "CONNECT clean id=") + id);
    answer(command("attach").token, attached(false));
    REQUIRE(client->receive(1).at(0).starts_with(v5 ? "CONNACK 0x00" : "CONNACK return=0"));
    return client;
}

std::unique_ptr<FrontEndRig::Mqtt> FrontEndRig::durable_client(const std::string& id,
                                                               const std::string& more) {
    auto client = open();
    client->send("CONNECT v5 expiry=100 id=" + id + " " + more);
    answer(command("attach").token, attached(true));
    REQUIRE(client->receive(1).at(0).starts_with("CONNACK 0x00"));
    return client;
}

void FrontEndRig::subscribe(Mqtt& client, const std::string& filter) {
    client.send("SUBSCRIBE 9 " + filter);
    turn(2);
    loop.mail();
    REQUIRE(client.receive(1).at(0).starts_with("SUBACK 9"));
}

}  // namespace quorate::broker::test
