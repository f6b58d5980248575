// Topic Filters with wildcards, as a trie: which of them match a topic, in steps one can count.
//
// Nodes stand in one array; a literal edge is an entry (node, level number) -> node of one hash
// table, with level texts interned; the edge for `+` and the filter ending in `#` are fields of the
// node. Nodes, edges and level numbers of erased filters are used again, none are given back.
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

    [[nodiscard]] bool in_use(uint32_t id) const { return id < ends_.size() && ends_[id] != kNone; }
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
        void push(Frame frame);
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
        std::array<uint32_t, 2> found_{};
        std::array<Level, kInlineLevels> inline_levels_;     // filled as far as used
        std::array<Frame, kInlineLevels + 2> inline_stack_;  // a pending sibling for each level
        std::vector<Level> deep_levels_;
        std::vector<Frame> deep_stack_;
        Level* levels_;
        Frame* stack_;
    };

  private:
    struct Node {
        uint32_t parent = kNone;
        uint32_t level = kNone;  // number of the level that leads here; kPlus for `+`
        uint32_t plus = kNone;   // child by `+`
        uint32_t here = kNone;   // number of the filter that ends here
        uint32_t hash = kNone;   // number of the filter that ends with `#` below here
        uint32_t children = 0;   // edges to literal levels
    };
    struct Edge {
        uint32_t node = kNone;  // kNone: a free slot
        uint32_t level = 0;
        uint32_t child = 0;
    };
    static constexpr uint32_t kPlus = UINT32_MAX - 1;

    [[nodiscard]] uint32_t child(uint32_t node, uint32_t level) const;
    [[nodiscard]] uint32_t find_end(std::string_view filter, bool& hash) const;
    [[nodiscard]] std::size_t home(uint32_t node, uint32_t level) const;
    uint32_t new_node(uint32_t parent, uint32_t level);
    uint32_t add_child(uint32_t node, std::string_view level);
    void add_edge(Edge edge);
    void remove_edge(uint32_t node, uint32_t level);
    void prune(uint32_t node);
    void grow_edges();

    std::size_t size_ = 0;
    std::size_t edge_count_ = 0;
    TextTable levels_;
    std::vector<uint32_t> level_uses_;  // edges per level number
    std::vector<Node> nodes_;           // nodes_[0] is the root
    std::vector<uint32_t> free_nodes_;
    std::vector<Edge> edges_;     // a power of two of slots, at most 3/4 full
    std::vector<uint32_t> ends_;  // by filter number: node * 2 + (1 when it ends with `#`)
    std::vector<uint32_t> free_ids_;
    uint64_t edge_salt_;
};

}  // namespace quorate::mqtt
