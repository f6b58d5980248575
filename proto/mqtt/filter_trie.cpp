#include "proto/mqtt/filter_trie.h"

#include <algorithm>

#include "proto/base/assert.h"

namespace quorate::mqtt {
namespace {

constexpr std::size_t kEdgesFirst = 16;

}  // namespace

FilterTrie::FilterTrie(uint64_t seed) : levels_(seed), nodes_(1), edge_salt_(seed) {}

std::size_t FilterTrie::home(uint32_t node, uint32_t level) const {
    // A multiplicative hash: both numbers are ours, but which of them meet is the clients' choice.
    const uint64_t key = ((uint64_t{node} << 32) | level) ^ edge_salt_;
    uint64_t mixed = (key ^ (key >> 32)) * 0x9E3779B97F4A7C15U;
    mixed = (mixed ^ (mixed >> 29)) * 0xBF58476D1CE4E5B9U;
    return static_cast<std::size_t>(mixed >> 32) & (edges_.size() - 1);
}

uint32_t FilterTrie::child(uint32_t node, uint32_t level) const {
    if (edges_.empty()) return kNone;
    const std::size_t mask = edges_.size() - 1;
    for (std::size_t i = home(node, level);; i = (i + 1) & mask) {
        const Edge& edge = edges_.data()[i];
        if (edge.node == node && edge.level == level) return edge.child;
        if (edge.node == kNone) return kNone;
    }
}

// The node where the filter ends, or kNone; `hash` tells whether it ends with `#` below that node.
uint32_t FilterTrie::find_end(std::string_view filter, bool& hash) const {
    hash = false;
    uint32_t node = 0;
    for (Levels level(filter); !level.done() && node != kNone; level.next()) {
        if (*level == "#") {
            hash = true;
        } else if (*level == "+") {
            node = nodes_[node].plus;
        } else {
            const uint32_t number = levels_.find(*level);
            node = number == TextTable::kNone ? kNone : child(node, number);
        }
    }
    return node;
}

uint32_t FilterTrie::find(std::string_view filter) const {
    bool hash = false;
    const uint32_t node = find_end(filter, hash);
    if (node == kNone) return kNone;
    return hash ? nodes_[node].hash : nodes_[node].here;
}

TextTable::Inserted FilterTrie::insert(std::string_view filter) {
    uint32_t node = 0;
    bool hash = false;
    for (Levels level(filter); !level.done(); level.next()) {
        if (*level == "#") {
            hash = true;
        } else {
            node = add_child(node, *level);
        }
    }
    uint32_t& end = hash ? nodes_[node].hash : nodes_[node].here;
    if (end != kNone) return {end, false};
    if (free_ids_.empty()) {
        end = static_cast<uint32_t>(ends_.size());
        ends_.push_back(kNone);
    } else {
        end = free_ids_.back();
        free_ids_.pop_back();
    }
    ends_[end] = node * 2 + (hash ? 1 : 0);
    ++size_;
    return {end, true};
}

uint32_t FilterTrie::erase(std::string_view filter) {
    bool hash = false;
    const uint32_t node = find_end(filter, hash);
    if (node == kNone) return kNone;
    uint32_t& end = hash ? nodes_[node].hash : nodes_[node].here;
    if (end == kNone) return kNone;
    const uint32_t id = end;
    end = kNone;
    ends_[id] = kNone;
    free_ids_.push_back(id);
    --size_;
    prune(node);
    return id;
}

uint32_t FilterTrie::new_node(uint32_t parent, uint32_t level) {
    uint32_t node = 0;
    if (free_nodes_.empty()) {
        node = static_cast<uint32_t>(nodes_.size());
        ASSERT(node < (uint32_t{1} << 31), "more than two thousand million trie nodes");
        nodes_.emplace_back();
    } else {
        node = free_nodes_.back();
        free_nodes_.pop_back();
        nodes_[node] = Node{};
    }
    nodes_[node].parent = parent;
    nodes_[node].level = level;
    return node;
}

uint32_t FilterTrie::add_child(uint32_t node, std::string_view level) {
    if (level == "+") {
        if (nodes_[node].plus == kNone) {
            const uint32_t added = new_node(node, kPlus);
            nodes_[node].plus = added;
        }
        return nodes_[node].plus;
    }
    const uint32_t number = levels_.insert(level).id;
    const uint32_t found = child(node, number);
    if (found != kNone) return found;
    if (number >= level_uses_.size()) level_uses_.resize(number + 1);
    ++level_uses_[number];
    const uint32_t added = new_node(node, number);
    ++nodes_[node].children;
    add_edge({node, number, added});
    return added;
}

void FilterTrie::add_edge(Edge edge) {
    if (edge_count_ * 4 >= edges_.size() * 3) grow_edges();
    const std::size_t mask = edges_.size() - 1;
    std::size_t i = home(edge.node, edge.level);
    while (edges_[i].node != kNone)
        i = (i + 1) & mask;
    edges_[i] = edge;
    ++edge_count_;
}

void FilterTrie::grow_edges() {
    std::vector<Edge> old(edges_.empty() ? kEdgesFirst : edges_.size() * 2);
    old.swap(edges_);
    const std::size_t mask = edges_.size() - 1;
    for (const Edge& edge : old) {
        if (edge.node == kNone) continue;
        std::size_t i = home(edge.node, edge.level);
        while (edges_[i].node != kNone)
            i = (i + 1) & mask;
        edges_[i] = edge;
    }
}

void FilterTrie::remove_edge(uint32_t node, uint32_t level) {
    const std::size_t mask = edges_.size() - 1;
    std::size_t hole = home(node, level);
    while (edges_[hole].node != node || edges_[hole].level != level)
        hole = (hole + 1) & mask;
    for (std::size_t i = (hole + 1) & mask; edges_[i].node != kNone; i = (i + 1) & mask) {
        const std::size_t wanted = home(edges_[i].node, edges_[i].level);
        if (((i - wanted) & mask) >= ((i - hole) & mask)) {
            edges_[hole] = edges_[i];
            hole = i;
        }
    }
    edges_[hole] = Edge{};
    --edge_count_;
}

// Frees the node, and each ancestor, that leads nowhere any more.
void FilterTrie::prune(uint32_t node) {
    while (node != 0) {
        const Node& empty = nodes_[node];
        if (empty.children != 0 || empty.plus != kNone || empty.here != kNone ||
            empty.hash != kNone) {
            return;
        }
        const uint32_t parent = empty.parent;
        const uint32_t level = empty.level;
        if (level == kPlus) {
            nodes_[parent].plus = kNone;
        } else {
            remove_edge(parent, level);
            --nodes_[parent].children;
            if (--level_uses_[level] == 0) levels_.erase(levels_.text(level));
        }
        free_nodes_.push_back(node);
        node = parent;
    }
}

void FilterTrie::text(uint32_t id, std::string& out) const {
    ASSERT(in_use(id), "no filter has this number");
    out.clear();
    std::vector<uint32_t> path;
    for (uint32_t node = ends_[id] / 2; node != 0; node = nodes_[node].parent) {
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
    if (ends_[id] % 2 != 0) out.append(path.empty() ? "#" : "/#");
}

std::size_t FilterTrie::memory_bytes() const {
    return levels_.memory_bytes() + level_uses_.capacity() * sizeof(uint32_t) +
           nodes_.capacity() * sizeof(Node) + free_nodes_.capacity() * sizeof(uint32_t) +
           edges_.capacity() * sizeof(Edge) + ends_.capacity() * sizeof(uint32_t) +
           free_ids_.capacity() * sizeof(uint32_t);
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

void FilterTrie::Walk::push(Frame frame) {
    stack_[stack_size_++] = frame;
    __builtin_prefetch(trie_.nodes_.data() + frame.node);
    if (frame.depth < depth_ && !trie_.edges_.empty()) {
        const uint32_t level = level_at(frame.depth);
        if (level != kNone) __builtin_prefetch(trie_.edges_.data() + trie_.home(frame.node, level));
    }
}

void FilterTrie::Walk::visit(Frame frame) {
    const Node& node = trie_.nodes_.data()[frame.node];
    // Wildcards at the first level do not see topics that begin with `$` [MQTT-4.7.2-1].
    const bool hidden = dollar_ && frame.depth == 0;
    if (frame.depth == depth_) {
        if (node.here != kNone) found_[found_size_++] = node.here;
        if (node.hash != kNone) found_[found_size_++] = node.hash;
        return;
    }
    if (node.hash != kNone && !hidden) found_[found_size_++] = node.hash;
    if (node.children != 0) {
        const uint32_t level = level_at(frame.depth);
        const uint32_t next = level == kNone ? kNone : trie_.child(frame.node, level);
        if (next != kNone) push({next, frame.depth + 1});
    }
    if (node.plus != kNone && !hidden) push({node.plus, frame.depth + 1});
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
