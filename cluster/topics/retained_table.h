// The retained messages of one shard's topics: an index in memory, the messages in the store.
//
// A message whose time has passed is hidden by reads and removed by `purge`, so that all replicas
// remove it at the same command. Time is cluster time.
//
// Thread: the shard's worker. Owner: ShardState.
// Errors: put answers false at a limit; reads answer Corrupt with the key.
// Spec: MQTT 5 §3.3.1.3 (RETAIN), §3.3.2.3.3 (Message Expiry Interval); rules G4.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "proto/base/ids.h"
#include "proto/base/result.h"
#include "proto/mqtt/message.h"

namespace quorate::storage {
class StateBatch;
class StateStore;
}  // namespace quorate::storage

namespace quorate::cluster {

class RetainedTable {
  public:
    struct Limits {
        uint64_t topics_max = 1'000'000;
        uint64_t bytes_max = 1ULL << 30U;
    };
    using Visit = std::function<bool(const mqtt::MessageView&)>;

    explicit RetainedTable(const Limits& limits) : limits_(limits) {}

    // Stores or replaces; `message` decodes to `view`, whose payload is not empty. False: at a
    // limit, nothing changed (a replacement that does not grow beyond it is allowed).
    bool put(ClusterTime now, std::string_view message, const mqtt::MessageView& view,
             storage::StateBatch& batch);
    void remove(std::string_view topic, storage::StateBatch& batch);
    // Removes up to `max` expired messages; answers how many.
    uint32_t purge(ClusterTime now, uint32_t max, storage::StateBatch& batch);
    [[nodiscard]] std::optional<ClusterTime> next_expiry() const;

    // The view's expiry is what remains at `now`, its retain flag is set. False: none.
    Result<bool> get(std::string_view topic, ClusterTime now, const storage::StateStore& store,
                     const Visit& visit) const;
    // See ShardState::retained_scan.
    Result<std::optional<std::string>> scan(std::string_view filter, std::string_view cursor,
                                            uint32_t steps, ClusterTime now,
                                            const storage::StateStore& store,
                                            const Visit& visit) const;

    [[nodiscard]] uint64_t size() const { return topics_.size(); }
    [[nodiscard]] uint64_t bytes() const { return bytes_; }
    [[nodiscard]] uint64_t digest() const;

    [[nodiscard]] Status load(const storage::StateStore& store);
    [[nodiscard]] Status load_record(std::string_view key, std::string_view value);

  private:
    struct Retained {
        ClusterTime expires_at;  // 0: never
        uint32_t bytes = 0;
    };
    using Topics = std::map<std::string, Retained, std::less<>>;

    void add(std::string_view topic, const Retained& retained);
    void forget(Topics::iterator at);
    Result<bool> read(Topics::const_iterator at, ClusterTime now, const storage::StateStore& store,
                      const Visit& visit) const;

    Limits limits_;
    Topics topics_;  // in order, for scans
    std::set<std::pair<ClusterTime, std::string>> expiring_;
    uint64_t bytes_ = 0;
};

}  // namespace quorate::cluster
