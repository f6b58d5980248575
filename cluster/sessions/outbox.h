// What this shard owes to others and has promised already: QoS 2 publishes after PUBREC, wills that
// are due, picks of shared groups and what comes back from them.
//
// Entries are numbered per target from 1. The leader drives them in order within a window and
// reports each done; nothing else removes them, except that a whole node is down. Entries belong to
// the shard: the end of a session does not touch them.
//
//   put ──► unfinished ──(done)──► gone
//              │ window: the first W numbers from the first unfinished one
//              ▼
//           handed over with (H, unfinished below H), so that receivers recognise repeats
//
// Thread: the shard's worker. Owner: ShardState. Errors: load answers Corrupt with the key.
// Spec: rules R-5.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/sessions/message_store.h"
#include "cluster/sessions/outbox_source.h"
#include "cluster/topics/destination.h"
#include "cluster/topics/state_key.h"
#include "proto/base/ids.h"
#include "proto/base/result.h"

namespace quorate::cluster {

struct OutboxEntry {
    BodyId body;
    uint32_t bytes = 0;
    ClusterTime expires_at;  // 0: never
    uint8_t qos = 0;     // of the message; what returns to a group when a node goes depends on it
    std::string group;   // of Group targets, and of Session and Node
    Destination member;  // of Session and Node
};

class Outbox {
  public:
    struct Limits {
        uint64_t entries_max = 100'000;
        uint64_t bytes_max = 256ULL << 20U;
        uint32_t window = 256;
    };

    Outbox(ShardId source, const Limits& limits) : source_(source), limits_(limits) {}

    // A message of any size goes into an empty outbox.
    [[nodiscard]] bool full(uint64_t bytes) const {
        return entries_ >= limits_.entries_max ||
               (bytes_ > 0 && bytes_ + bytes > limits_.bytes_max);
    }
    // Takes over the caller's reference to the body. Limits are the caller's decision: what was
    // promised before goes in even when the outbox is full.
    OutboxNumber put(const OutboxTarget& target, OutboxEntry entry, storage::StateBatch& batch);
    // The caller gets the reference to the body back; none: unknown, or done before.
    std::optional<OutboxEntry> done(const OutboxTarget& target, OutboxNumber number,
                                    storage::StateBatch& batch);
    // Up to `max` entries owed to a node that is down; the caller decides what becomes of them.
    // An empty answer means that nothing is left, and forgets the target.
    [[nodiscard]] std::vector<OutboxEntry> take_node(Incarnation node, std::size_t max,
                                                     storage::StateBatch& batch);

    // Unfinished entries above `after` inside the window, in order, at most `max`.
    template <typename Visit>
    void window(const OutboxTarget& target, OutboxNumber after, uint32_t max, Visit&& visit) const;
    // Targets with unfinished entries.
    [[nodiscard]] std::vector<OutboxTarget> targets() const;
    [[nodiscard]] std::vector<Incarnation> nodes() const;

    [[nodiscard]] uint64_t size() const { return entries_; }
    [[nodiscard]] uint64_t bytes() const { return bytes_; }
    [[nodiscard]] Generation generation() const { return generation_; }
    void set_generation(Generation generation) { generation_ = generation; }
    [[nodiscard]] uint64_t digest() const;

    void end_entry(storage::StateBatch& batch);
    [[nodiscard]] Status load(const storage::StateStore& store, MessageStore& bodies);
    [[nodiscard]] Status load_target(std::string_view key, std::string_view value);
    [[nodiscard]] Status load_entry(std::string_view key, std::string_view value,
                                    MessageStore& bodies);

  private:
    struct Target {
        OutboxNumber next{1};
        OutboxNumber high;  // H: the highest number that is done
        std::map<OutboxNumber, OutboxEntry> entries;
        bool dirty = false;
    };
    static std::string key_of(Family family, const OutboxTarget& target, OutboxNumber number);
    [[nodiscard]] OutboxSource source_of(const OutboxTarget& name, const Target& target,
                                         OutboxNumber number) const;
    void mark_dirty(const OutboxTarget& name, Target& target);
    void account(const OutboxEntry& entry, bool added);

    ShardId source_;
    Limits limits_;
    Generation generation_{1};
    std::map<OutboxTarget, Target> targets_;
    std::vector<OutboxTarget> dirty_;
    uint64_t entries_ = 0;
    uint64_t bytes_ = 0;
};

template <typename Visit>
void Outbox::window(const OutboxTarget& name, OutboxNumber after, uint32_t max,
                    Visit&& visit) const {
    const auto found = targets_.find(name);
    if (found == targets_.end() || found->second.entries.empty()) return;
    const Target& target = found->second;
    const OutboxNumber end(target.entries.begin()->first.value() + limits_.window);
    for (auto at = target.entries.upper_bound(after);
         at != target.entries.end() && at->first < end && max > 0; ++at, --max) {
        if (!visit(source_of(name, target, at->first), at->second)) return;
    }
}

}  // namespace quorate::cluster
