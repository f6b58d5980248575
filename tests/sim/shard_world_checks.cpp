// What the clients of a simulated shard may see, and what they are owed.
#include <algorithm>
#include <charconv>

#include "proto/mqtt/topic.h"
#include "tests/sim/shard_world.h"

namespace quorate::sim {
namespace {

constexpr uint32_t kReadAtOnce = 3;
// Far below the limit of a queue.
constexpr uint64_t kQueued = 300;

// "name sequence"
std::pair<std::string, uint64_t> parts(std::string_view payload) {
    const std::size_t space = payload.rfind(' ');
    uint64_t sequence = 0;
    std::from_chars(payload.data() + space + 1, payload.data() + payload.size(), sequence);
    return {std::string(payload.substr(0, space)), sequence};
}

}  // namespace

// MQTT leaves the choice to the sender; R-6 fixes it.
uint16_t ShardWorld::packet_id(uint64_t number) {
    return static_cast<uint16_t>(1 + number % 65'535);
}

void ShardWorld::complain(const std::string& what) {
    if (complaint_.empty()) complaint_ = what;
}

ShardWorld::Will& ShardWorld::current_will(const Client& client) {
    return wills_["w" + std::to_string(client.index) + " " + std::to_string(client.wills)];
}

void ShardWorld::owe(const std::string& payload, std::string_view topic) {
    Published& published = published_[payload];
    for (const Client& client : clients_) {
        const bool subscribed = std::ranges::any_of(
            client.subscriptions,
            [&](const std::string& filter) { return mqtt::filter_matches(filter, topic); });
        if (subscribed) published.owed_to.insert(client.index);
    }
}

void ShardWorld::excuse(const Client& client) {
    for (auto& [payload, published] : published_)
        published.owed_to.erase(client.index);
}

// The session came back, or begins anew: what becomes of the wills of its earlier connections.
void ShardWorld::settle_wills(const Client& client, bool resumed, uint64_t applied_at) {
    for (auto& [payload, will] : wills_) {
        if (will.client != client.index || !will.lost_at || will.settled) continue;
        will.settled = true;
        if (!resumed || will.delay_ms == 0 || will.unsure) continue;
        if (applied_at < *will.lost_at + will.delay_ms) {
            will.cancelled = true;
            ++counts_.wills_cancelled;
        } else {
            will.unsure = true;
        }
    }
}

void ShardWorld::unsettle_wills(const Client& client) {
    for (auto& [payload, will] : wills_) {
        const bool open = will.client == client.index && will.lost_at && !will.settled;
        if (open && will.delay_ms > 0) will.unsure = true;
    }
}

// A leader's clock runs ahead of what it has stamped. A new one begins at the last stamp, and what
// ended with the old one counts from there.
void ShardWorld::observe_time(uint64_t now) {
    if (now < last_time_) {
        for (Client& client : clients_)
            client.away_at = std::min(client.away_at, now);
        for (auto& [payload, will] : wills_) {
            if (will.lost_at && !will.settled) will.lost_at = std::min(*will.lost_at, now);
        }
    }
    last_time_ = now;
}

void ShardWorld::lost(Client& client, uint64_t now) {
    if (client.link == Link::Here) {
        written_[client.attachment()] = client.highest;
        Will& will = current_will(client);
        if (!will.lost_at) will.lost_at = now;
        client.away_at = now;
    }
    client.link = Link::Away;
    client.epoch = Epoch();
    client.acks.clear();
    client.subscribing = false;
    for (Put& put : client.puts) {
        put.under_way = false;
        if (put.received) continue;
        published_["q" + std::to_string(client.index) + " " + std::to_string(put.sequence)].again =
            true;
    }
}

void ShardWorld::forget_session(Client& client) {
    excuse(client);
    client.seen.clear();
    client.unfinished.clear();
    client.subscriptions.clear();
    client.puts.clear();
    client.existed = false;
}

Status ShardWorld::receive(const cluster::ShardState& state, ClusterTime now, Random& random,
                           uint32_t front) {
    crowded_ = false;
    for (Client& client : clients_) {
        const auto view = state.session(client.session);
        crowded_ = crowded_ || (view && view->queued > kQueued);
        if (client.link != Link::Here || client.front != front) continue;
        if (!closing_ && random.chance(1, 3)) continue;
        if (!view || view->epoch != client.epoch) continue;
        const uint64_t end = view->first_unacked.value() + client.receive_maximum;
        Status read = state.read_queue(client.session, MessageNumber(client.next), kReadAtOnce,
                                       UINT64_MAX, now, [&](const cluster::QueueEntryView& entry) {
                                           if (entry.number.value() >= end) return false;
                                           take(client, entry);
                                           client.next = entry.number.value() + 1;
                                           return complaint_.empty();
                                       });
        if (!read) return read;
    }
    return {};
}

void ShardWorld::take(Client& client, const cluster::QueueEntryView& entry) {
    const uint64_t number = entry.number.value();
    if (entry.expired) {
        client.acks.push_back({entry.number, cluster::AckKind::Expired});
        return;
    }
    const std::string where = client.id + " number " + std::to_string(number);
    if (entry.packet_id.value() != packet_id(number)) {
        complain("R-6: packet identifier of " + where);
    }
    if (entry.dup != (number <= client.mark)) complain("R-6: DUP of " + where);
    const auto known = client.seen.find(number);
    if (known == client.seen.end()) {
        if (!client.seen.empty() && number < client.seen.rbegin()->first) {
            complain("M3: an older message after a newer one: " + where);
        }
        if (entry.pubrec_known) complain("R-6: a PUBREL for what was never sent: " + where);
    } else {
        const Seen& seen = known->second;
        if (seen.payload != entry.message.payload) complain("R-6: another payload: " + where);
        if (seen.done) complain("M2: sent again after it was completed: " + where);
        if (!entry.dup) complain("R-6: DUP=0 for what was sent before: " + where);
        if (seen.pubrec_committed && !entry.pubrec_known) {
            complain("M2: a committed PUBREC was forgotten: " + where);
        }
        ++counts_.redelivered;
    }
    if (entry.packet_id == PacketId(1) && known == client.seen.end()) ++counts_.packet_ids_wrapped;
    client.highest = std::max(client.highest, number);
    client.seen[number].payload = entry.message.payload;
    hand_to_application(client, entry);
}

void ShardWorld::hand_to_application(Client& client, const cluster::QueueEntryView& entry) {
    const uint16_t id = packet_id(entry.number.value());
    if (entry.pubrec_known) {
        ++counts_.pubrels_resumed;
        client.unfinished.erase(id);
        client.acks.push_back({entry.number, cluster::AckKind::Pubcomp});
        return;
    }
    const bool twice = entry.message.qos == mqtt::QoS::ExactlyOnce;
    client.acks.push_back(
        {entry.number, twice ? cluster::AckKind::PubrecOk : cluster::AckKind::Puback});
    if (twice && !client.unfinished.insert(id).second) return;
    const std::string payload(entry.message.payload);
    const uint32_t times = ++client.delivered[payload];
    ++counts_.delivered;
    if (twice && times > 1) complain("M2: " + client.id + " got twice: " + payload);
    if (times > 1) return;
    const auto [name, sequence] = parts(payload);
    uint64_t& newest = client.newest[name];
    // Who subscribed between two copies of a QoS 1 message may see the second one first.
    const Published& published = published_[payload];
    const bool in_order =
        published.owed_to.contains(client.index) && !(refusals_ && published.again);
    if (in_order && sequence <= newest) {
        complain("M3: " + client.id + " got out of order: " + payload);
    }
    newest = std::max(newest, sequence);
}

Status ShardWorld::read_retained(const cluster::ShardState& state, ClusterTime now,
                                 Random& random) {
    const std::size_t topic = random.below(registers_.size());
    Register& written = registers_[topic];
    uint64_t version = 0;
    const auto found = state.retained_get(
        "r" + std::to_string(topic), now, [&version](const cluster::RetainedView& retained) {
            const std::string_view text = retained.message.payload;
            std::from_chars(text.data(), text.data() + text.size(), version);
        });
    if (!found) return found.error();
    ++counts_.retained_reads;
    if (version != written.read) {
        written.read = version;
        if (written.loose.erase(version) > 0) {
            // It took effect late, perhaps over everything that was acknowledged so far or is
            // under way.
            written.level = std::max(written.level, written.acknowledged);
            for (uint64_t i = written.acknowledged + 1; i <= written.proposed; ++i)
                written.loose.insert(i);
        } else {
            if (version <= written.level) {
                complain("M5: r" + std::to_string(topic) + " went back from version " +
                         std::to_string(written.level) + " to " + std::to_string(version));
            }
            if (version > written.proposed) complain("M5: a retained value that nobody wrote");
            written.level = version;
        }
    }
    if (written.level < written.acknowledged) {
        complain("M5: an acknowledged retained value is gone");
    }
    return {};
}

void ShardWorld::judge() {
    for (const auto& [payload, published] : published_) {
        if (!published.acknowledged) continue;
        for (const std::size_t index : published.owed_to) {
            if (clients_[index].delivered.contains(payload)) continue;
            complain("M1: acknowledged, and never reached " + clients_[index].id + ": " + payload);
        }
    }
    for (const auto& [payload, will] : wills_) {
        const bool sent = clients_[0].delivered.contains(payload);
        if (sent) ++counts_.wills_sent;
        if (!will.watched || will.unsure) continue;
        if (sent && (will.normal || will.cancelled || !will.lost_at)) {
            complain("M6: a will that nobody wanted: " + payload);
        }
        const bool wanted = will.lost_at && !will.cancelled && !will.maybe_normal;
        if (wanted && !sent) complain("M6: a will that was never published: " + payload);
    }
}

}  // namespace quorate::sim
