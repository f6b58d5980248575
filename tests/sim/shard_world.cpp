// Long, because each kind of command has its question and its answer side by side.
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

// Now, or before: then a lost answer was asked for again.
bool applied(const Answer& answer) {
    return answer.code == AnswerCode::Applied || answer.code == AnswerCode::Duplicate;
}

std::string named(const std::string& name, uint64_t sequence) {
    return name + " " + std::to_string(sequence);
}

}  // namespace

ShardWorld::ShardWorld(uint32_t fronts) {
    fronts_.resize(fronts);
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
        publisher.front = static_cast<uint32_t>(publishers_.size() - 1) % fronts;
    }
    registers_.resize(fronts == 1 ? kRetainedTopics : 2 * fronts);
}

Incarnation ShardWorld::incarnation(uint32_t front) const {
    return make_incarnation(NodeId(1 + front), fronts_[front].life);
}

void ShardWorld::begin_life(uint32_t front) {
    for (auto at = pending_.begin(); at != pending_.end();) {
        if (at->second.front != front) {
            ++at;
            continue;
        }
        ++counts_.commands_lost;
        if (const auto* retaining = std::get_if<Retaining>(&at->second.what)) {
            registers_[retaining->topic].loose.insert(retaining->version);
        }
        const auto* attaching = std::get_if<Attaching>(&at->second.what);
        if (attaching != nullptr && attaching->clean) {
            clients_[attaching->client].wiped_by = incarnation(front);
        }
        at = pending_.erase(at);
    }
    ++counts_.lives;
    ++fronts_[front].life;
    fronts_[front].numbers.clear();
    fronts_[front].let_gos.clear();
    for (Publisher& publisher : publishers_) {
        if (publisher.front != front) continue;
        publisher.sent = 0;
        for (const uint64_t sequence : publisher.open)
            published_[named(publisher.name, sequence)].again = true;
    }
    for (Client& client : clients_) {
        if (client.front != front) continue;
        counts_.receiver_mid_qos2 += client.unfinished.size();
        counts_.sender_mid_qos2 += client.puts.size();
        // Nobody knows whether the Attach was done.
        if (client.link == Link::Attaching) unsettle_wills(client);
        if (client.link != Link::Away) lost(client, last_time_);
        client.subscribing = false;
    }
    // With one front-end that is the broker's own death: nothing of it was left on a way.
    if (fronts_.size() == 1) fenced(make_incarnation(NodeId(1), fronts_[0].life - 1));
}

void ShardWorld::fenced(Incarnation incarnation) {
    for (Client& client : clients_) {
        if (client.wiped_by == incarnation) client.wiped_by = Incarnation();
    }
}

std::string ShardWorld::numbered(uint32_t front, LaneClass lane, What what,
                                 const CommandBody& body) {
    cluster::CommandHeader header;
    header.lane = {incarnation(front), 0, lane};
    header.number = CommandNumber(++fronts_[front].numbers[lane]);
    header.token = next_token_++;
    ++counts_.commands;
    pending_.emplace(header.token, Pending{front, std::move(what)});
    std::string out;
    cluster::encode_command(out, header, body);
    return out;
}

std::string ShardWorld::detach_for(const cluster::LetGo& request, uint32_t front, uint64_t now) {
    cluster::Detached body{request.session, request.epoch, cluster::DetachHow::TakenOver,
                           std::nullopt, MessageNumber()};
    Client& client = clients_[request.connection.slot];
    ++counts_.let_go;
    if (client.link == Link::Here && client.front == front &&
        client.attachment() == Attachment{request.session, request.epoch}) {
        // Taken over by what it had asked for itself, long ago, by a front-end that died: its will
        // may be sent or not.
        lost(client, now);
        unsettle_wills(client);
    }
    if (const auto at = written_.find({request.session, request.epoch}); at != written_.end()) {
        body.highest_written = MessageNumber(at->second);
    }
    return numbered(front, LaneClass::Control, Leaving{request.connection.slot, false}, body);
}

