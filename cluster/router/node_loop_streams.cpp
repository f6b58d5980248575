// NodeLoopPort among other nodes: the loop's streams of publishes to the owners of their topics
//
#include <iterator>
#include <utility>

#include "cluster/group/group_ids.h"
#include "cluster/router/node_loop_port.h"
#include "proto/base/assert.h"

namespace quorate::cluster {

NodeLoopPort::Stream& NodeLoopPort::stream(ShardId shard) {
    auto& found = streams_[shard.value()];
    if (found == nullptr) found = std::make_unique<Stream>();
    return *found;
}

bool NodeLoopPort::into_stream(Ticket ticket, const mqtt::MessageView& message) {
    const ShardId shard = shard_of_topic(message.topic, context_.layout);
    Stream& stream = this->stream(shard);
    std::string flat;
    mqtt::encode_message(flat, message);
    if (!stream.items.open()) begin(shard, stream);
    if (message.qos == mqtt::QoS::AtMostOnce && !message.retain) {
        // Dropped, and counted, when the owner's thread is far behind or nobody is known to own.
        if (!outbound_.admit(group_of(shard), flat.size())) return true;
        if (!stream.items.add_qos0(SharedBytes(as_bytes(flat)))) context_.exchange.count_drop();
        stage(shard, stream);
        return true;
    }
    const LoopCredit& most = context_.credit;
    const bool full = stream.items.full() || in_streams_ >= most.publishes_max ||
                      (in_streams_ > 0 && in_streams_bytes_ + flat.size() > most.bytes_max);
    if (full) {
        refused_ = true;
        return false;
    }
    ++in_streams_;
    in_streams_bytes_ += flat.size();
    PublishStream::Publish publish;
    publish.connection = message.publisher;
    publish.ticket = ticket;
    publish.silent = ticket == 0;
    publish.deadline = context_.others->clock.now() + context_.publish_timeout;
    publish.message = SharedBytes(as_bytes(flat));
    const bool added = stream.items.add(std::move(publish)).has_value();
    ASSERT(added, "a stream that is not full takes an item");
    used_.insert(shard);
    stage(shard, stream);
    return true;
}

void NodeLoopPort::stage(ShardId shard, Stream& stream) {
    if (std::exchange(stream.staged, true)) return;
    staged_.push_back(shard);
}

void NodeLoopPort::begin(ShardId shard, Stream& stream) {
    const GroupId group = group_of(shard);
    const bool known = outbound_.leader_place(group).node != NodeId();
    if (!known || context_.others->clock.now() < stream.begin_at) return;
    stream.items.begin(context_.others->leaders.term(group));
    stage(shard, stream);
}

void NodeLoopPort::on_stream_answer(const StreamAnswer& answer) {
    if (answer.shard.value() >= streams_.size()) return;
    const auto& found = streams_[answer.shard.value()];
    if (found == nullptr) return;
    if (!answer.refused) {
        found->items.answered(answer.attempt, answer.number, answer.code, answer.receivers);
    } else if (found->items.refused(answer.attempt)) {
        found->begin_at = context_.others->clock.now() + kAgain;
    }
}

void NodeLoopPort::look_after_streams() {
    const auto now = context_.others->clock.now();
    const bool expire = now >= next_expire_;
    if (expire) next_expire_ = now + kExpireEvery;
    TakenBatch settled;
    in_streams_ = 0;
    in_streams_bytes_ = 0;
    for (auto at = used_.begin(); at != used_.end();) {
        Stream& stream = *streams_[at->value()];
        if (expire) stream.items.expire(now);
        for (const PublishStream::Settled& each : stream.items.take_settled()) {
            const auto code =
                each.timed_out ? mqtt::ReasonCode::ImplementationSpecificError : each.code;
            if (each.ticket != 0) settled.taken.push_back({each.ticket, each.receivers, code});
        }
        if (!stream.items.open()) begin(*at, stream);
        in_streams_ += stream.items.unanswered();
        in_streams_bytes_ += stream.items.bytes();
        at = stream.items.unanswered() == 0 ? used_.erase(at) : std::next(at);
    }
    if (!settled.taken.empty()) sink_.on_taken(settled);
}

void NodeLoopPort::send_streams() {
    for (const ShardId shard : std::exchange(staged_, {})) {
        Stream& stream = *streams_[shard.value()];
        stream.staged = false;
        PublishStream::Output out = stream.items.take();
        if (!out.begin && out.items.empty()) continue;
        outbound_.leader(group_of(shard))
            .streams.push_back({shard, context_.loop, out.begin, std::move(out.items)});
    }
}

void NodeLoopPort::publisher_gone(uint64_t publisher) {
    for (const ShardId shard : used_)
        streams_[shard.value()]->items.connection_gone(publisher);
}

}  // namespace quorate::cluster
