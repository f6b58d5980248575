// Where the messages of a topic go from this node: the table that every loop and worker matches
// against.
//
// A filter leads to front-end loops of this node (whose expiry-0 sessions match again there), to
// shards (whose durable sessions match again there), to shared groups, and to nodes. The table is
// derived: from the loops' own subscriptions, from the exact routes of the shards led here and from
// `wildcards`.
//
// Thread: shown to readers by LeftRight; changed only by its writer. Owner: the Directory.
// Spec: R-4, R-10 ("shown in the tables its loops read").
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/ids.h"
#include "proto/mqtt/filter_tree.h"
#include "proto/mqtt/types.h"

namespace quorate::cluster {

inline constexpr std::size_t kLoopsMax = 64;  // bits of a loop mask

struct ShardRoute {
    ShardId shard;
    mqtt::QoS best_qos = mqtt::QoS::AtMostOnce;
    bool operator==(const ShardRoute&) const = default;
};

struct GroupRoute {
    ShardId shard;      // holds the group's state
    std::string group;  // "name/filter"
    bool operator==(const GroupRoute&) const = default;
};

// One change of the table.
struct DirectoryOp {
    enum class Kind : uint8_t {
        AddLoop,     // `loop` has a first subscriber of `filter`
        RemoveLoop,  // its last one left
        SetRoutes,   // all replicated routes of `filter` are now `shards`, `groups` and `nodes`
    };
    Kind kind = Kind::AddLoop;
    std::string filter;
    LoopId loop;
    std::vector<ShardRoute> shards;
    std::vector<GroupRoute> groups;
    std::vector<Incarnation> nodes;  // whose loops have subscribers
};

// What all filters that match one topic lead to; each destination once.
struct Destinations {
    uint64_t loops = 0;
    std::vector<ShardRoute> shards;
    std::vector<GroupRoute> groups;
    std::vector<Incarnation> nodes;  // this one too, when its loops have subscribers

    void clear();
    [[nodiscard]] bool replicated() const {
        return !shards.empty() || !groups.empty() || !nodes.empty();
    }
};

class DirectoryTable {
  public:
    // A match that would visit more nodes of the tree is cut off: filters built to branch 2^levels
    // times cost a bounded time. 100,000 hostile filters stay below it, and so does every topic of
    // up to 16 levels, whatever the filters are.
    static constexpr uint32_t kMatchStepsMax = 200'000;

    void apply(const DirectoryOp& op);
    // Adds to `out` what the topic's filters lead to. False when the step limit cut it off: then
    // there may be more.
    [[nodiscard]] bool match(std::string_view topic, Destinations& out,
                             uint32_t steps_max = kMatchStepsMax) const;
    // For `steps_max`: costs what the tree has in nodes at most.
    static constexpr uint32_t kNoStepLimit = UINT32_MAX;
    [[nodiscard]] std::size_t filters() const { return tree_.size(); }

  private:
    struct Replicated {
        std::vector<ShardRoute> shards;
        std::vector<GroupRoute> groups;
        std::vector<Incarnation> nodes;
    };
    // Most filters have one kind of destination: the rarer one is a pointer away.
    struct Entry {
        uint64_t loops = 0;
        std::unique_ptr<Replicated> replicated;
        [[nodiscard]] bool empty() const { return loops == 0 && replicated == nullptr; }
    };
    static void add(const Entry& entry, Destinations& out);

    mqtt::FilterTree<Entry> tree_;
};

}  // namespace quorate::cluster
