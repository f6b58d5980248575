// The replicated part of shared subscriptions whose groups hash to this shard: who is a member, and
// the messages that wait because a durable session is among them.
//
// A group exists while it has members or messages. Its messages have numbers of their own; a pick
// takes one out (into the shard's outbox), at whatever place it stands. Groups without a durable
// member hold no messages: their leader forwards without a commit.
//
// Thread: the shard's worker. Owner: ShardState. Errors: load answers Corrupt with the key.
// Spec: MQTT 5 §4.8.2; rules, "Shared groups".
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/sessions/message_store.h"
#include "cluster/sessions/timers.h"
#include "cluster/topics/destination.h"
#include "proto/base/ids.h"
#include "proto/base/result.h"

namespace quorate::cluster {

struct GroupMessage {
    BodyId body;
    uint32_t bytes = 0;
    ClusterTime expires_at;  // 0: never
    uint8_t qos = 0;
};

struct SharedGroup {
    uint64_t id = 0;                   // in this shard, never reused
    std::string name;                  // "name/filter"
    std::vector<GroupMember> members;  // in the order of joining
    MessageNumber next{1};
    std::map<MessageNumber, GroupMessage> messages;
    uint64_t bytes = 0;
    ClusterTime purge_at;
    bool dirty = false;

    [[nodiscard]] bool any_durable() const;
    [[nodiscard]] const GroupMember* find(const Destination& member) const;
};

class SharedGroups {
  public:
    [[nodiscard]] SharedGroup* find(std::string_view name);
    [[nodiscard]] const SharedGroup* find(std::string_view name) const;
    [[nodiscard]] SharedGroup* find(uint64_t id);
    // An existing group or a new one.
    SharedGroup& get(std::string_view name);

    // Adds, updates or removes a member; an older serial changes nothing. True: it changed.
    bool change_member(SharedGroup& group, const GroupMember& member, bool remove);
    // The best QoS of the members; nothing when there are none.
    [[nodiscard]] static std::optional<mqtt::QoS> best_qos(const SharedGroup& group);
    // Groups with a member connected to this or an earlier incarnation of the node.
    [[nodiscard]] std::vector<std::string> with_node(Incarnation node, std::size_t max) const;
    // Removes the members of that node.
    void remove_node(SharedGroup& group, Incarnation node);

    // Takes over the caller's reference to the body.
    MessageNumber push(SharedGroup& group, const GroupMessage& message, storage::StateBatch& batch);
    // The caller gets the reference to the body back.
    std::optional<GroupMessage> take(SharedGroup& group, MessageNumber number,
                                     storage::StateBatch& batch);
    // Removes the group and its record. Requires: no messages.
    void erase(SharedGroup& group, storage::StateBatch& batch);
    void mark(SharedGroup& group);
    void end_entry(storage::StateBatch& batch);

    [[nodiscard]] const std::map<std::string, SharedGroup, std::less<>>& all() const {
        return groups_;
    }
    [[nodiscard]] uint64_t next_id() const { return next_id_; }
    void set_next_id(uint64_t id) { next_id_ = id; }
    [[nodiscard]] uint64_t digest() const;

    [[nodiscard]] Status load(const storage::StateStore& store, MessageStore& bodies,
                              Timers& timers);
    [[nodiscard]] Status load_group(std::string_view key, std::string_view value);
    [[nodiscard]] Status load_message(std::string_view key, std::string_view value,
                                      MessageStore& bodies);

  private:
    std::map<std::string, SharedGroup, std::less<>> groups_;
    std::map<uint64_t, SharedGroup*> by_id_;
    std::vector<std::string> dirty_;
    uint64_t next_id_ = 1;
};

}  // namespace quorate::cluster
