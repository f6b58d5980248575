#include "tests/sim/shard_world.h"

#include <algorithm>
#include <utility>

#include "proto/mqtt/message.h"
#include "proto/mqtt/topic.h"

namespace quorate::sim {
namespace {

using cluster::Answer;
using cluster::AnswerCode;
using cluster::CommandBody;
using cluster::LaneClass;

constexpr std::size_t kPublishWindow = 4;
constexpr std::size_t kPutWindow = 3;
constexpr uint16_t kPacketIds = 6;
constexpr uint64_t kWillDelay_s = 3;
constexpr std::size_t kRetainedTopics = 3;

// What each session subscribes to. The first one watches everything, for ever.
const std::vector<std::vector<std::string>>& filters_of_clients() {
    static const std::vector<std::vector<std::string>> filters = {
        {"#"}, {"a", "w"}, {"+"}, {"b", "a"}};
    return filters;
}

std::string flat(std::string_view topic, std::string_view payload, mqtt::QoS qos) {
    mqtt::MessageView message;
    message.topic = topic;
    message.payload = payload;
    message.qos = qos;
    std::string out;
    mqtt::encode_message(out, message);
    return out;
}

std::string named(const std::string& name, uint64_t sequence) {
    return name + " " + std::to_string(sequence);
}

}  // namespace

ShardWorld::ShardWorld() {
    constexpr uint32_t kExpiries[] = {cluster::kNeverExpires, 4, 20, cluster::kNeverExpires};
    for (std::size_t i = 0; i < filters_of_clients().size(); ++i) {
        Client& client = clients_.emplace_back();
        client.index = i;
        client.id = "c" + std::to_string(i);
        client.expiry_s = kExpiries[i];
        client.steady = i == 0;
    }
    for (const char* topic : {"a", "b"}) {
        Publisher& publisher = publishers_.emplace_back();
        publisher.name = std::string("p").append(topic);
        publisher.topic = topic;
    }
    registers_.resize(kRetainedTopics);
}

Incarnation ShardWorld::incarnation() const {
    return make_incarnation(NodeId(1), life_);
}

void ShardWorld::begin_life() {
    ++life_;
    ++counts_.lives;
    counts_.commands_lost += pending_.size();
    pending_.clear();
    numbers_.clear();
    let_gos_.clear();
    for (Publisher& publisher : publishers_)
        publisher.sent = 0;
    for (Client& client : clients_) {
        counts_.receiver_mid_qos2 += client.unfinished.size();
        counts_.sender_mid_qos2 += client.puts.size();
        // Nobody knows whether the Attach was done.
        if (client.link == Link::Attaching) unsettle_wills(client);
        if (client.link != Link::Away) lost(client, last_time_);
        client.subscribing = false;
    }
}

std::string ShardWorld::numbered(LaneClass lane, Pending pending, const CommandBody& body) {
    cluster::CommandHeader header;
    header.lane = {incarnation(), 0, lane};
    header.number = CommandNumber(++numbers_[lane]);
    header.token = next_token_++;
    pending_.emplace(header.token, std::move(pending));
    std::string out;
    cluster::encode_command(out, header, body);
    return out;
}

std::optional<std::string> ShardWorld::next(Random& random, ClusterTime now) {
    observe_time(now.value());
    if (!let_gos_.empty()) {
        const cluster::LetGo request = let_gos_.front();
        let_gos_.pop_front();
        cluster::Detached body{request.session, request.epoch, cluster::DetachHow::TakenOver,
                               std::nullopt, MessageNumber()};
        if (const auto at = written_.find(request.epoch.value() << 8 | request.connection.slot);
            at != written_.end()) {
            body.highest_written = MessageNumber(at->second);
        }
        return numbered(LaneClass::Control, Leaving{request.connection.slot, false}, body);
    }
    const std::size_t actors = clients_.size() + publishers_.size() + 1;
    const std::size_t first = random.below(actors);
    for (std::size_t i = 0; i < actors; ++i) {
        const std::size_t actor = (first + i) % actors;
        std::optional<std::string> command;
        if (actor < clients_.size()) {
            command = act(clients_[actor], random, now);
        } else if (actor < clients_.size() + publishers_.size()) {
            command = publish(publishers_[actor - clients_.size()]);
        } else if (!closing_ && random.chance(1, 3)) {
            command = retain(random);
        }
        if (command) return command;
    }
    return std::nullopt;
}

std::optional<std::string> ShardWorld::publish(Publisher& publisher) {
    if (publisher.sent == publisher.open.size()) {
        if (closing_ || publisher.open.size() >= kPublishWindow) return std::nullopt;
        publisher.open.push_back(++publisher.sequence);
        owe(named(publisher.name, publisher.sequence), publisher.topic);
    }
    const uint64_t sequence = publisher.open[publisher.sent++];
    const std::string message =
        flat(publisher.topic, named(publisher.name, sequence), mqtt::QoS::AtLeastOnce);
    const auto index = static_cast<std::size_t>(&publisher - publishers_.data());
    return numbered(LaneClass::Publish, Publishing{index, sequence},
                    cluster::Enqueue{message, std::nullopt, std::nullopt});
}

std::optional<std::string> ShardWorld::act(Client& client, Random& random, ClusterTime now) {
    switch (client.link) {
        case Link::Away:
            if (!closing_ && !random.chance(1, 4)) return std::nullopt;
            return attach(client, random, now);
        case Link::Attaching:
        case Link::Leaving:
            return std::nullopt;
        case Link::Here:
            break;
    }
    if (!client.acks.empty() && (closing_ || random.chance(2, 3))) {
        Acking asked{client.index, client.epoch, std::exchange(client.acks, {})};
        cluster::Ack body{client.session, client.epoch, asked.items};
        return numbered(LaneClass::Control, std::move(asked), body);
    }
    if (!closing_ && random.chance(1, 25)) return leave(client, random, now);
    if (auto command = subscribe(client, random)) return command;
    return put(client, random);
}

std::string ShardWorld::attach(Client& client, Random& random, ClusterTime now) {
    // A clean start that nobody answered is asked for again: its client has forgotten everything.
    const bool clean = client.must_clean ||
                       (!client.steady && !closing_ && client.index == 3 && random.chance(1, 6));
    if (clean) {
        client.must_clean = true;
        forget_session(client);
    }
    client.link = Link::Attaching;
    ++client.connections;
    const std::string payload = named("w" + std::to_string(client.index), ++client.wills);
    Will& will = wills_[payload];
    will.client = client.index;
    will.delay_ms = random.chance(1, 2) ? kWillDelay_s * 1000 : 0;
    const std::string message = flat("w", payload, mqtt::QoS::ExactlyOnce);
    cluster::Attach body;
    body.client_id = client.id;
    body.clean_start = clean;
    body.session_expiry_s = client.expiry_s;
    body.receive_maximum = static_cast<uint16_t>(1 + random.below(5));
    client.receive_maximum = body.receive_maximum;
    body.will = cluster::WillRequest{message, static_cast<uint32_t>(will.delay_ms / 1000)};
    body.connection = {incarnation(), LoopId(), static_cast<uint32_t>(client.index),
                       client.connections};
    return numbered(LaneClass::Control, Attaching{client.index, clean, now.value()}, body);
}

std::optional<std::string> ShardWorld::leave(Client& client, Random& random, ClusterTime now) {
    if (random.chance(1, 3)) {
        // The next CONNECT comes before anybody noticed that the old connection is gone.
        lost(client, now.value());
        ++counts_.takeovers;
        return attach(client, random, now);
    }
    const bool normal = random.chance(1, 3);
    cluster::Detached body{client.session, client.epoch,
                           normal ? cluster::DetachHow::Normal : cluster::DetachHow::Lost,
                           std::nullopt, MessageNumber(client.highest)};
    if (normal) current_will(client).maybe_normal = true;
    lost(client, now.value());
    client.link = Link::Leaving;
    return numbered(LaneClass::Control, Leaving{client.index, normal, client.wills}, body);
}

std::optional<std::string> ShardWorld::subscribe(Client& client, Random& random) {
    if (client.subscribing) return std::nullopt;
    const std::vector<std::string>& filters = filters_of_clients()[client.index];
    const std::string& filter = filters[random.below(filters.size())];
    if (!client.subscriptions.contains(filter)) {
        cluster::Subscribe body{client.session, client.epoch, {}};
        body.requests.push_back({filter, mqtt::QoS::ExactlyOnce});
        client.subscribing = true;
        return numbered(LaneClass::Control, Subscribing{client.index, client.epoch, filter}, body);
    }
    if (client.steady || closing_ || !random.chance(1, 40)) return std::nullopt;
    cluster::Unsubscribe body{client.session, client.epoch, {filter}};
    client.subscribing = true;
    client.subscriptions.erase(filter);
    excuse(client);
    return numbered(LaneClass::Control, Unsubscribing{client.index, client.epoch}, body);
}

std::optional<std::string> ShardWorld::put(Client& client, Random& random) {
    const auto idle = std::ranges::find(client.puts, false, &Put::under_way);
    if (idle != client.puts.end()) {
        idle->under_way = true;
        const PacketId id(idle->id);
        const Putting asked{client.index, client.epoch, idle->id, idle->received};
        if (idle->received) {
            return numbered(LaneClass::Control, asked,
                            cluster::Release{client.session, client.epoch, id});
        }
        const std::string message =
            flat(client.index % 2 == 0 ? "a" : "b",
                 named("q" + std::to_string(client.index), idle->sequence), mqtt::QoS::ExactlyOnce);
        return numbered(LaneClass::Control, asked,
                        cluster::OutboxPut{client.session, client.epoch, id, message});
    }
    if (closing_ || client.puts.size() >= kPutWindow || !random.chance(1, 3)) return std::nullopt;
    do {
        client.last_id = static_cast<uint16_t>(client.last_id % kPacketIds + 1);
    } while (std::ranges::find(client.puts, client.last_id, &Put::id) != client.puts.end());
    client.puts.push_back(Put{++client.put_sequence, client.last_id});
    owe(named("q" + std::to_string(client.index), client.put_sequence),
        client.index % 2 == 0 ? "a" : "b");
    return put(client, random);
}

std::string ShardWorld::retain(Random& random) {
    const std::size_t topic = random.below(registers_.size());
    const uint64_t version = ++registers_[topic].proposed;
    const std::string message =
        flat("r" + std::to_string(topic), std::to_string(version), mqtt::QoS::AtLeastOnce);
    cluster::Retain body;
    body.message = message;
    return numbered(LaneClass::Publish, Retaining{topic, version}, body);
}

std::string ShardWorld::hand_over(const cluster::OutboxTarget& target,
                                  const cluster::OutboxEntryView& entry) {
    const OutboxNumber number = entry.source.number;
    if (!handed_over_.insert(number).second) ++counts_.hand_over_repeats;
    std::string message;
    mqtt::encode_message(message, entry.message);
    return numbered(LaneClass::Publish, HandedOver{target, number},
                    cluster::Enqueue{message, entry.source, std::nullopt});
}

void ShardWorld::let_go(const cluster::LetGo& request) {
    if (request.connection.incarnation == incarnation()) let_gos_.push_back(request);
}

std::optional<ShardWorld::HandedOver> ShardWorld::answered(const Answer& answer,
                                                           ClusterTime applied_at) {
    if (answer.lane.lane_class == LaneClass::Leader) return std::nullopt;
    if (answer.lane.incarnation != incarnation()) return std::nullopt;
    const auto found = pending_.find(answer.token);
    if (found == pending_.end()) return std::nullopt;
    const Pending what = std::move(found->second);
    pending_.erase(found);
    if (answer.code != AnswerCode::Applied && answer.code != AnswerCode::StaleEpoch) {
        complain("R-3: a command was answered with code " +
                 std::to_string(static_cast<int>(answer.code)));
        return std::nullopt;
    }
    if (const auto* handed = std::get_if<HandedOver>(&what)) return *handed;
    std::visit([&](const auto& asked) { done(asked, answer, applied_at.value()); }, what);
    return std::nullopt;
}

void ShardWorld::done(const Publishing& what, const Answer& /*answer*/, uint64_t /*at*/) {
    Publisher& publisher = publishers_[what.publisher];
    const auto at = std::ranges::find(publisher.open, what.sequence);
    if (at == publisher.open.end()) return complain("R-3: a publish was answered twice");
    publisher.open.erase(at);
    --publisher.sent;
    published_[named(publisher.name, what.sequence)].acknowledged = true;
}

void ShardWorld::done(const Attaching& what, const Answer& answer, uint64_t applied_at) {
    Client& client = clients_[what.client];
    const auto& result = std::get<cluster::AttachResult>(answer.result);
    if (result.code != mqtt::ReasonCode::Success) {
        // The holder did not let go in time; the next CONNECT may do better.
        unsettle_wills(client);
        client.link = Link::Away;
        return;
    }
    settle_wills(client, result.session_present, applied_at);
    if (!result.session_present && client.existed && !what.clean) {
        ++counts_.sessions_expired;
        const bool expires = client.expiry_s != cluster::kNeverExpires;
        if (!expires || applied_at < client.away_at + uint64_t{client.expiry_s} * 1000) {
            complain("M8: session " + client.id + " was gone before its expiry");
        }
    }
    if (!result.session_present || (client.existed && client.session != result.session)) {
        forget_session(client);
    }
    client.must_clean = false;
    client.existed = true;
    client.link = Link::Here;
    client.session = result.session;
    client.epoch = result.epoch;
    client.mark = result.mark.value();
    client.next = result.first_unacked.value();
    client.highest = 0;
    Will& will = current_will(client);
    will.attached = true;
    will.watched = clients_[0].subscriptions.contains("#");
}

void ShardWorld::done(const Leaving& what, const Answer& answer, uint64_t /*at*/) {
    Client& client = clients_[what.client];
    if (what.normal && answer.code == AnswerCode::Applied) {
        wills_[named("w" + std::to_string(client.index), what.will)].normal = true;
    }
    if (client.link == Link::Leaving) client.link = Link::Away;
}

void ShardWorld::done(const Subscribing& what, const Answer& answer, uint64_t /*at*/) {
    Client& client = clients_[what.client];
    if (client.epoch != what.epoch) return;
    client.subscribing = false;
    if (answer.code == AnswerCode::Applied) client.subscriptions.insert(what.filter);
}

void ShardWorld::done(const Unsubscribing& what, const Answer& /*answer*/, uint64_t /*at*/) {
    Client& client = clients_[what.client];
    if (client.epoch == what.epoch) client.subscribing = false;
}

void ShardWorld::done(const Acking& what, const Answer& answer, uint64_t /*at*/) {
    Client& client = clients_[what.client];
    if (client.epoch != what.epoch || answer.code != AnswerCode::Applied) return;
    for (const cluster::AckItem& item : what.items) {
        Seen& seen = client.seen[item.number.value()];
        if (item.kind == cluster::AckKind::PubrecOk) {
            // Now PUBREL comes, and is answered.
            seen.pubrec_committed = true;
            client.unfinished.erase(packet_id(item.number.value()));
            client.acks.push_back({item.number, cluster::AckKind::Pubcomp});
        } else {
            seen.done = true;
        }
    }
}

void ShardWorld::done(const Putting& what, const Answer& answer, uint64_t /*at*/) {
    Client& client = clients_[what.client];
    if (client.epoch != what.epoch || answer.code != AnswerCode::Applied) return;
    const auto put = std::ranges::find(client.puts, what.id, &Put::id);
    if (put == client.puts.end()) return complain("R-3: a PUBLISH was answered twice");
    put->under_way = false;
    if (what.release) {
        client.puts.erase(put);
        return;
    }
    const auto& result = std::get<cluster::OutboxPutResult>(answer.result);
    if (result.already_received) ++counts_.put_repeats;
    put->received = true;
    published_[named("q" + std::to_string(client.index), put->sequence)].acknowledged = true;
}

void ShardWorld::done(const Retaining& what, const Answer& /*answer*/, uint64_t /*at*/) {
    Register& written = registers_[what.topic];
    written.acknowledged = std::max(written.acknowledged, what.version);
}

}  // namespace quorate::sim
