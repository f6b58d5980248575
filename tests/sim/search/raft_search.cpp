#include "tests/sim/search/raft_search.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "tests/sim/search/world.h"

namespace quorate::sim {
namespace {

// A set of hashes, open addressing; 0 is none of them.
class Visited {
  public:
    Visited() : slots_(std::size_t{1} << 16U) {}

    // True when it is new.
    bool insert(uint64_t hash) {
        hash |= hash == 0 ? 1U : 0U;
        if (2 * (count_ + 1) > slots_.size()) grow();
        uint64_t& slot = find(hash);
        if (slot == hash) return false;
        slot = hash;
        ++count_;
        return true;
    }
    [[nodiscard]] uint64_t count() const { return count_; }

  private:
    uint64_t& find(uint64_t hash) {
        std::size_t at = hash & (slots_.size() - 1);
        while (slots_[at] != 0 && slots_[at] != hash) {
            at = (at + 1) & (slots_.size() - 1);
        }
        return slots_[at];
    }
    void grow() {
        std::vector<uint64_t> old(2 * slots_.size());
        std::swap(old, slots_);
        for (const uint64_t hash : old) {
            if (hash != 0) find(hash) = hash;
        }
    }

    std::vector<uint64_t> slots_;
    uint64_t count_ = 0;
};

struct Frame {
    SearchWorld world;
    std::vector<SearchStep> steps;
    std::size_t next = 0;
};

class Search {
  public:
    explicit Search(const SearchScope& scope) : context_(scope) {}
    SearchResult run();

  private:
    void enter(SearchWorld world);

    SearchContext context_;
    Visited visited_;
    std::vector<Frame> stack_;
    SearchResult result_;
};

void Search::enter(SearchWorld world) {
    if (!visited_.insert(world.fingerprint(context_))) return;
    result_.committed = std::max(result_.committed, world.committed());
    Frame frame{std::move(world), {}, 0};
    frame.world.steps(context_, frame.steps);
    stack_.push_back(std::move(frame));
    result_.deepest = std::max(result_.deepest, stack_.size());
}

SearchResult Search::run() {
    enter(SearchWorld(context_));
    while (!stack_.empty() && visited_.count() < context_.scope.states_max) {
        Frame& frame = stack_.back();
        if (frame.next == frame.steps.size()) {
            stack_.pop_back();
            continue;
        }
        const SearchStep step = frame.steps[frame.next++];
        SearchWorld world = frame.world;
        ++result_.transitions;
        result_.violation = world.take(context_, step);
        if (!result_.violation.empty()) {
            for (const Frame& each : stack_) {
                result_.steps.push_back(each.world.describe(each.steps[each.next - 1]));
            }
            break;
        }
        enter(std::move(world));
    }
    result_.states = visited_.count();
    result_.exhausted = stack_.empty();
    return std::move(result_);
}

}  // namespace

SearchResult search_raft(const SearchScope& scope) {
    const auto begun = std::chrono::steady_clock::now();
    SearchResult result = Search(scope).run();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
    result.seconds = took.count();
    return result;
}

std::string describe(const SearchScope& scope, const SearchResult& result) {
    return fmt::format(
        "search {}: {} states, {} transitions, depth {}, {} entries committed, {:.1f} s, {}",
        scope.name, result.states, result.transitions, result.deepest, result.committed,
        result.seconds,
        !result.violation.empty() ? result.violation
        : result.exhausted        ? "exhausted"
                                  : "not exhausted");
}

}  // namespace quorate::sim
