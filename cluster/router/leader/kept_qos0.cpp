#include "cluster/router/leader/kept_qos0.h"

#include <utility>

namespace quorate::cluster {

uint64_t KeptQos0::cost(const Message& message) {
    // Shared between the sessions of a message, and counted for each: the bound is an upper one.
    return sizeof(Message) + message.flat.size() +
           message.subscription_ids.size() * sizeof(uint32_t);
}

void KeptQos0::drop_oldest(Queue& queue) {
    bytes_ -= cost(queue.front());
    queue.pop_front();
    --messages_;
    ++dropped_;
}

void KeptQos0::keep(SessionId session, Message message) {
    const uint64_t bytes = cost(message);
    Queue& queue = queues_[session];
    while (!queue.empty() &&
           (queue.size() >= limits_.messages_max || bytes_ + bytes > limits_.bytes_max)) {
        drop_oldest(queue);
    }
    const bool room = limits_.messages_max > 0 && bytes_ + bytes <= limits_.bytes_max;
    if (room) {
        queue.push_back(std::move(message));
        bytes_ += bytes;
        ++messages_;
    } else {
        ++dropped_;
    }
    if (queue.empty()) queues_.erase(session);
}

std::deque<KeptQos0::Message> KeptQos0::take(SessionId session) {
    const auto found = queues_.find(session);
    if (found == queues_.end()) return {};
    Queue out = std::move(found->second);
    queues_.erase(found);
    for (const Message& message : out)
        bytes_ -= cost(message);
    messages_ -= out.size();
    return out;
}

void KeptQos0::clear() {
    queues_.clear();
    messages_ = 0;
    bytes_ = 0;
}

}  // namespace quorate::cluster
