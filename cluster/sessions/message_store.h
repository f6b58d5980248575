// Message bodies that several places of one shard refer to: queue entries of a fan-out, the outbox,
// wills, shared groups. A body is written once and removed with its last reference.
//
// References are counted in memory and counted again by load(). The newest bodies stay in memory up
// to a number of bytes, so that fresh messages are handed on without reading.
//
// Thread: the shard's worker. Owner: ShardState.
// Errors: reads answer Corrupt with the key. Spec: design §4 (Storage).
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "proto/base/bytes.h"
#include "proto/base/ids.h"
#include "proto/base/result.h"

namespace quorate::storage {
class StateBatch;
class StateStore;
}  // namespace quorate::storage

namespace quorate::cluster {

using BodyId = Id<struct BodyIdTag, uint64_t>;  // in one shard, never reused; 0 is none

class MessageStore {
  public:
    explicit MessageStore(uint64_t cache_bytes_max) : cache_bytes_max_(cache_bytes_max) {}

    // Stores a flat message with one reference.
    [[nodiscard]] BodyId add(std::string_view message, storage::StateBatch& batch);
    // Requires of both: the body has a reference.
    void hold(BodyId id);
    void release(BodyId id);
    // Removes from the store what lost its last reference. Once per Raft entry.
    void end_entry(storage::StateBatch& batch);

    // The flat message: from memory, or read into `scratch`.
    [[nodiscard]] Result<std::string_view> read(BodyId id, const storage::StateStore& store,
                                                std::string& scratch) const;

    [[nodiscard]] BodyId next() const { return next_; }
    [[nodiscard]] uint64_t size() const { return bodies_.size(); }
    [[nodiscard]] uint32_t references(BodyId id) const;

    // Start.
    void set_next(BodyId next) { next_ = next; }
    [[nodiscard]] Status load(const storage::StateStore& store);
    // Counts a reference found in another record; false: there is no such body.
    [[nodiscard]] bool restore_reference(BodyId id);
    // Corrupt when a body has no reference.
    [[nodiscard]] Status check_references() const;

  private:
    struct Body {
        uint32_t references = 0;
        SharedBytes cached;
    };
    void cache(BodyId id, Body& body, std::string_view message);

    uint64_t cache_bytes_max_;
    uint64_t cache_bytes_ = 0;
    BodyId next_{1};
    std::unordered_map<uint64_t, Body> bodies_;            // never iterated for output
    std::deque<std::pair<BodyId, uint64_t>> cache_order_;  // with the bytes charged
    std::vector<BodyId> dead_;
};

}  // namespace quorate::cluster
