// One shard on a store in memory, for tests: each command is an entry of its own, applied to two
// replicas, and after each entry a third is loaded from the store: all three must agree.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "cluster/shard/shard_state.h"
#include "storage/memory_stores.h"

namespace quorate::cluster::testing {

class Harness {
  public:
    explicit Harness(const ShardOptions& options = {}, uint32_t shards = 1);

    // Applies and, unless `checked` is false, compares replicas. The actions of the first replica
    // stay in `actions` until the next call.
    void apply(const CommandHeader& header, const CommandBody& body, bool checked = true);
    void apply_bytes(std::string_view command, bool checked);
    // The next command of a lane.
    [[nodiscard]] CommandHeader header(const Lane& lane = default_lane());
    [[nodiscard]] static Lane default_lane() {
        return {make_incarnation(NodeId(1), 1), 0, LaneClass::Control};
    }
    [[nodiscard]] static CommandHeader leader_header() {
        CommandHeader header;
        header.lane.lane_class = LaneClass::Leader;
        return header;
    }
    // Throws the state away and loads it again, as a restart does.
    void restart();

    [[nodiscard]] ShardState& state() { return *state_; }
    [[nodiscard]] const ShardOptions& options() const { return options_; }
    [[nodiscard]] storage::MemoryStateStore& store() { return store_; }

    ClusterTime now{1000};
    Actions actions;
    std::map<Lane, CommandNumber> numbers;

  private:
    [[nodiscard]] std::unique_ptr<ShardState> loaded() const;

    ShardState::Identity identity_;
    ShardOptions options_;
    storage::MemoryStateStore store_;
    std::unique_ptr<ShardState> state_;
    std::unique_ptr<ShardState> twin_;
    storage::MemoryStateStore twin_store_;
};

// A flat message.
[[nodiscard]] std::string flat(std::string_view topic, std::string_view payload,
                               mqtt::QoS qos = mqtt::QoS::AtLeastOnce, bool retain = false,
                               std::optional<uint32_t> expiry_s = {}, uint64_t publisher = 0);

}  // namespace quorate::cluster::testing
