#include "cluster/router/owner.h"

#include <bit>
#include <optional>

#include "proto/base/assert.h"

namespace quorate::cluster {
namespace {

SharedBytes flatten(const mqtt::MessageView& message) {
    std::string flat;
    mqtt::encode_message(flat, message);
    return SharedBytes(as_bytes(flat));
}

mqtt::MessageView unflatten(const SharedBytes& flat) {
    const auto message = mqtt::decode_message(flat.text());
    ASSERT(message.has_value(), "a message kept by this process is well formed");
    return *message;
}

// Of a command that was answered without a result.
mqtt::ReasonCode reason_of(AnswerCode code) {
    if (code == AnswerCode::LimitExceeded) return mqtt::ReasonCode::QuotaExceeded;
    const bool applied = code == AnswerCode::Applied || code == AnswerCode::Duplicate;
    return applied ? mqtt::ReasonCode::Success : mqtt::ReasonCode::ImplementationSpecificError;
}

}  // namespace

void Owner::publish(PortRef asker, Ticket ticket, const mqtt::MessageView& message, bool skip_loops,
                    const OutboxSource* source, const RetainNumber& place) {
    Waiting item;
    item.place = place;
    item.asker = LoopAsker{asker, ticket};
    item.skip_loops = skip_loops;
    if (source != nullptr) item.source = *source;
    accept(std::move(item), message);
}

void Owner::hand_over(const HandOver& entry) {
    Waiting item;
    item.asker =
        HandOverDone{entry.source.stream.source, entry.source.stream.target, entry.source.number};
    item.from_outbox = true;
    item.source = entry.source;
    item.message = entry.message;
    const mqtt::MessageView message = unflatten(item.message);
    accept(std::move(item), message);
}

void Owner::accept(Waiting&& item, const mqtt::MessageView& message) {
    const auto held = held_.find(message.topic);
    if (held == held_.end()) {
        start(item, message);
        return;
    }
    if (item.message.empty()) item.message = flatten(message);
    held->second.push_back(std::move(item));
    ++held_count_;
}

bool Owner::start(const Waiting& item, const mqtt::MessageView& message) {
    const uint64_t token = open(item.asker);
    Operation& operation = *find(token);
    operation.skip_loops = item.skip_loops;
    operation.from_outbox = item.from_outbox;
    operation.source = item.source;
    if (!message.retain) {
        distribute(token, message);
        return false;
    }
    if (!message.payload.empty() && !host_.may_retain(message.topic, item.from_outbox)) {
        operation.awaited = 1;
        arrived(token, 0, mqtt::ReasonCode::QuotaExceeded);
        return false;
    }
    operation.retaining = true;
    operation.message = item.message.empty() ? flatten(message) : item.message;
    held_.try_emplace(std::string(message.topic));
    Retain command;
    command.message = operation.message.text();
    command.stream = item.place.stream;
    command.stream_number = item.place.number;
    host_.retain(shard_of_topic(message.topic, layout_), token, command);
    return true;
}

void Owner::distribute(uint64_t token, const mqtt::MessageView& message) {
    destinations_.clear();
    Operation& operation = *find(token);
    operation.awaited = 1;  // this function, so that no answer ends it early
    const OutboxSource* source = operation.source ? &*operation.source : nullptr;
    const bool committed = message.qos != mqtt::QoS::AtMostOnce;
    // Of QoS 0, who the match did not reach before it was cut off goes without.
    if (!host_.match(message.topic, destinations_, operation.from_outbox)) {
        ++cut_off_;
        if (committed) return arrived(token, 0, mqtt::ReasonCode::QuotaExceeded);
    }
    const bool here = !operation.skip_loops && destinations_.loops != 0 &&
                      (source == nullptr || host_.first_time(*source));
    if (here) {
        for (uint64_t loops = destinations_.loops; loops != 0; loops &= loops - 1) {
            if (committed) ++operation.awaited;
            host_.to_loop(LoopId(static_cast<uint16_t>(std::countr_zero(loops))),
                          committed ? token : 0, message, source);
        }
    }
    if (destinations_.replicated()) to_sessions(token, message, committed);
    arrived(token, 0, mqtt::ReasonCode::Success);
}

// Where no loop of this node matches again: shards, groups, other nodes.
void Owner::to_sessions(uint64_t token, const mqtt::MessageView& message, bool committed) {
    Operation& operation = *find(token);
    const OutboxSource* source = operation.source ? &*operation.source : nullptr;
    const ShardId of = shard_of_topic(message.topic, layout_);
    std::string flat;
    mqtt::encode_message(flat, message);
    for (const ShardRoute& route : destinations_.shards) {
        if (!committed || route.best_qos == mqtt::QoS::AtMostOnce) {
            host_.to_live(route.shard, message);
            continue;
        }
        Enqueue command;
        command.message = flat;
        command.source = operation.source;
        ++operation.awaited;
        host_.enqueue(route.shard, token, command, of);
    }
    if (destinations_.groups.empty() && destinations_.nodes.empty()) return;
    const SharedBytes shared{as_bytes(flat)};
    for (const GroupRoute& group : destinations_.groups) {
        if (committed) ++operation.awaited;
        host_.to_group(group, committed ? token : 0, shared, source);
    }
    for (const Incarnation node : destinations_.nodes) {
        const bool sent = host_.to_node(node, committed ? token : 0, shared, source, of);
        if (sent && committed) ++operation.awaited;
    }
}

void Owner::on_command(uint64_t token, const Answer& answer) {
    if (answer.code == AnswerCode::StaleSource) return abandon(token);
    Operation* operation = find(token);
    if (operation == nullptr) return;
    if (operation->retaining) {
        operation->retaining = false;
        if (const auto* result = std::get_if<RetainResult>(&answer.result)) {
            operation->code = result->code;
        } else if (answer.code != AnswerCode::Applied && answer.code != AnswerCode::Duplicate) {
            operation->code = mqtt::ReasonCode::QuotaExceeded;
        }
        const SharedBytes kept = std::move(operation->message);
        const mqtt::MessageView message = unflatten(kept);
        if (operation->code == mqtt::ReasonCode::Success) {
            distribute(token, message);
        } else {
            operation->awaited = 1;
            arrived(token, 0, operation->code);
        }
        release_topic(message.topic);
        return;
    }
    const auto* result = std::get_if<EnqueueResult>(&answer.result);
    if (result == nullptr) {
        arrived(token, 0, reason_of(answer.code));
        return;
    }
    arrived(token, result->queued + result->live_qos0,
            result->rejected > 0 ? mqtt::ReasonCode::QuotaExceeded : mqtt::ReasonCode::Success);
}

void Owner::on_taken(const TakenBatch::Taken& taken) {
    arrived(taken.ticket, taken.receivers, taken.code);
}

void Owner::on_copied(uint64_t token, uint32_t receivers, bool stale) {
    if (stale) return abandon(token);
    arrived(token, receivers, mqtt::ReasonCode::Success);
}

void Owner::abandon(uint64_t token) {
    Operation* operation = find(token);
    if (operation == nullptr) return;
    operation->abandoned = true;
    arrived(token, 0, mqtt::ReasonCode::Success);
}

void Owner::arrived(uint64_t token, uint32_t receivers, mqtt::ReasonCode code) {
    Operation* operation = find(token);
    if (operation == nullptr) return;
    ASSERT(operation->awaited > 0, "an answer that nobody waits for");
    operation->receivers += receivers;
    if (code != mqtt::ReasonCode::Success) operation->code = code;
    if (--operation->awaited > 0) return;
    finish(*operation);
    close(token);
}

void Owner::finish(Operation& operation) {
    if (operation.abandoned) return;
    if (const auto* loop = std::get_if<LoopAsker>(&operation.asker)) {
        if (loop->ticket != 0) {
            host_.answer(loop->port, {loop->ticket, operation.receivers, operation.code});
        }
    } else {
        // An outbox entry is done also when a limit dropped it: the drop was counted.
        host_.answer(std::get<HandOverDone>(operation.asker));
    }
}

void Owner::release_topic(std::string_view topic) {
    const auto held = held_.find(topic);
    if (held == held_.end()) return;
    while (!held->second.empty()) {
        const Waiting item = std::move(held->second.front());
        held->second.pop_front();
        --held_count_;
        const mqtt::MessageView message = unflatten(item.message);
        if (start(item, message)) return;  // it holds the topic again
    }
    held_.erase(held);
}

uint64_t Owner::open(Asker asker) {
    uint32_t index = 0;
    if (free_.empty()) {
        index = static_cast<uint32_t>(operations_.size());
        operations_.emplace_back();
    } else {
        index = free_.back();
        free_.pop_back();
    }
    Operation& operation = operations_[index];
    const uint32_t generation = operation.generation;
    operation = Operation{};
    operation.generation = generation;
    operation.asker = std::move(asker);
    // 24 bits of generation and 32 of index: lane tokens keep the top byte for themselves.
    return (static_cast<uint64_t>(generation & 0xFFFFFFU) << 32) | (uint64_t{index} + 1);
}

Owner::Operation* Owner::find(uint64_t token) {
    const uint64_t index = (token & 0xFFFFFFFFU) - 1;
    if (index >= operations_.size()) return nullptr;
    Operation& operation = operations_[index];
    if ((operation.generation & 0xFFFFFFU) != token >> 32) return nullptr;
    return &operation;
}

void Owner::close(uint64_t token) {
    const auto index = static_cast<uint32_t>((token & 0xFFFFFFFFU) - 1);
    ++operations_[index].generation;
    operations_[index].message = {};
    operations_[index].source = {};
    free_.push_back(index);
}

}  // namespace quorate::cluster
