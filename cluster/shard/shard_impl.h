// The inside of ShardState, shared by the files that implement it: one file per family of commands.
// See shard_state.h for thread, owner, errors and specification.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/sessions/message_store.h"
#include "cluster/sessions/outbox.h"
#include "cluster/sessions/repeat_filter.h"
#include "cluster/sessions/session.h"
#include "cluster/sessions/session_table.h"
#include "cluster/sessions/shared_groups.h"
#include "cluster/sessions/subscription_index.h"
#include "cluster/sessions/timers.h"
#include "cluster/shard/producers.h"
#include "cluster/shard/shard_state.h"
#include "cluster/shard/tail_cache.h"
#include "cluster/topics/retained_table.h"
#include "cluster/topics/route_table.h"

namespace quorate::cluster {

class ShardState::Impl {
  public:
    Impl(const Identity& identity, const ShardOptions& options);

    // In shard_state.cpp.
    Status load(const storage::StateStore& store);
    Status apply(ClusterTime now, std::string_view command, storage::StateBatch& batch,
                 Actions& actions);
    void end_entry(storage::StateBatch& batch);
    [[nodiscard]] std::optional<ClusterTime> next_deadline() const;
    [[nodiscard]] uint64_t digest() const;
    [[nodiscard]] ShardCounts counts() const;

    Identity identity_;
    ShardOptions options_;
    const storage::StateStore* store_ = nullptr;
    ClusterTime now_;
    Producers producers_;
    MessageStore bodies_;
    SessionTable sessions_;
    SubscriptionIndex subscriptions_;
    Outbox outbox_;
    RepeatFilters repeats_;
    SharedGroups groups_;
    RouteTable routes_;
    RetainedTable retained_;
    std::map<RetainStream, uint64_t> retain_streams_;
    Timers timers_;
    TailCache tail_;
    ShardCounters counters_;
    uint64_t queued_messages_ = 0;
    uint64_t queued_bytes_ = 0;
    uint64_t subscription_count_ = 0;
    uint64_t wills_pending_ = 0;

    // Retained messages that the queue may take at once: up to half of what it may hold.
    [[nodiscard]] uint32_t replay_room(const SessionQueue& queue) const;

  private:
    // One session that an Enqueue reaches; its subscription ids are ids_[first_id, +id_count).
    struct Delivery {
        Session* session = nullptr;
        mqtt::QoS qos = mqtt::QoS::AtMostOnce;
        bool retain = false;
        uint16_t share = 0;
        std::size_t first_id = 0;
        std::size_t id_count = 0;
    };
    // What the copies of one Enqueue have in common.
    struct Incoming {
        std::string_view flat;
        mqtt::MessageView view;
        ClusterTime expires_at;
    };

    // In shard_state.cpp: answering.
    void answer(AnswerCode code, CommandResult result = {});
    void answer_attach(const WaitingAttach& asked, AnswerCode code, const AttachResult& result);
    [[nodiscard]] bool refuse_unless_applicable(const CommandHeader& header,
                                                const CommandBody& body);
    // The session of a command by a connection, or null after answering.
    [[nodiscard]] Session* attached_session(SessionId id, Epoch epoch);
    void duplicate(const CommandBody& body);
    void duplicate_attach(const Attach& body);
    // The session as its connection has to know it.
    static void describe(const Session& session, AttachResult& result);
    void duplicate_subscribe(const Subscribe& body);
    [[nodiscard]] ClusterTime after_seconds(uint64_t seconds) const {
        return ClusterTime(now_.value() + seconds * 1000);
    }
    [[nodiscard]] ClusterTime expiry_of(const std::optional<uint32_t>& seconds) const {
        return seconds ? after_seconds(*seconds) : ClusterTime();
    }

    void on(const Attach& body);
    void on(const Detached& body);
    void on(const Subscribe& body);
    void on(const Unsubscribe& body);
    void on(const Enqueue& body);
    void on(const EnqueueGroup& body);
    void on(const Ack& body);
    void on(const OutboxPut& body);
    void on(const Release& body);
    void on(const Retain& body);
    void on(const OutboxDone& body);
    void on(const Route& body);
    void on(const Made& body);
    void on(const NodeDown& body);
    void on(const Tick& body);
    void on(const Void& body);
    void on(const EndSession& body);
    void on(const GroupPick& body);
    void on(const OutboxReturn& body);
    void on(const Replay& body);

