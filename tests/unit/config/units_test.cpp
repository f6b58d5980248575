#include "broker/config/units.h"

#include "tests/unit/catch.h"

namespace quorate::broker {

TEST_CASE("a duration carries its unit", "[config]") {
    CHECK(parse_duration("250ms") == Milliseconds(250));
    CHECK(parse_duration("30s") == Milliseconds(30'000));
    CHECK(parse_duration("5m") == Milliseconds(300'000));
    CHECK(parse_duration("1h") == Milliseconds(3'600'000));
    CHECK(parse_duration("7d") == Milliseconds(604'800'000));
    CHECK(parse_duration("never") == kNever);
    CHECK(parse_duration("0") == Milliseconds(0));
}

TEST_CASE("a duration without unit, with sign, space, fraction or overflow is refused",
          "[config]") {
    for (const char* text : {"", "30", "-1s", "+1s", "1 s", "1.5h", "1h30m", "s", "1S", "Never",
                             "18446744073709551616s", "9999999999999999d"}) {
        INFO(text);
        CHECK_FALSE(parse_duration(text).has_value());
    }
}

TEST_CASE("a size is in bytes or binary units", "[config]") {
    CHECK(parse_size("512")->value == 512);
    CHECK(parse_size("512B")->value == 512);
    CHECK(parse_size("64KiB")->value == 65'536);
    CHECK(parse_size("1MiB")->value == 1'048'576);
    CHECK(parse_size("2GiB")->value == 2'147'483'648);
    for (const char* text : {"", "KiB", "1KB", "1kib", "-1", "1.5MiB", "99999999999999GiB"}) {
        INFO(text);
        CHECK_FALSE(parse_size(text).has_value());
    }
}

TEST_CASE("a rate is a count in a period, or off", "[config]") {
    CHECK(parse_rate("100/s") == Rate{100, Milliseconds(1000)});
    CHECK(parse_rate("10/min") == Rate{10, Milliseconds(60'000)});
    CHECK(parse_rate("5/h") == Rate{5, Milliseconds(3'600'000)});
    CHECK(parse_rate("off")->off());
    for (const char* text : {"", "100", "100/", "/s", "1/d", "100/ s"}) {
        INFO(text);
        CHECK_FALSE(parse_rate(text).has_value());
    }
    CHECK(parse_byte_rate("1MiB/s")->per_second == 1'048'576);
    CHECK(parse_byte_rate("off")->off());
    CHECK_FALSE(parse_byte_rate("1MiB").has_value());
}

TEST_CASE("a sync policy is always, or an interval up to a minute", "[config]") {
    CHECK_FALSE(parse_sync("always")->interval.has_value());
    CHECK(parse_sync("interval:100ms")->interval == Milliseconds(100));
    for (const char* text :
         {"", "never", "interval:", "interval:0", "interval:2m", "interval:never"}) {
        INFO(text);
        CHECK_FALSE(parse_sync(text).has_value());
    }
}

TEST_CASE("what a unit is written as reads back as the same value", "[config]") {
    for (const int64_t ms : {0L, 1L, 250L, 1000L, 90'000L, 3'600'000L, 604'800'000L}) {
        CHECK(parse_duration(duration_text(Milliseconds(ms))) == Milliseconds(ms));
    }
    CHECK(parse_duration(duration_text(kNever)) == kNever);
    for (const uint64_t bytes : {0UL, 1UL, 1023UL, 1024UL, 1'048'576UL, 268'435'460UL}) {
        CHECK(parse_size(size_text({bytes}))->value == bytes);
    }
    CHECK(parse_rate(rate_text({10, Milliseconds(60'000)})) == Rate{10, Milliseconds(60'000)});
    CHECK(parse_byte_rate(byte_rate_text({2048})) == ByteRate{2048});
    CHECK(parse_sync(sync_text({Milliseconds(100)})) == SyncPolicy{Milliseconds(100)});
}

}  // namespace quorate::broker
