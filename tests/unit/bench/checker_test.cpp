// The judge of message streams, also against a naive model of it, and the latency histogram.
#include "bench/load/measure/checker.h"

#include <algorithm>
#include <random>
#include <set>
#include <vector>

#include "bench/load/measure/histogram.h"
#include "tests/unit/catch.h"

using quorate::bench::Histogram;
using quorate::bench::Nanos;
using quorate::bench::StreamChecker;
using quorate::bench::Verdict;

TEST_CASE("a stream in order has nothing missing") {
    StreamChecker stream;
    for (std::uint64_t i = 0; i < 1000; ++i)
        CHECK(stream.accept(i) == Verdict::next);
    CHECK(stream.missing(1000) == 0);
    CHECK(stream.missing(1003) == 3);
    CHECK(stream.next() == 1000);
}

TEST_CASE("a skipped message is missing until it comes, and is then late") {
    StreamChecker stream;
    CHECK(stream.accept(0) == Verdict::next);
    CHECK(stream.accept(4) == Verdict::next);
    CHECK(stream.missing(5) == 3);
    CHECK(stream.missing(2) == 1);
    CHECK(stream.accept(2) == Verdict::late);
    CHECK(stream.accept(1) == Verdict::late);
    CHECK(stream.accept(3) == Verdict::late);
    CHECK(stream.missing(5) == 0);
}

TEST_CASE("a message that comes again is a duplicate, in order or late") {
    StreamChecker stream;
    CHECK(stream.accept(3) == Verdict::next);
    CHECK(stream.accept(3) == Verdict::duplicate);
    CHECK(stream.accept(1) == Verdict::late);
    CHECK(stream.accept(1) == Verdict::duplicate);
    CHECK(stream.missing(4) == 2);
}

TEST_CASE("with too many gaps the oldest stay lost, and what comes for them is still a finding") {
    StreamChecker stream;
    const std::uint64_t last = 2 * (StreamChecker::kGapsMax + 10);
    for (std::uint64_t i = 1; i <= last; i += 2)
        CHECK(stream.accept(i) == Verdict::next);
    const std::uint64_t missing = stream.missing(last);
    CHECK(missing == last / 2);
    CHECK(stream.accept(0) == Verdict::duplicate);
    CHECK(stream.missing(last) == missing);
}

TEST_CASE("verdicts agree with a model that remembers every number") {
    for (unsigned seed = 1; seed <= 20; ++seed) {
        std::mt19937_64 random(seed);
        StreamChecker stream;
        std::set<std::uint64_t> seen;
        std::uint64_t next = 0;
        for (int step = 0; step < 3000; ++step) {
            const std::uint64_t back = random() % 40;
            const std::uint64_t number = next + random() % 3 - std::min(next, back);
            const Verdict expected = seen.contains(number) ? Verdict::duplicate
                                     : number >= next      ? Verdict::next
                                                           : Verdict::late;
            INFO("seed " << seed << ", step " << step << ", number " << number);
            REQUIRE(stream.accept(number) == expected);
            seen.insert(number);
            next = std::max(next, number + 1);
            const std::uint64_t owed = next + random() % 5 - std::min<std::uint64_t>(next, 2);
            const auto below =
                static_cast<std::uint64_t>(std::distance(seen.begin(), seen.lower_bound(owed)));
            REQUIRE(stream.missing(owed) == owed - below);
        }
    }
}

TEST_CASE("quantiles are right to two per cent over ten powers of ten") {
    for (std::int64_t unit = 1; unit <= 10'000'000'000; unit *= 10) {
        Histogram histogram;
        for (std::int64_t i = 1; i <= 1000; ++i)
            histogram.add(Nanos(i * unit));
        for (const double fraction : {0.01, 0.5, 0.99, 0.999}) {
            const double exact = fraction * 1000.0 * static_cast<double>(unit);
            const auto found = static_cast<double>(histogram.quantile(fraction).count());
            INFO("unit " << unit << ", fraction " << fraction);
            CHECK(found > exact * 0.98);
            CHECK(found < exact * 1.02);
        }
        CHECK(histogram.max() == Nanos(1000 * unit));
    }
}

TEST_CASE("a histogram counts what is merged, starts empty, and bears any value") {
    Histogram one;
    Histogram other;
    CHECK(one.quantile(0.5) == Nanos(0));
    one.add(Nanos(10));
    other.add(Nanos(30));
    other.add(Nanos::max());
    other.add(Nanos(-5));
    one.merge(other);
    CHECK(one.count() == 4);
    CHECK(one.max() == Nanos::max());
    CHECK(one.quantile(0.5) == Nanos(10));
    one.clear();
    CHECK(one.count() == 0);
    CHECK(one.quantile(1.0) == Nanos(0));
}
