#include "proto/mqtt/filter_trie.h"

#include <algorithm>

#include "proto/base/assert.h"

namespace quorate::mqtt {
FilterTrie::FilterTrie(uint64_t seed) : levels_(seed), edge_salt_(seed) {
    nodes_.push_back(Node{});
}

uint32_t FilterTrie::edge_hash(uint32_t node, uint32_t level) const {
    // A multiplicative hash: both numbers are ours, but which of them meet is the clients' choice.
    const uint64_t key = ((uint64_t{node} << 32) | level) ^ edge_salt_;
    uint64_t mixed = (key ^ (key >> 32)) * 0x9E3779B97F4A7C15U;
    mixed = (mixed ^ (mixed >> 29)) * 0xBF58476D1CE4E5B9U;
    return static_cast<uint32_t>(mixed >> 32);
}

// The edge, or null.
const FilterTrie::Edge* FilterTrie::edge_of(uint32_t node, uint32_t level) const {
    return edges_.find(edge_hash(node, level), [node, level](const Edge& edge) {
        return edge.node == node && edge.level == level;
    });
}

uint32_t FilterTrie::target(uint32_t node, uint32_t level) const {
    if (level == kPlus) return nodes_[node].plus;
    const Edge* edge = edge_of(node, level);
    return edge == nullptr ? kNone : edge->target;
}

uint32_t FilterTrie::find(std::string_view filter) const {
    uint32_t node = 0;
    for (Levels level(filter);;) {
        if (*level == "#") return nodes_[node].hash;
        const uint32_t number = *level == "+" ? kPlus : levels_.find(*level);
        if (number == TextTable::kNone) return kNone;
        level.next();
        const bool ends = level.done();
        const bool ends_in_hash = !ends && *level == "#";
        const uint32_t next = target(node, number);
        if (next == kNone) return kNone;
        if (is_leaf(next)) {
            const bool same = ends_with_hash(next) ? ends_in_hash : ends;
            return same ? next & kNumber : kNone;
        }
        node = next;
        if (ends) return nodes_[node].here;
    }
}

TextTable::Inserted FilterTrie::insert(std::string_view filter) {
    uint32_t node = 0;
    for (Levels level(filter);;) {
        if (*level == "#") return end_at(node, true);
        const uint32_t number = *level == "+" ? kPlus : levels_.insert(*level).id;
        level.next();
        const bool ends = level.done();
        const bool ends_in_hash = !ends && *level == "#";
        uint32_t next = target(node, number);
        if (next == kNone) {
            if (ends || ends_in_hash) {
                const uint32_t id = new_id({node * 2 + (ends_in_hash ? 1U : 0U), number});
                add_target(node, number, leaf_of(id, ends_in_hash));
                return {id, true};
            }
            next = new_node(node, number);
            add_target(node, number, next);
        } else if (is_leaf(next)) {
            const bool same = ends_with_hash(next) ? ends_in_hash : ends;
            if (same) return {next & kNumber, false};
            next = promote(node, number, next);
        }
        node = next;
        if (ends) return end_at(node, false);
    }
}

uint32_t FilterTrie::erase(std::string_view filter) {
    const uint32_t id = find(filter);
    if (id == kNone) return kNone;
    const End end = ends_[id];
    const uint32_t node = end.at / 2;
    if (end.level != kNone) {
        remove_target(node, end.level);
    } else if (end.at % 2 != 0) {
        nodes_[node].hash = kNone;
    } else {
        nodes_[node].here = kNone;
    }
    ends_[id] = End{};
    free_ids_.push_back(id);
    --size_;
    prune(node);
    return id;
}

uint32_t FilterTrie::new_id(End end) {
    uint32_t id = 0;
    if (free_ids_.empty()) {
        id = static_cast<uint32_t>(ends_.size());
        ASSERT(id < kNumber, "more than a thousand million filters");
        ends_.push_back(end);
    } else {
        id = free_ids_.back();
        free_ids_.pop_back();
        ends_[id] = end;
    }
    ++size_;
    return id;
}

// The filter that ends at a node, new if there is none.
TextTable::Inserted FilterTrie::end_at(uint32_t node, bool hash) {
    uint32_t& end = hash ? nodes_[node].hash : nodes_[node].here;
    if (end != kNone) return {end, false};
    end = new_id({node * 2 + (hash ? 1U : 0U), kNone});
    return {end, true};
}

uint32_t FilterTrie::new_node(uint32_t parent, uint32_t level) {
    uint32_t node = 0;
    if (free_nodes_.empty()) {
        node = static_cast<uint32_t>(nodes_.size());
        ASSERT(node < kNumber, "more than a thousand million trie nodes");
        nodes_.push_back(Node{});
    } else {
        node = free_nodes_.back();
        free_nodes_.pop_back();
        nodes_[node] = Node{};
    }
    nodes_[node].parent = parent;
    nodes_[node].level = level;
    return node;
}

// Puts a node in the place of a leaf, so that other filters can go on from there.
uint32_t FilterTrie::promote(uint32_t node, uint32_t level, uint32_t leaf) {
    const uint32_t id = leaf & kNumber;
    const bool hash = ends_with_hash(leaf);
    const uint32_t added = new_node(node, level);
    (hash ? nodes_[added].hash : nodes_[added].here) = id;
    ends_[id] = {added * 2 + (hash ? 1U : 0U), kNone};
    set_target(node, level, added);
    return added;
}

// Frees the node, and each ancestor, that leads nowhere any more; one that is but the end of a
// single filter becomes a leaf again.
void FilterTrie::prune(uint32_t node) {
    while (node != 0) {
        const Node left = nodes_[node];
        if (left.children != 0 || left.plus != kNone) return;
        if (left.here != kNone && left.hash != kNone) return;
        free_nodes_.push_back(node);
        if (left.here != kNone || left.hash != kNone) {
            const bool hash = left.hash != kNone;
            const uint32_t id = hash ? left.hash : left.here;
            ends_[id] = {left.parent * 2 + (hash ? 1U : 0U), left.level};
            set_target(left.parent, left.level, leaf_of(id, hash));
            return;
        }
        remove_target(left.parent, left.level);
        node = left.parent;
    }
}

// Requires: there is no such edge yet.
void FilterTrie::add_target(uint32_t node, uint32_t level, uint32_t target) {
    if (level == kPlus) {
        nodes_[node].plus = target;
        return;
    }
    edges_.add(edge_hash(node, level), {node, level, target},
               [this](const Edge& edge) { return edge_hash(edge.node, edge.level); });
    ++nodes_[node].children;
    level_uses_.reach(level);
    ++level_uses_[level];
}

// Requires: there is such an edge.
void FilterTrie::set_target(uint32_t node, uint32_t level, uint32_t target) {
    if (level == kPlus) {
        nodes_[node].plus = target;
    } else {
        const_cast<Edge*>(edge_of(node, level))->target = target;
    }
}

// Requires: there is such an edge.
void FilterTrie::remove_target(uint32_t node, uint32_t level) {
    if (level == kPlus) {
        nodes_[node].plus = kNone;
        return;
    }
    edges_.erase(edge_hash(node, level), edge_of(node, level),
                 [this](const Edge& edge) { return edge_hash(edge.node, edge.level); });
    --nodes_[node].children;
    if (--level_uses_[level] == 0) levels_.erase(levels_.text(level));
}

void FilterTrie::text(uint32_t id, std::string& out) const {
    ASSERT(in_use(id), "no filter has this number");
    out.clear();
    const End end = ends_[id];
    std::vector<uint32_t> path;
    if (end.level != kNone) path.push_back(end.level);
    for (uint32_t node = end.at / 2; node != 0; node = nodes_[node].parent) {
        path.push_back(nodes_[node].level);
    }
    for (auto level = path.rbegin(); level != path.rend(); ++level) {
        if (level != path.rbegin()) out.push_back('/');
        if (*level == kPlus) {
            out.push_back('+');
        } else {
            out.append(levels_.text(*level));
        }
    }
    if (end.at % 2 != 0) out.append(path.empty() ? "#" : "/#");
}

std::size_t FilterTrie::memory_bytes() const {
    return levels_.memory_bytes() + level_uses_.memory_bytes() + nodes_.memory_bytes() +
           free_nodes_.capacity() * sizeof(uint32_t) + edges_.memory_bytes() +
           ends_.memory_bytes() + free_ids_.capacity() * sizeof(uint32_t);
}

FilterTrie::Walk::Walk(const FilterTrie& trie, std::string_view topic, uint32_t steps_max)
    : trie_(trie),
      topic_(topic),
      steps_left_(steps_max),
      dollar_(topic.starts_with('$')),
      levels_(inline_levels_.data()),
      stack_(inline_stack_.data()) {
    split();
    stack_[stack_size_++] = {0, 0};
}

// Cuts the topic and hashes all its levels at once, so that their look-ups wait for memory together
// and not in turn.
void FilterTrie::Walk::split() {
    uint32_t begin = 0;
    const auto size = static_cast<uint32_t>(topic_.size());
    for (bool last = false; !last;) {
        const std::size_t slash = topic_.find('/', begin);
        last = slash == std::string_view::npos;
        const uint32_t end = last ? size : static_cast<uint32_t>(slash);
        const uint32_t hash = trie_.levels_.hash(topic_.substr(begin, end - begin));
        trie_.levels_.prefetch_slot(hash);
        if (depth_ == kInlineLevels) make_deep();
        levels_[depth_++] = {begin, end, hash, kNone, false};
        begin = end + 1;
    }
    for (uint32_t i = 0; i < depth_; ++i)
        trie_.levels_.prefetch_text(levels_[i].hash);
}

// Moves to the heap, with room for as many levels as the topic can have.
void FilterTrie::Walk::make_deep() {
    const std::size_t levels = level_count(topic_);
    deep_levels_.resize(levels);
    deep_stack_.resize(levels + 2);
    std::copy(levels_, levels_ + depth_, deep_levels_.data());
    levels_ = deep_levels_.data();
    stack_ = deep_stack_.data();
}

uint32_t FilterTrie::Walk::level_at(uint32_t depth) {
    Level& level = levels_[depth];
    if (!level.known) {
        const std::string_view text = topic_.substr(level.begin, level.end - level.begin);
        level.number = trie_.levels_.find(text, level.hash);
        level.known = true;
    }
    return level.number;
}

// Takes note of what an edge leads to, `depth` levels below the root.
void FilterTrie::Walk::follow(uint32_t target, uint32_t depth) {
    if (target == kNone) return;
    if (is_leaf(target)) {
        if (depth == depth_ || ends_with_hash(target)) found_[found_size_++] = target & kNumber;
        return;
    }
    stack_[stack_size_++] = {target, depth};
    __builtin_prefetch(trie_.nodes_.address(target));
    if (depth < depth_ && !trie_.edges_.empty()) {
        const uint32_t level = level_at(depth);
        if (level != kNone) __builtin_prefetch(trie_.edges_.home(trie_.edge_hash(target, level)));
    }
}

// Finds are pushed in the reverse of the order in which next() yields them.
void FilterTrie::Walk::visit(Frame frame) {
    const Node& node = trie_.nodes_[frame.node];
    if (frame.depth == depth_) {
        if (node.here != kNone) found_[found_size_++] = node.here;
        if (node.hash != kNone) found_[found_size_++] = node.hash;
        return;
    }
    if (node.children != 0) {
        const uint32_t level = level_at(frame.depth);
        if (level != kNone) follow(trie_.target(frame.node, level), frame.depth + 1);
    }
    // Wildcards at the first level do not see topics that begin with `$` [MQTT-4.7.2-1].
    if (dollar_ && frame.depth == 0) return;
    follow(node.plus, frame.depth + 1);
    if (node.hash != kNone) found_[found_size_++] = node.hash;
}

uint32_t FilterTrie::Walk::next() {
    while (found_size_ == 0) {
        if (stack_size_ == 0) return kNone;
        if (steps_left_ == 0) {
            exceeded_ = true;
            return kNone;
        }
        --steps_left_;
        visit(stack_[--stack_size_]);
    }
    return found_[--found_size_];
}

}  // namespace quorate::mqtt
