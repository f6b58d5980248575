#include "broker/mqtt/topic_alias.h"

#include <algorithm>

#include "proto/base/assert.h"
#include "proto/base/hash.h"

namespace quorate::broker {
namespace {

// An alias costs three bytes, so a shorter topic gains nothing.
constexpr std::size_t kShortestTopic = 4;

}  // namespace

void TopicAliasesIn::set(uint16_t alias, std::string_view topic) {
    ASSERT(alias > 0, "alias 0 is refused by the decoder");
    if (topics_.size() < alias) topics_.resize(alias);
    topics_[alias - 1U].assign(topic);
}

std::string_view TopicAliasesIn::get(uint16_t alias) const {
    if (alias == 0 || alias > topics_.size()) return {};
    return topics_[alias - 1U];
}

std::size_t TopicAliasesIn::heap_bytes() const {
    std::size_t sum = topics_.capacity() * sizeof(std::string);
    for (const std::string& topic : topics_) {
        if (topic.capacity() > 15) sum += topic.capacity() + 1;
    }
    return sum;
}

TopicAliasesOut::TopicAliasesOut(uint16_t maximum) : maximum_(std::min(maximum, kMost)) {
    ASSERT(maximum > 0, "a client that takes no alias gets no table");
}

TopicAliasesOut::Choice TopicAliasesOut::choose(std::string_view topic) {
    if (topic.size() < kShortestTopic) return {};
    ++clock_;
    const uint64_t hash = hash64(topic);
    for (std::size_t i = 0; i < entries_.size(); ++i) {
        Entry& entry = entries_[i];
        if (entry.hash == hash && entry.topic == topic) {
            entry.used = clock_;
            return {static_cast<uint16_t>(i + 1), true};
        }
    }
    if (std::ranges::find(seen_, hash) == seen_.end()) {
        if (seen_.size() < maximum_ * std::size_t{2}) {
            seen_.push_back(hash);
        } else {
            seen_[next_seen_] = hash;
            next_seen_ = static_cast<uint16_t>((next_seen_ + 1U) % seen_.size());
        }
        return {};
    }
    if (entries_.size() < maximum_) return {static_cast<uint16_t>(entries_.size() + 1), false};
    const auto oldest = std::ranges::min_element(entries_, {}, &Entry::used);
    return {static_cast<uint16_t>(oldest - entries_.begin() + 1), false};
}

void TopicAliasesOut::sent(const Choice& choice, std::string_view topic) {
    if (choice.alias == 0 || choice.known) return;
    if (choice.alias > entries_.size()) entries_.resize(choice.alias);
    Entry& entry = entries_[choice.alias - 1U];
    entry.hash = hash64(topic);
    entry.used = clock_;
    entry.topic.assign(topic);
}

std::size_t TopicAliasesOut::heap_bytes() const {
    std::size_t sum = entries_.capacity() * sizeof(Entry) + seen_.capacity() * sizeof(uint64_t);
    for (const Entry& entry : entries_) {
        if (entry.topic.capacity() > 15) sum += entry.topic.capacity() + 1;
    }
    return sum;
}

}  // namespace quorate::broker
