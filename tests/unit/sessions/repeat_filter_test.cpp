#include "cluster/sessions/repeat_filter.h"

#include <set>

#include "cluster/sessions/outbox.h"
#include "proto/base/environment.h"
#include "storage/memory_stores.h"
#include "tests/unit/catch.h"
#include "tests/unit/rounds.h"

namespace quorate::cluster {
namespace {

const OutboxTarget kTarget{OutboxTargetKind::Topic, ShardId(2), {}};

// A driver with a window over a link that delays, repeats and reorders; drivers change and begin
// again at the first unfinished entry. Every entry must be taken once.
void run(uint64_t seed) {
    INFO("seed " << seed);
    Random random(seed);
    storage::StateBatch batch;
    MessageStore bodies(0);
    Outbox outbox(ShardId(1), {1000, 1U << 20U, 4});
    RepeatFilters filter;
    std::vector<OutboxSource> link;
    std::set<uint64_t> taken;
    std::set<uint64_t> answered;
    uint64_t put = 0;
    const uint64_t total = 200;
    for (int step = 0; step < 20'000 && (put < total || outbox.size() > 0); ++step) {
        switch (random.below(4)) {
            case 0:
                if (put == total) break;
                outbox.put(kTarget, {bodies.add("m", batch), 1, {}, 2, "", {}}, batch);
                ++put;
                break;
            case 1:  // (re)send what is in the window
                outbox.window(kTarget, OutboxNumber(), 4, [&](const auto& source, const auto&) {
                    if (random.chance(1, 2)) link.push_back(source);
                    return true;
                });
                break;
            case 2: {  // something arrives, perhaps to come again
                if (link.empty()) break;
                const std::size_t at = random.below(link.size());
                const OutboxSource source = link[at];
                if (random.chance(2, 3)) {
                    link.erase(link.begin() + static_cast<std::ptrdiff_t>(at));
                }
                const auto verdict = filter.take(source);
                REQUIRE(verdict != RepeatVerdict::Refused);
                if (verdict == RepeatVerdict::First) {
                    CHECK(taken.insert(source.number.value()).second);
                }
                answered.insert(source.number.value());
                break;
            }
            default: {  // an answer reaches the driver
                if (answered.empty()) break;
                const uint64_t number = *std::next(
                    answered.begin(), static_cast<std::ptrdiff_t>(random.below(answered.size())));
                answered.erase(number);
                const auto entry = outbox.done(kTarget, OutboxNumber(number), batch);
                if (entry) CHECK(taken.contains(number));
                break;
            }
        }
        CHECK(filter.seen({ShardId(1), Generation(1), kTarget}) <= 8);
    }
    CHECK(taken.size() == total);
}

TEST_CASE("Each hand-over is taken once, whatever the link does, and the seen set stays small",
          "[R-5]") {
    for (uint64_t seed = 1; seed <= test::rounds(50); ++seed)
        run(seed);
}

TEST_CASE("A filter is the same after a restart") {
    RepeatFilters filter;
    OutboxSource source;
    source.stream = {ShardId(1), Generation(1), kTarget};
    source.number = OutboxNumber(5);
    source.high = OutboxNumber(4);
    source.unfinished = {OutboxNumber(2)};
    CHECK(filter.take(source) == RepeatVerdict::First);
    CHECK(filter.taken(source));
    storage::MemoryStateStore store;
    storage::StateBatch batch;
    filter.end_entry(batch);
    REQUIRE(store.write(batch).ok());
    RepeatFilters again;
    REQUIRE(again.load(store).ok());
    CHECK(again.digest() == filter.digest());
    CHECK(again.take(source) == RepeatVerdict::Repeat);
    source.number = OutboxNumber(2);
    source.high = OutboxNumber(0);
    source.unfinished.clear();
    CHECK(again.take(source) == RepeatVerdict::First);
    CHECK(again.load_record("x", "y").error().code == ErrorCode::Corrupt);
}

TEST_CASE("A stream that claims too many open numbers is refused") {
    RepeatFilters filter;
    OutboxSource source;
    source.number = OutboxNumber(1);
    source.unfinished.resize(RepeatFilters::kSeenMax + 1);
    CHECK(filter.take(source) == RepeatVerdict::Refused);
    source.unfinished.clear();
    source.number = OutboxNumber();
    CHECK(filter.take(source) == RepeatVerdict::Refused);
}

}  // namespace
}  // namespace quorate::cluster
