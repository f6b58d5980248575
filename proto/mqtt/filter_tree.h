// A map from Topic Filter to Value that can be asked which filters match a topic.
//
// Filters without wildcards stand in a hash table, the others in a trie; a match is one look-up in
// the first and one walk through the second. The cost does not depend on how many other filters
// there are, and that of an insertion hardly does: see tables. References to values hold until that
// filter is erased; growth never moves them.
//
// *Thread*: one writer, or any number of readers. *Owner*: whoever routes with it; the owner bounds
// how many filters clients may add. *Errors*: none. *Spec*: MQTT 5 §4.7; `$share` is not known
// here, pass what parse_filter() took out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "proto/mqtt/filter_trie.h"
#include "proto/mqtt/tables/paged_array.h"
#include "proto/mqtt/text_table.h"
#include "proto/mqtt/topic.h"

namespace quorate::mqtt {

template <typename Value>
class FilterTree {
  public:
    static constexpr uint32_t kNoStepLimit = UINT32_MAX;

    // `seed` makes hash collisions unguessable; it never shows in any result or order.
    explicit FilterTree(uint64_t seed = 0) : exact_(seed), wild_(seed) {}

    // The filter's value, a default one if the filter was absent.
    // Requires: valid_topic_filter(filter).
    Value& get_or_insert(std::string_view filter) {
        if (!has_wildcard(filter)) {
            const uint32_t id = exact_.insert(filter).id;
            exact_values_.reach(id);
            return exact_values_[id];
        }
        const uint32_t id = wild_.insert(filter).id;
        wild_values_.reach(id);
        return wild_values_[id];
    }

    [[nodiscard]] Value* find(std::string_view filter) {
        return const_cast<Value*>(std::as_const(*this).find(filter));
    }
    [[nodiscard]] const Value* find(std::string_view filter) const {
        if (!has_wildcard(filter)) {
            const uint32_t id = exact_.find(filter);
            return id == TextTable::kNone ? nullptr : &exact_values_[id];
        }
        const uint32_t id = wild_.find(filter);
        return id == FilterTrie::kNone ? nullptr : &wild_values_[id];
    }

    // False if the filter was absent. The value is destroyed (replaced by a default one).
    bool erase(std::string_view filter) {
        if (!has_wildcard(filter)) {
            const uint32_t id = exact_.erase(filter);
            if (id == TextTable::kNone) return false;
            exact_values_[id] = Value{};
            return true;
        }
        const uint32_t id = wild_.erase(filter);
        if (id == FilterTrie::kNone) return false;
        wild_values_[id] = Value{};
        return true;
    }

    void clear() { *this = FilterTree(exact_.seed()); }

    // Calls `visit(value)` for each filter that matches the topic: the exact one first, then those
    // with wildcards in an order that depends on the filters alone. False when more than
    // `steps_max` nodes would have to be visited; then the calls made so far are some of the
    // matches. `visit` must not add or erase filters. Requires: valid_topic_name(topic).
    template <typename Visit>
    bool match(std::string_view topic, Visit&& visit, uint32_t steps_max = kNoStepLimit) {
        return match_in(*this, topic, visit, steps_max);
    }
    template <typename Visit>
    bool match(std::string_view topic, Visit&& visit, uint32_t steps_max = kNoStepLimit) const {
        return match_in(*this, topic, visit, steps_max);
    }

    // Calls `visit(filter, value)` for each filter. The order depends on the history of the tree:
    // sort before anything of it leaves a state machine. `visit` must not add or erase filters; the
    // text lives for the call only.
    template <typename Visit>
    void for_each(Visit&& visit) {
        for_each_in(*this, visit);
    }
    template <typename Visit>
    void for_each(Visit&& visit) const {
        for_each_in(*this, visit);
    }

    [[nodiscard]] std::size_t size() const { return exact_.size() + wild_.size(); }
    [[nodiscard]] bool empty() const { return size() == 0; }
    // Of the tree and the values themselves, not of what values point to.
    [[nodiscard]] std::size_t memory_bytes() const {
        return exact_.memory_bytes() + wild_.memory_bytes() + exact_values_.memory_bytes() +
               wild_values_.memory_bytes();
    }

  private:
    template <typename Self, typename Visit>
    static bool match_in(Self& self, std::string_view topic, Visit& visit, uint32_t steps_max) {
        if (self.exact_.size() != 0) {
            const uint32_t id = self.exact_.find(topic);
            if (id != TextTable::kNone) visit(self.exact_values_[id]);
        }
        if (self.wild_.size() == 0) return true;
        FilterTrie::Walk walk(self.wild_, topic, steps_max);
        for (uint32_t id = walk.next(); id != FilterTrie::kNone; id = walk.next()) {
            visit(self.wild_values_[id]);
        }
        return !walk.exceeded();
    }

    template <typename Self, typename Visit>
    static void for_each_in(Self& self, Visit& visit) {
        for (uint32_t id = 0; id < self.exact_.id_limit(); ++id) {
            if (self.exact_.in_use(id)) visit(self.exact_.text(id), self.exact_values_[id]);
        }
        std::string text;
        for (uint32_t id = 0; id < self.wild_.id_limit(); ++id) {
            if (!self.wild_.in_use(id)) continue;
            self.wild_.text(id, text);
            visit(std::string_view(text), self.wild_values_[id]);
        }
    }

    TextTable exact_;
    FilterTrie wild_;
    PagedArray<Value> exact_values_;
    PagedArray<Value> wild_values_;
};

}  // namespace quorate::mqtt
