#include "tests/sim/crashes/explorer.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

namespace quorate::sim::crashes {
namespace {

// A story begins with nothing, with a subscriber, or with one that has messages in flight.
const std::vector<std::vector<Operation>>& beginnings() {
    using enum Operation;
    static const std::vector<std::vector<Operation>> all = {
        {}, {Attach, Subscribe}, {Attach, Subscribe, PublishQos1, PublishQos2}};
    return all;
}

struct Tale {
    std::vector<Operation> operations;  // the last one is interrupted
    std::size_t begun = 0;              // of them, before the story
    // The state is flushed and the log cut after so many of them, or after so many steps of the
    // last one; none: never.
    std::size_t kept_house_after = SIZE_MAX;
    std::size_t kept_house_at = SIZE_MAX;
    // From this step of the last operation on nobody hears what the broker says.
    std::size_t deaf_from = SIZE_MAX;
};

// One broker and its clients, up to somewhere in the last operation.
class Telling {
  public:
    Telling(const Tale& tale, Mistake mistake) : tale_(tale), broker_(mistake), story_(broker_) {
        possible_ = broker_.start().empty();
        quiet();
        for (std::size_t i = 0; i + 1 < tale.operations.size(); ++i) {
            possible_ = possible_ && story_.possible(tale.operations[i]);
            if (!possible_) return;
            story_.begin(tale.operations[i]);
            quiet();
            if (tale.kept_house_after == i + 1) broker_.keep_house();
            quiet();
        }
        possible_ = story_.possible(tale.operations.back());
        if (possible_) story_.begin(tale.operations.back());
        last_ = true;
    }
    [[nodiscard]] bool possible() const { return possible_; }
    // False at its end.
    bool step() {
        if (!broker_.step()) return false;
        if (last_) ++steps_;
        if (!last_ || steps_ < tale_.deaf_from) story_.listen();
        if (last_ && steps_ == tale_.kept_house_at) broker_.keep_house();
        return true;
    }
    [[nodiscard]] std::size_t log_writes() const { return broker_.log_writes(); }
    [[nodiscard]] std::size_t state_batches() const { return broker_.state_batches(); }

    // What is wrong after a crash here.
    [[nodiscard]] std::string crash(std::size_t log_writes, std::size_t state_batches) {
        broker_.crash(log_writes, state_batches);
        if (std::string failure = broker_.start(); !failure.empty()) return "R5: " + failure;
        while (broker_.step())
            continue;
        story_.reconnect();
        if (!story_.settle() && story_.complaint().empty()) return "R9: it comes to no end";
        story_.judge();
        if (!story_.complaint().empty()) return story_.complaint();
        // The same state from the log alone, as far as it goes.
        const uint64_t digest = broker_.state().digest();
        const LogIndex applied = broker_.applied();
        broker_.crash(0, 0);
        if (std::string failure = broker_.start(); !failure.empty()) return "R5: " + failure;
        while (broker_.applied() < applied && broker_.step())
            continue;
        if (broker_.applied() == applied && broker_.state().digest() != digest) {
            return "R4: the log leads to another state";
        }
        return {};
    }

  private:
    void quiet() {
        while (step())
            continue;
    }

    const Tale tale_;
    Broker broker_;
    Story story_;
    bool possible_ = true;
    bool last_ = false;  // operation, now
    std::size_t steps_ = 0;
};

class Exploration {
  public:
    explicit Exploration(const Scope& scope) : scope_(scope) {}

    Explored run() {
        for (const std::vector<Operation>& beginning : beginnings()) {
            Tale tale;
            tale.operations = beginning;
            tale.begun = beginning.size();
            extend(tale);
        }
        return result_;
    }

  private:
    // All that begin so.
    void extend(Tale& tale) {
        if (tale.operations.size() - tale.begun == scope_.operations_max) return;
        for (uint32_t i = 0; i < kOperations && result_.violation.empty(); ++i) {
            tale.operations.push_back(static_cast<Operation>(i));
            if (tell(tale)) extend(tale);
            tale.operations.pop_back();
        }
    }

    // False for what no client could do.
    bool tell(Tale tale) {
        if (!Telling(tale, scope_.mistake).possible()) return false;
        ++result_.stories;
        // Never, before the story, or after any but its last operation.
        interrupt(tale);
        for (std::size_t i = std::max<std::size_t>(tale.begun, 1); i < tale.operations.size();
             ++i) {
            tale.kept_house_after = i;
            interrupt(tale);
        }
        tale.kept_house_after = SIZE_MAX;
        Telling whole(tale, scope_.mistake);
        for (std::size_t i = 1; whole.step(); ++i) {
            tale.kept_house_at = i;
            interrupt(tale);
            tale.deaf_from = i;
            interrupt(tale);
            tale.deaf_from = SIZE_MAX;
        }
        return true;
    }

    void interrupt(const Tale& tale) {
        Telling whole(tale, scope_.mistake);
        // What comes before the house is kept is the same as where it never is.
        std::size_t steps = tale.kept_house_at == SIZE_MAX ? 0 : tale.kept_house_at;
        for (std::size_t i = 0; i < steps; ++i)
            (void)whole.step();
        do {
            ++result_.points;
            for (std::size_t log = 0; log <= whole.log_writes(); ++log) {
                const std::size_t all = whole.state_batches();
                for (const std::size_t state :
                     std::set{std::size_t{0}, all / 2, all - (all > 0), all})
                    crash(tale, steps, log, state);
            }
            ++steps;
        } while (result_.violation.empty() && whole.step());
    }

    // Also with what the last step said unheard.
    void crash(const Tale& tale, std::size_t steps, std::size_t log, std::size_t state) {
        crash_once(tale, steps, log, state);
        if (steps == 0 || tale.deaf_from != SIZE_MAX) return;
        Tale deaf = tale;
        deaf.deaf_from = steps;
        crash_once(deaf, steps, log, state);
    }

    void crash_once(const Tale& tale, std::size_t steps, std::size_t log, std::size_t state) {
        if (!result_.violation.empty()) return;
        Telling telling(tale, scope_.mistake);
        for (std::size_t i = 0; i < steps; ++i)
            (void)telling.step();
        ++result_.crashes;
        const std::string wrong = telling.crash(log, state);
        if (wrong.empty()) return;
        for (const Operation operation : tale.operations)
            result_.violation += fmt::format("{}, ", to_string(operation));
        result_.violation += fmt::format(
            "house kept after {} or at {}, deaf from {}, step {}, {} writes and {} batches kept: "
            "{}",
            tale.kept_house_after, tale.kept_house_at, tale.deaf_from, steps, log, state, wrong);
    }

    const Scope scope_;
    Explored result_;
};

}  // namespace

Explored explore(const Scope& scope) {
    return Exploration(scope).run();
}

}  // namespace quorate::sim::crashes
