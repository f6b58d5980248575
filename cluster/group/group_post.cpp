#include "cluster/group/group_post.h"

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "cluster/group/group_host.h"
#include "cluster/raft/message_codec.h"
#include "proto/base/bytes.h"

namespace quorate::cluster {
namespace {

struct Item {
    GroupId group;
    std::string_view message;
};

std::optional<Item> read_item(ByteView bytes) {
    RecordReader in(as_text(bytes));
    if (in.u8() != static_cast<uint8_t>(GroupPost::kRaftMessage)) return std::nullopt;
    Item item;
    item.group = in.id<GroupId>();
    item.message = in.rest();
    if (in.failed()) return std::nullopt;
    return item;
}

TrafficClass class_of(const raft::Message& message) {
    return std::holds_alternative<raft::InstallSnapshot>(message.body) ? TrafficClass::Bulk
                                                                       : TrafficClass::Consensus;
}

// Where GroupHost pins a group by default.
WorkerId worker_of(GroupId group, uint32_t workers) {
    return WorkerId(static_cast<uint16_t>(group.value() % workers));
}

}  // namespace

void GroupPost::connect(link::LinkHost& links, GroupHost& host) {
    host_.store(&host, std::memory_order_release);
    links_.store(&links, std::memory_order_release);
}

void GroupPost::disconnect() {
    links_.store(nullptr, std::memory_order_release);
    host_.store(nullptr, std::memory_order_release);
}

void GroupPost::send(GroupId group, raft::Message message) {
    link::LinkHost* links = links_.load(std::memory_order_acquire);
    if (links == nullptr) return;
    std::string bytes;
    RecordWriter head(bytes);
    head.u8(static_cast<uint8_t>(kRaftMessage));
    head.id(group);
    raft::encode_message(bytes, message);
    const link::Target to{node_of_(message.to), class_of(message)};
    if (links->offer(to, as_bytes(bytes)) != link::Offer::Taken) {
        dropped_.fetch_add(1, std::memory_order_relaxed);
    }
}

void GroupPost::arrived(NodeId from, const link::ReceivedBatch& batch) {
    GroupHost* host = host_.load(std::memory_order_acquire);
    if (host == nullptr) return;
    std::vector<bool> told(host->workers(), false);
    link::BatchReader items = batch.items();
    while (const auto bytes = items.next()) {
        // Items of other kinds are other layers'.
        if (bytes->empty() || static_cast<char>(bytes->front()) != kRaftMessage) continue;
        const auto item = read_item(*bytes);
        if (!item) {
            refused_.fetch_add(1, std::memory_order_relaxed);
            continue;
        }
        const WorkerId worker = worker_of(item->group, host->workers());
        if (told[worker.value()]) continue;
        told[worker.value()] = true;
        Task task([this, worker, from, batch] { step(worker, from, batch); });
        if (!host->worker(worker).post(task)) dropped_.fetch_add(1, std::memory_order_relaxed);
    }
}

void GroupPost::step(WorkerId worker, NodeId from, const link::ReceivedBatch& batch) {
    GroupHost* host = host_.load(std::memory_order_acquire);
    if (host == nullptr) return;
    link::BatchReader items = batch.items();
    while (const auto bytes = items.next()) {
        const auto item = read_item(*bytes);
        if (!item || worker_of(item->group, host->workers()) != worker) continue;
        Group* group = host->worker(worker).group(item->group);
        if (group == nullptr) continue;
        const auto message = raft::decode_message(item->message);
        if (!message.ok() || node_of_(message->from) != from) {
            refused_.fetch_add(1, std::memory_order_relaxed);
            continue;
        }
        group->step(*message);
    }
}

}  // namespace quorate::cluster
