#include "cluster/router/remote/post_office.h"

#include <iterator>
#include <utility>
#include <vector>

#include "cluster/router/remote/announcements.h"
#include "cluster/router/remote/parcel_address.h"
#include "cluster/steward/lease_items.h"

namespace quorate::cluster {
namespace {

uint8_t kind_of(std::string_view item) {
    return item.empty() ? 0 : static_cast<uint8_t>(item.front());
}

}  // namespace

// While there is no link an item is dropped: everybody sends again when one begins.
bool PostOffice::offer(ItemDoor& door, NodeId to, std::string_view item) {
    const auto offered = door.offer(to, item);
    if (offered == link::Offer::TooLarge) dropped_.fetch_add(1, std::memory_order_relaxed);
    return offered != link::Offer::Full;
}

void PostOffice::post(NodeId to, std::string_view item) {
    ItemDoor* door = door_.load(std::memory_order_acquire);
    if (door == nullptr) return;
    if (!any_waiting_.load(std::memory_order_acquire) && offer(*door, to, item)) return;
    const std::lock_guard lock(mutex_);
    const auto found = waiting_.find(to);
    if (found == waiting_.end() && offer(*door, to, item)) return;
    Waiting& waiting = waiting_[to];
    any_waiting_.store(true, std::memory_order_release);
    if (waiting.lost || waiting.bytes + item.size() > kWaitingMax) {
        // From here on the order is broken: nothing more before what is lost is sent again.
        waiting.lost = true;
        dropped_.fetch_add(1, std::memory_order_relaxed);
        return;
    }
    waiting.items.emplace_back(item);
    waiting.bytes += item.size();
}

void PostOffice::pump() {
    if (!any_waiting_.load(std::memory_order_acquire)) return;
    ItemDoor* door = door_.load(std::memory_order_acquire);
    if (door == nullptr) return;
    std::vector<NodeId> lost;
    {
        const std::lock_guard lock(mutex_);
        for (auto at = waiting_.begin(); at != waiting_.end();) {
            Waiting& waiting = at->second;
            drain(*door, at->first, waiting);
            if (waiting.items.empty() && std::exchange(waiting.lost, false)) {
                lost.push_back(at->first);
                waiting.items.emplace_back(1, static_cast<char>(kSendAgain));
                waiting.bytes += 1;
                drain(*door, at->first, waiting);
            }
            at = waiting.items.empty() ? waiting_.erase(at) : std::next(at);
        }
        any_waiting_.store(!waiting_.empty(), std::memory_order_release);
    }
    for (const NodeId node : lost)
        again(node);
}

void PostOffice::drain(ItemDoor& door, NodeId to, Waiting& waiting) {
    while (!waiting.items.empty() && offer(door, to, waiting.items.front())) {
        waiting.bytes -= waiting.items.front().size();
        waiting.items.pop_front();
    }
}

void PostOffice::again(NodeId node) {
    context_.leaders.again(node);
    context_.peers.link_began(node);
}

void PostOffice::on_up(const link::StreamId& stream) noexcept {
    if (stream.traffic != TrafficClass::Publishes) return;
    if (stream.direction == link::Direction::Out) {
        const std::lock_guard lock(mutex_);
        waiting_.erase(stream.peer.node);
        any_waiting_.store(!waiting_.empty(), std::memory_order_release);
    }
    again(stream.peer.node);
}

void PostOffice::on_down(const link::StreamId& /*stream*/, LinkEnd /*end*/) noexcept {}

void PostOffice::on_batch(const link::StreamId& from, link::ReceivedBatch batch) noexcept {
    bool raft = false;
    link::BatchReader items = batch.items();
    while (const auto bytes = items.next()) {
        const std::string_view item = as_text(*bytes);
        if (kind_of(item) == static_cast<uint8_t>(GroupPost::kRaftMessage)) {
            raft = true;
        } else {
            take(from, item);
        }
    }
    if (raft) context_.groups.arrived(from.peer.node, batch);
}

void PostOffice::take(const link::StreamId& from, std::string_view item) {
    const NodeId node = from.peer.node;
    switch (kind_of(item)) {
        case ParcelAddress::kParcel: {
            Ingress* ingress = ingress_.load(std::memory_order_acquire);
            if (ingress == nullptr) return;
            // A node that is no member yet has nothing to say here.
            if (from.peer.incarnation == Incarnation()) break;
            if (context_.peers.down(from.peer.incarnation)) break;
            ingress->arrived(from.peer.incarnation, item);
            return;
        }
        case static_cast<uint8_t>(kLeaseItem):
            context_.lease(node, std::string(item));
            return;
        case kSendAgain:
            again(node);
            return;
        case kAnnouncement:
            if (const auto led = decode_announcement(item)) {
                for (const auto& [group, term] : *led)
                    (void)context_.leaders.learn(group, term, node);
                return;
            }
            break;
        default:
            break;
    }
    refused_.fetch_add(1, std::memory_order_relaxed);
}

void PostOffice::on_question(const link::QuestionView& question, link::AnswerDoor answer) noexcept {
    context_.question(question, std::move(answer));
}

}  // namespace quorate::cluster