    // In shard_attach.cpp.
    [[nodiscard]] Session* bring_up_to_now(Session* session);
    [[nodiscard]] WaitingAttach request_of(const Attach& body, const mqtt::MessageView* will);
    void wait_for_holder(Session& session, WaitingAttach asked);
    void drop_waiting(Session& session, mqtt::ReasonCode code);
    void complete_attach(Session* session, const std::string& client_id,
                         const std::string& identity, const WaitingAttach& asked);
    void detach(Session& session, DetachHow how, std::optional<uint32_t> new_expiry_s,
                std::optional<MessageNumber> highest_written);
    void go_away(Session& session);
    void end_session(Session& session, SessionEndCause cause);
    void set_will(Session& session, const std::optional<Will>& will);
    void remove_will(Session& session);
    void publish_will(Session& session);
    [[nodiscard]] uint32_t node_down_topics(Incarnation incarnation, uint32_t budget);
    [[nodiscard]] uint32_t node_down_groups(Incarnation incarnation, uint32_t budget);
    void run_timer(const Timer& timer);

    // In shard_subscribe.cpp.
    [[nodiscard]] RequestedSubscription subscribe(Session& session,
                                                  const SubscriptionRequest& request,
                                                  uint32_t shared_max);
    void set_replay(Session& session, std::string_view filter, std::optional<PendingReplay> replay);
    [[nodiscard]] bool take_replayed(Session& session, const Subscription& subscription,
                                     const Replay& body, PendingReplay& left);
    [[nodiscard]] RequestedSubscription subscribe_shared(Session& session,
                                                         const SubscriptionRequest& request,
                                                         Subscription subscription);
    // Removes what the index and the groups know of one subscription, not the session's own entry.
    void remove_from_index(Session& session, std::string_view filter,
                           const Subscription& subscription);
    void change_member(const Route& body);
    void group_changed(SharedGroup& group);

    // In shard_messages.cpp.
    [[nodiscard]] std::optional<mqtt::MessageView> decode(std::string_view flat) const;
    // False after answering: taken before, or refused.
    [[nodiscard]] bool take_from_outbox(const std::optional<OutboxSource>& source,
                                        const CommandResult& repeat);
    void match(const Incoming& incoming, EnqueueResult& result);
    void match_session(const Incoming& incoming, std::size_t from, std::size_t to,
                       EnqueueResult& result);
    void restrict_to(const Incoming& incoming, const Restriction& only, bool from_group);
    void deliver(const Incoming& incoming, EnqueueResult& result);
    void live_copy(const Incoming& incoming, const Delivery& delivery, EnqueueResult& result);
    void push(const Incoming& incoming, const Delivery& delivery, BodyId body,
              EnqueueResult& result);
    [[nodiscard]] uint64_t span_max() const;
    [[nodiscard]] bool make_room(Session& session, uint64_t bytes, EnqueueResult& result);
    // Takes an entry out of a queue and lets go of its body.
    void settle(Session& session, MessageNumber number);
    // The same, handing the body reference to the caller.
    [[nodiscard]] QueuedMessage take_entry(Session& session, MessageNumber number);
    [[nodiscard]] bool acknowledge(Session& session, const AckItem& item);
    void purge_queue(Session& session, std::size_t max);
    void arm_purge(Session& session, ClusterTime expires_at);
    // Entries that came by shared subscriptions go back (share 0: all of them), of QoS 2 those that
    // no connection can have been sent.
    void return_shared(Session& session, uint16_t share);

    // In shard_outbox.cpp.
    void put_outbox(const OutboxTarget& target, OutboxEntry entry);
    void return_to_group(std::string_view share_filter, OutboxEntry entry);
    void push_group(SharedGroup& group, const GroupMessage& message);
    // An entry that its member did not take; it was admitted before, so no limit applies.
    void return_to_queue(const OutboxEntry& entry);
    void drop_group_messages(SharedGroup& group);
    void purge_group(SharedGroup& group);

    // Load.
    [[nodiscard]] Status load_header(const storage::StateStore& store);
    [[nodiscard]] Status load_retain_streams(const storage::StateStore& store);
    void count_after_load();

    // Of the apply() under way.
    storage::StateBatch* batch_ = nullptr;
    Actions* actions_ = nullptr;
    const CommandHeader* header_ = nullptr;
    // Scratch, kept for its memory.
    std::vector<Hit> hits_;
    std::vector<Delivery> deliveries_;
    std::vector<uint32_t> ids_;
    std::string record_;
};

}  // namespace quorate::cluster
