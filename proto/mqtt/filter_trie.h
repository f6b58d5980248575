// Topic Filters with wildcards, as a trie: which of them match a topic, in steps one can count.
//
// Nodes stand in one array of pages; a literal edge is an entry (node, level number) -> target of
// one hash table, with level texts interned; the edge for `+` and the filter ending in `#` are
// fields of the node. Where an edge leads to nothing but the end of one filter, its target is that
// filter (a leaf) and not a node: a memory access less for each match. Nodes, edges and level
// numbers of erased filters are used again, none are given back.
//
// *Thread*: one writer, or any number of readers. *Owner*: FilterTree. *Errors*: none.
// *Spec*: MQTT 5 §4.7.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proto/mqtt/tables/paged_array.h"
#include "proto/mqtt/tables/stepped_table.h"
#include "proto/mqtt/text_table.h"
#include "proto/mqtt/topic.h"

namespace quorate::mqtt {

class FilterTrie {
  public:
    static constexpr uint32_t kNone = UINT32_MAX;

    explicit FilterTrie(uint64_t seed = 0);

    // Filters get numbers as texts do in TextTable.
    [[nodiscard]] uint32_t find(std::string_view filter) const;
    // Requires: valid_topic_filter(filter).
    TextTable::Inserted insert(std::string_view filter);
    uint32_t erase(std::string_view filter);

    [[nodiscard]] bool in_use(uint32_t id) const {
        return id < ends_.size() && ends_[id].at != kNone;
    }
    [[nodiscard]] uint32_t id_limit() const { return static_cast<uint32_t>(ends_.size()); }
    // Writes the text of filter `id` over `out`. Requires: in_use(id).
    void text(uint32_t id, std::string& out) const;
    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] std::size_t memory_bytes() const;

    // One search: yields the numbers of the matching filters, each once, in an order that depends
    // on the filters alone. Iterative; allocates only for topics of more than 64 levels. The trie
    // must not change meanwhile.
    class Walk {
      public:
        // A step is a visit to a node; after `steps_max` of them the walk ends, exceeded().
        Walk(const FilterTrie& trie, std::string_view topic, uint32_t steps_max);

        Walk(const Walk&) = delete;
        Walk& operator=(const Walk&) = delete;

        // The next number, or kNone at the end.
        [[nodiscard]] uint32_t next();
        [[nodiscard]] bool exceeded() const { return exceeded_; }

      private:
        static constexpr std::size_t kInlineLevels = 64;
        struct Frame {
            uint32_t node;
            uint32_t depth;
        };
        // A level of the topic: its text as offsets, and its number once `known`.
        struct Level {
            uint32_t begin;
            uint32_t end;
            uint32_t hash;
            uint32_t number;
            bool known;
        };
        void visit(Frame frame);
        void follow(uint32_t target, uint32_t depth);
        void split();
        void make_deep();
        [[nodiscard]] uint32_t level_at(uint32_t depth);

        const FilterTrie& trie_;
        std::string_view topic_;
        uint32_t steps_left_;
        bool exceeded_ = false;
        bool dollar_;         // the topic begins with `$`
        uint32_t depth_ = 0;  // number of levels in the topic
        uint32_t stack_size_ = 0;
        uint32_t found_size_ = 0;
        std::array<uint32_t, 3> found_{};
        std::array<Level, kInlineLevels> inline_levels_;     // filled as far as used
        std::array<Frame, kInlineLevels + 2> inline_stack_;  // a pending sibling for each level
        std::vector<Level> deep_levels_;
        std::vector<Frame> deep_stack_;
        Level* levels_;
        Frame* stack_;
    };

  private:
    // What an edge leads to: a node's number, a leaf, or kNone.
    static constexpr uint32_t kLeaf = 1U << 31;      // the filter with the number in the lower bits
    static constexpr uint32_t kHashLeaf = 1U << 30;  // ... and it goes on with `/#`
    static constexpr uint32_t kNumber = kHashLeaf - 1;
    static constexpr uint32_t kPlus = UINT32_MAX - 1;  // in place of a level's number

    struct Node {
        uint32_t parent = kNone;
        uint32_t level = kNone;  // number of the level that leads here, or kPlus
        uint32_t plus = kNone;   // target of the edge for `+`
        uint32_t here = kNone;   // number of the filter that ends here
        uint32_t hash = kNone;   // number of the filter that ends with `#` below here
        uint32_t children = 0;   // edges for literal levels
    };
    struct Edge {
        static constexpr uint32_t kEighthsMax = 6;
        uint32_t node = kNone;  // kNone: a free slot
        uint32_t level = 0;
        uint32_t target = 0;
        [[nodiscard]] bool free() const { return node == kNone; }
    };
    struct End {
        uint32_t at = kNone;  // node * 2, plus 1 when the filter ends with `#`; kNone: not in use
        uint32_t level = kNone;  // of the leaf below that node; kNone: it ends at the node itself
    };

    static bool is_leaf(uint32_t target) { return target != kNone && (target & kLeaf) != 0; }
    static bool ends_with_hash(uint32_t leaf) { return (leaf & kHashLeaf) != 0; }
    static uint32_t leaf_of(uint32_t id, bool hash) { return kLeaf | (hash ? kHashLeaf : 0U) | id; }

    [[nodiscard]] uint32_t edge_hash(uint32_t node, uint32_t level) const;
    [[nodiscard]] const Edge* edge_of(uint32_t node, uint32_t level) const;
    [[nodiscard]] uint32_t target(uint32_t node, uint32_t level) const;
    void add_target(uint32_t node, uint32_t level, uint32_t target);
    void set_target(uint32_t node, uint32_t level, uint32_t target);
    void remove_target(uint32_t node, uint32_t level);
    uint32_t new_node(uint32_t parent, uint32_t level);
    uint32_t new_id(End end);
    TextTable::Inserted end_at(uint32_t node, bool hash);
    uint32_t promote(uint32_t node, uint32_t level, uint32_t leaf);
    void prune(uint32_t node);

    std::size_t size_ = 0;
    TextTable levels_;
    PagedArray<uint32_t> level_uses_;  // edges per level number
    PagedArray<Node> nodes_;           // nodes_[0] is the root
    std::vector<uint32_t> free_nodes_;
    SteppedTable<Edge> edges_;
    PagedArray<End> ends_;  // by filter number
    std::vector<uint32_t> free_ids_;
    uint64_t edge_salt_;
};

}  // namespace quorate::mqtt
