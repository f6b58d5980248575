// Everything that passes between this node and the others: parcels out, and whatever comes in on a
// link told apart by its first byte and handed to whom it is for.
//
//   1 Raft ─► GroupPost      2 parcel ─► Ingress      3 lease ─► the group's worker
//   4 announcement ─► Leaders      5 send again        questions ─► who answers them
//
// What a full link refuses waits here, in order, up to kWaitingMax bytes a node; beyond that it is
// dropped, and when the link has room again everybody sends again what is unanswered, as after a
// break: here, and on the node that was to get it, since answers may be among it. When a link
// begins, in either direction, that is so at once: what was under way is lost.
//
// Thread: post: any; the handler's: the link's; the rest: whoever starts and stops. Owner: the
// Cluster. Errors: items of unknown kinds, and parcels of incarnations that are down, are dropped
// and counted. Spec.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "cluster/group/group_post.h"
#include "cluster/link/link.h"
#include "cluster/router/remote/ingress.h"
#include "cluster/router/remote/leaders.h"
#include "cluster/router/remote/peers.h"
#include "cluster/router/remote/remote_outbound.h"
#include "proto/base/ids.h"

namespace quorate::cluster {

// Where items leave: the links, or a test in their place. Thread: any.
class ItemDoor {
  public:
    virtual ~ItemDoor() = default;
    [[nodiscard]] virtual link::Offer offer(NodeId to, std::string_view item) = 0;
};

class PostOffice final : public RemoteOffice, public link::LinkHandler {
  public:
    static constexpr std::size_t kWaitingMax = std::size_t{64} << 20U;
    // The first byte of an item, and all of it.
    static constexpr uint8_t kSendAgain = 5;

    struct Context {
        Leaders& leaders;
        Peers& peers;
        GroupPost& groups;
        // Both on the link thread, which they must not hold up.
        std::function<void(NodeId from, std::string item)> lease;
        std::function<void(const link::QuestionView& question, link::AnswerDoor answer)> question;
    };
    explicit PostOffice(Context context) : context_(std::move(context)) {}

    // Items leave from now on, until disconnect(). Requires: `links` lives until then.
    void connect(link::LinkHost& links) {
        links_.links = &links;
        connect(links_);
    }
    void connect(ItemDoor& door) { door_.store(&door, std::memory_order_release); }
    void disconnect() { door_.store(nullptr, std::memory_order_release); }
    // Parcels are taken in from now on: this start of the node has its incarnation. Outlives this.
    void open(Ingress& ingress) { ingress_.store(&ingress, std::memory_order_release); }

    void post(NodeId to, std::string_view item) override;
    // Sends what waits, if there is room.
    void pump() override;

    void on_up(const link::StreamId& stream) noexcept override;
    void on_down(const link::StreamId& stream, LinkEnd end) noexcept override;
    void on_batch(const link::StreamId& from, link::ReceivedBatch batch) noexcept override;
    void on_question(const link::QuestionView& question, link::AnswerDoor answer) noexcept override;

    // Items that came and were nobody's; items that were dropped because their link was full, or
    // takes none of that size.
    [[nodiscard]] uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }
    [[nodiscard]] uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

  private:
    struct Links final : ItemDoor {
        link::LinkHost* links = nullptr;
        [[nodiscard]] link::Offer offer(NodeId to, std::string_view item) override {
            return links->offer({to, TrafficClass::Publishes}, as_bytes(item));
        }
    };
    struct Waiting {
        std::deque<std::string> items;
        std::size_t bytes = 0;
        bool lost = false;  // something that should be here was dropped
    };
    // False: the link is full.
    [[nodiscard]] bool offer(ItemDoor& door, NodeId to, std::string_view item);
    void drain(ItemDoor& door, NodeId to, Waiting& waiting);
    void again(NodeId node);
    void take(const link::StreamId& from, std::string_view item);

    Context context_;
    Links links_;
    std::atomic<ItemDoor*> door_{nullptr};
    std::atomic<Ingress*> ingress_{nullptr};
    std::mutex mutex_;
    std::map<NodeId, Waiting> waiting_;  // guarded by mutex_
    std::atomic<bool> any_waiting_{false};
    std::atomic<uint64_t> refused_{0};
    std::atomic<uint64_t> dropped_{0};
};

}  // namespace quorate::cluster