std::optional<std::string> ShardWorld::next(Random& random, ClusterTime now, uint32_t front) {
    observe_time(now.value());
    if (std::deque<cluster::LetGo>& let_gos = fronts_[front].let_gos; !let_gos.empty()) {
        const cluster::LetGo request = let_gos.front();
        let_gos.pop_front();
        return detach_for(request, front, now.value());
    }
    const std::size_t actors = clients_.size() + publishers_.size() + 1;
    const std::size_t first = random.below(actors);
    for (std::size_t i = 0; i < actors; ++i) {
        const std::size_t actor = (first + i) % actors;
        std::optional<std::string> command;
        if (actor < clients_.size()) {
            Client& client = clients_[actor];
            // Who is nowhere connects to whoever asks first.
            if (client.link == Link::Away) client.front = front;
            if (client.front == front) command = act(client, random, now);
        } else if (actor < clients_.size() + publishers_.size()) {
            Publisher& publisher = publishers_[actor - clients_.size()];
            if (publisher.front == front) command = publish(publisher);
        } else if (!closing_ && random.chance(1, 3)) {
            command = retain(front, random);
        }
        if (command) return command;
    }
    return std::nullopt;
}

std::optional<std::string> ShardWorld::publish(Publisher& publisher) {
    if (publisher.sent == publisher.open.size()) {
        if (closing_ || crowded_ || publisher.open.size() >= kPublishWindow) return std::nullopt;
        publisher.open.push_back(++publisher.sequence);
        owe(named(publisher.name, publisher.sequence), publisher.topic);
    }
    const uint64_t sequence = publisher.open[publisher.sent++];
    const std::string message =
        flat(publisher.topic, named(publisher.name, sequence), mqtt::QoS::AtLeastOnce);
    const auto index = static_cast<std::size_t>(&publisher - publishers_.data());
    return numbered(publisher.front, LaneClass::Publish, Publishing{index, sequence},
                    cluster::Enqueue{message, std::nullopt, std::nullopt});
}

