#include "cluster/router/nodes/stream_desk.h"

namespace quorate::cluster {

void StreamDesk::lead(ShardId shard, Term term) {
    follow(shard);
    Shard& led = shards_[shard];
    led.acceptor.lead(term);
    led.gate.lead(term);
    led.gate.first_entry_applied(term);
}

void StreamDesk::follow(ShardId shard) {
    if (shards_.erase(shard) == 0) return;
    std::erase_if(open_, [shard](const auto& entry) { return entry.second.answer.shard == shard; });
}

void StreamDesk::arrived(const PortRef& from, const StreamName& name, const StreamParcel& parcel,
                         bool may_act) {
    const auto found = shards_.find(parcel.shard);
    if (found == shards_.end()) {
        // Not led here, or not yet: the loop looks for the owner again.
        if (parcel.begin) return refuse(from, parcel.shard, parcel.begin->attempt);
        if (!parcel.items.empty()) refuse(from, parcel.shard, parcel.items.front().attempt);
        return;
    }
    Shard& shard = found->second;
    if (parcel.begin && shard.acceptor.begin(name, *parcel.begin, may_act) == Acceptance::Refuse) {
        refuse(from, parcel.shard, parcel.begin->attempt);
    }
    std::optional<uint32_t> refused;
    for (const StreamItem& item : parcel.items) {
        switch (shard.acceptor.item(name, item, may_act)) {
            case Acceptance::Accept:
                take(from, name, parcel.shard, shard, item);
                break;
            case Acceptance::Refuse:
                if (refused != item.attempt) refuse(from, parcel.shard, item.attempt);
                refused = item.attempt;
                break;
            case Acceptance::Ignore:
                break;
        }
    }
}

void StreamDesk::take(const PortRef& from, const StreamName& name, ShardId id, Shard& shard,
                      const StreamItem& item) {
    const auto message = mqtt::decode_message(item.message.text());
    if (!message) return;  // of another node: judged by the codec
    StreamPublish publish;
    publish.message = *message;
    publish.stream = name;
    publish.number = item.number;
    if (item.number != 0) {
        publish.token = next_token_++;
        if (!shard.gate.open(publish.token)) return refuse(from, id, item.attempt);
        Open& open = open_[publish.token];
        open.loop = from;
        open.answer.shard = id;
        open.answer.attempt = item.attempt;
        open.answer.number = item.number;
        if (message->qos == mqtt::QoS::ExactlyOnce) publish.source = source_of(name, id, item);
    }
    host_.distribute(publish);
}

void StreamDesk::done(uint64_t token, uint32_t receivers, mqtt::ReasonCode code) {
    const auto found = open_.find(token);
    if (found == open_.end()) return;
    found->second.answer.receivers = receivers;
    found->second.answer.code = code;
    std::vector<uint64_t> answers;
    shards_.at(found->second.answer.shard).gate.complete(token, answers);
    send(answers);
}

void StreamDesk::stale(ShardId shard, Term term) {
    const auto found = shards_.find(shard);
    if (found != shards_.end() && found->second.gate.term() == term) found->second.gate.stale();
}

void StreamDesk::round(ShardId shard, uint64_t round, bool confirmed) {
    const auto found = shards_.find(shard);
    if (found == shards_.end()) return;
    if (!confirmed) return found->second.gate.round_failed(round);
    std::vector<uint64_t> answers;
    found->second.gate.round_confirmed(round, answers);
    send(answers);
}

void StreamDesk::end_turn() {
    for (auto& [id, shard] : shards_) {
        if (!shard.gate.wants_round()) continue;
        const uint64_t round = next_round_++;
        if (host_.confirm(id, round)) shard.gate.round_begun(round);
    }
}

void StreamDesk::down(Incarnation incarnation) {
    for (auto& [id, shard] : shards_)
        shard.acceptor.down(incarnation);
}

void StreamDesk::send(const std::vector<uint64_t>& tokens) {
    for (const uint64_t token : tokens) {
        const auto found = open_.find(token);
        if (found == open_.end()) continue;
        host_.answer(found->second.loop, found->second.answer);
        open_.erase(found);
    }
}

void StreamDesk::refuse(const PortRef& to, ShardId shard, uint32_t attempt) {
    StreamAnswer answer;
    answer.shard = shard;
    answer.attempt = attempt;
    answer.refused = true;
    host_.answer(to, answer);
}

}  // namespace quorate::cluster