std::optional<std::string> ShardWorld::act(Client& client, Random& random, ClusterTime now) {
    switch (client.link) {
        case Link::Away:
            if (client.wiped_by != Incarnation()) return std::nullopt;
            if (!closing_ && !random.chance(1, 4)) return std::nullopt;
            return attach(client, random, now);
        case Link::Attaching:
        case Link::Leaving:
            return std::nullopt;
        case Link::Here:
            break;
    }
    if (!client.acks.empty() && (closing_ || random.chance(2, 3))) {
        Acking asked{client.index, client.attachment(), std::exchange(client.acks, {})};
        cluster::Ack body{client.session, client.epoch, asked.items};
        return numbered(client.front, LaneClass::Control, std::move(asked), body);
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
    body.connection = {incarnation(client.front), LoopId(), static_cast<uint32_t>(client.index),
                       client.connections};
    return numbered(client.front, LaneClass::Control, Attaching{client.index, clean, now.value()},
                    body);
}

std::optional<std::string> ShardWorld::leave(Client& client, Random& random, ClusterTime now) {
    if (random.chance(1, 3)) {
        // The next CONNECT comes before anybody noticed that the old connection is gone.
        const bool in_flight = !client.acks.empty() || !client.unfinished.empty();
        lost(client, now.value());
        ++counts_.takeovers;
        if (in_flight) ++counts_.takeovers_in_flight;
        if (fronts_.size() > 1 && random.chance(1, 2)) return std::nullopt;  // by another front-end
        return attach(client, random, now);
    }
    const bool normal = random.chance(1, 3);
    cluster::Detached body{client.session, client.epoch,
                           normal ? cluster::DetachHow::Normal : cluster::DetachHow::Lost,
                           std::nullopt, MessageNumber(client.highest)};
    if (normal) current_will(client).maybe_normal = true;
    lost(client, now.value());
    client.link = Link::Leaving;
    // Not every client waits until DISCONNECT has been heard.
    if (fronts_.size() > 1 && random.chance(1, 3)) {
        client.link = Link::Away;
        ++counts_.takeovers_leaving;
    }
    return numbered(client.front, LaneClass::Control, Leaving{client.index, normal, client.wills},
                    body);
}

std::optional<std::string> ShardWorld::subscribe(Client& client, Random& random) {
    if (client.subscribing) return std::nullopt;
    const std::vector<std::string>& filters = filters_of_clients()[client.index];
    const std::string& filter = filters[random.below(filters.size())];
    if (!client.subscriptions.contains(filter)) {
        cluster::Subscribe body{client.session, client.epoch, {}};
        body.requests.push_back({filter, mqtt::QoS::ExactlyOnce});
        client.subscribing = true;
        return numbered(client.front, LaneClass::Control,
                        Subscribing{client.index, client.attachment(), filter}, body);
    }
    if (client.steady || closing_ || !random.chance(1, 40)) return std::nullopt;
    cluster::Unsubscribe body{client.session, client.epoch, {filter}};
    client.subscribing = true;
    client.subscriptions.erase(filter);
    excuse(client);
    return numbered(client.front, LaneClass::Control,
                    Unsubscribing{client.index, client.attachment()}, body);
}

std::optional<std::string> ShardWorld::put(Client& client, Random& random) {
    const auto idle = std::ranges::find(client.puts, false, &Put::under_way);
    if (idle != client.puts.end()) {
        idle->under_way = true;
        const PacketId id(idle->id);
        const Putting asked{client.index, client.attachment(), idle->id, idle->received};
        if (idle->received) {
            return numbered(client.front, LaneClass::Control, asked,
                            cluster::Release{client.session, client.epoch, id});
        }
        const std::string message =
            flat(client.index % 2 == 0 ? "a" : "b",
                 named("q" + std::to_string(client.index), idle->sequence), mqtt::QoS::ExactlyOnce);
        return numbered(client.front, LaneClass::Control, asked,
                        cluster::OutboxPut{client.session, client.epoch, id, message});
    }
    if (closing_ || crowded_ || client.puts.size() >= kPutWindow) return std::nullopt;
    if (!random.chance(1, 3)) return std::nullopt;
    do {
        client.last_id = static_cast<uint16_t>(client.last_id % kPacketIds + 1);
    } while (std::ranges::find(client.puts, client.last_id, &Put::id) != client.puts.end());
    client.puts.push_back(Put{++client.put_sequence, client.last_id});
    owe(named("q" + std::to_string(client.index), client.put_sequence),
        client.index % 2 == 0 ? "a" : "b");
    return put(client, random);
}

std::string ShardWorld::retain(uint32_t front, Random& random) {
    // One writer a topic: of two at once nobody knows who is the newer.
    const std::size_t fronts = fronts_.size();
    const std::size_t topic = random.below(registers_.size() / fronts) * fronts + front;
    const uint64_t version = ++registers_[topic].proposed;
    const std::string message =
        flat("r" + std::to_string(topic), std::to_string(version), mqtt::QoS::AtLeastOnce);
    cluster::Retain body;
    body.message = message;
    return numbered(front, LaneClass::Publish, Retaining{topic, version}, body);
}

std::string ShardWorld::hand_over(const cluster::OutboxTarget& target,
                                  const cluster::OutboxEntryView& entry) {
    const OutboxNumber number = entry.source.number;
    if (!first_hand_over(number)) ++counts_.hand_over_repeats;
    std::string message;
    mqtt::encode_message(message, entry.message);
    return numbered(0, LaneClass::Publish, HandedOver{target, number},
                    cluster::Enqueue{message, entry.source, std::nullopt});
}

void ShardWorld::let_go(const cluster::LetGo& request) {
    for (uint32_t front = 0; front < fronts_.size(); ++front) {
        if (request.connection.incarnation != incarnation(front)) continue;
        std::deque<cluster::LetGo>& known = fronts_[front].let_gos;
        if (std::ranges::find(known, request) == known.end()) known.push_back(request);
    }
}

std::optional<ShardWorld::HandedOver> ShardWorld::answered(const Answer& answer,
                                                           ClusterTime applied_at) {
    if (answer.lane.lane_class == LaneClass::Leader) return std::nullopt;
    const auto found = pending_.find(answer.token);
    if (found == pending_.end()) return std::nullopt;
    if (answer.lane.incarnation != incarnation(found->second.front)) return std::nullopt;
    const What what = std::move(found->second.what);
    pending_.erase(found);
    switch (answer.code) {
        case AnswerCode::Applied:
        case AnswerCode::Duplicate:
        case AnswerCode::StaleEpoch:
            break;
        case AnswerCode::LimitExceeded:
            refused(what);
            return std::nullopt;
        case AnswerCode::Gap:
        case AnswerCode::StaleSource:
        case AnswerCode::Fenced:
        case AnswerCode::Malformed:
        case AnswerCode::NotFound:
            complain("R-3: a command was answered with code " +
                     std::to_string(static_cast<int>(answer.code)));
            return std::nullopt;
    }
    if (const auto* handed = std::get_if<HandedOver>(&what)) return *handed;
    std::visit([&](const auto& asked) { done(asked, answer, applied_at.value()); }, what);
    return std::nullopt;
}

// By a limit, for ever: the client is told and does not ask again.
void ShardWorld::refused(const What& what) {
    ++counts_.refused;
    if (const auto* publishing = std::get_if<Publishing>(&what)) {
        Publisher& publisher = publishers_[publishing->publisher];
        if (std::erase(publisher.open, publishing->sequence) > 0) --publisher.sent;
    } else if (const auto* attaching = std::get_if<Attaching>(&what)) {
        Client& client = clients_[attaching->client];
        unsettle_wills(client);
        client.link = Link::Away;
    } else if (const auto* subscribing = std::get_if<Subscribing>(&what)) {
        Client& client = clients_[subscribing->client];
        if (client.attachment() == subscribing->by) client.subscribing = false;
    } else if (const auto* putting = std::get_if<Putting>(&what)) {
        Client& client = clients_[putting->client];
        if (client.attachment() != putting->by) return;
        std::erase_if(client.puts, [&](const Put& put) { return put.id == putting->id; });
    } else if (!std::holds_alternative<Retaining>(what)) {
        complain("G10: a command that frees was refused");
    }
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
    if (!std::holds_alternative<cluster::AttachResult>(answer.result)) {
        return complain("R-3: an Attach was answered with code " +
                        std::to_string(static_cast<int>(answer.code)));
    }
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
    if (client.attachment() != what.by) return;
    client.subscribing = false;
    // What was refused before is refused again, in its SUBACK.
    const auto* result = std::get_if<cluster::SubscribeResult>(&answer.result);
    const bool granted = applied(answer) && result != nullptr && !result->filters.empty() &&
                         static_cast<uint8_t>(result->filters[0].code) < 0x80;
    if (granted) client.subscriptions.insert(what.filter);
}

void ShardWorld::done(const Unsubscribing& what, const Answer& /*answer*/, uint64_t /*at*/) {
    Client& client = clients_[what.client];
    if (client.attachment() == what.by) client.subscribing = false;
}

void ShardWorld::done(const Acking& what, const Answer& answer, uint64_t /*at*/) {
    Client& client = clients_[what.client];
    if (client.attachment() != what.by || !applied(answer)) return;
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
    if (client.attachment() != what.by || !applied(answer)) return;
    const auto put = std::ranges::find(client.puts, what.id, &Put::id);
    if (put == client.puts.end()) return complain("R-3: a PUBLISH was answered twice");
    put->under_way = false;
    if (what.release) {
        client.puts.erase(put);
        return;
    }
    if (!std::holds_alternative<cluster::OutboxPutResult>(answer.result)) {
        return complain("R-3: a PUBLISH of QoS 2 has another command's answer");
    }
    const auto& result = std::get<cluster::OutboxPutResult>(answer.result);
    if (result.code != mqtt::ReasonCode::Success) {
        // PUBREC 0x97: the exchange is over.
        ++counts_.refused;
        client.puts.erase(put);
        return;
    }
    if (result.already_received) ++counts_.put_repeats;
    put->received = true;
    published_[named("q" + std::to_string(client.index), put->sequence)].acknowledged = true;
}

void ShardWorld::done(const Retaining& what, const Answer& /*answer*/, uint64_t /*at*/) {
    Register& written = registers_[what.topic];
    if (written.loose.contains(what.version)) return;
    written.acknowledged = std::max(written.acknowledged, what.version);
}

}  // namespace quorate::sim
