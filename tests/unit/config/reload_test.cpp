#include "broker/config/reload.h"

#include <algorithm>

#include "broker/config/option_list.h"
#include "tests/unit/catch.h"

namespace quorate::broker {
namespace {

struct Parsed {
    Config config;
    ConfigPlaces places;
};

Parsed from(std::vector<std::string> sets) {
    Parsed out;
    ConfigSources sources;
    sources.sets = std::move(sets);
    Result<Config> config = load_config(sources, &out.places);
    INFO((config ? std::string() : config.error().message));
    REQUIRE(config.ok());
    out.config = *config;
    return out;
}

bool names(const std::vector<ReloadChange>& changes, std::string_view option) {
    return std::ranges::find(changes, option, &ReloadChange::option) != changes.end();
}

const std::string kListener = "listeners=[{url: 'tcp://127.0.0.1:1883'}]";

TEST_CASE("Nothing changes when nothing was changed") {
    const Parsed same = from({});
    const Reload merged = merge_reload(same.config, same.config, same.places);
    CHECK(merged.applied.empty());
    CHECK(merged.refused.empty());
}

TEST_CASE("An option that may change while running does, one that may not stays and is named") {
    const Parsed fresh = from({"limits.publish_rate=5/s", "mqtt.max_qos=1", "log.level=debug"});
    const Reload merged = merge_reload(Config{}, fresh.config, fresh.places);
    CHECK(merged.config.limits.publish_rate.count == 5);
    CHECK(merged.config.log.level == LogLevelOption::Debug);
    CHECK(merged.config.mqtt.max_qos == 2);
    REQUIRE(merged.refused.size() == 1);
    CHECK(merged.refused[0].option == "mqtt.max_qos");
    CHECK(merged.refused[0].place == "--set mqtt.max_qos");
    CHECK(names(merged.applied, "limits.publish_rate"));
    CHECK(names(merged.applied, "log.level"));
}

TEST_CASE("An option that is no longer set goes back to its default") {
    const Parsed before = from({"mqtt.retained_scans=3"});
    const Parsed after = from({});
    const Reload merged = merge_reload(before.config, after.config, after.places);
    CHECK(merged.config.mqtt.retained_scans == 16);
    REQUIRE(merged.applied.size() == 1);
    CHECK(merged.applied[0].place.empty());
}

TEST_CASE("Every row either takes effect or is refused, whatever its type") {
    for (const OptionRow& row : option_rows()) {
        if (row.path == "listeners") continue;
        CAPTURE(std::string(row.path));
        Config other;
        std::visit(
            [](const auto& value) {
                using Ref = std::decay_t<decltype(value)>;
                if constexpr (std::is_same_v<Ref, ChoiceRef>) {
                    *value.value = static_cast<uint8_t>(*value.value == 0 ? 1 : 0);
                } else if constexpr (std::is_same_v<Ref, bool*>) {
                    *value = !*value;
                } else if constexpr (std::is_same_v<Ref, std::string*>) {
                    *value += "x";
                } else if constexpr (std::is_same_v<Ref, ByteSize*>) {
                    value->value += 1;
                } else if constexpr (std::is_same_v<Ref, Rate*>) {
                    value->count += 1;
                } else if constexpr (std::is_same_v<Ref, ByteRate*>) {
                    value->per_second += 1;
                } else if constexpr (std::is_same_v<Ref, HostPort*>) {
                    value->host += "x";
                } else if constexpr (std::is_same_v<Ref, SyncPolicy*>) {
                    value->interval = Milliseconds(7);
                } else if constexpr (std::is_same_v<Ref, std::vector<std::string>*>) {
                    value->push_back("a:1");
                } else if constexpr (std::is_same_v<Ref, Milliseconds*>) {
                    *value = *value == kNever ? Milliseconds(5) : *value + Milliseconds(1);
                } else if constexpr (!std::is_same_v<Ref, std::vector<ListenerConfig>*>) {
                    *value += 1;
                }
            },
            row.at(other));
        CHECK_FALSE(same_option(row, Config{}, other));
        const Reload merged = merge_reload(Config{}, other, {});
        const bool live = row.change == Change::Live;
        CHECK(merged.applied.size() == (live ? 1U : 0U));
        CHECK(merged.refused.size() == (live ? 0U : 1U));
        CHECK(same_option(row, merged.config, live ? other : Config{}));
    }
}

TEST_CASE("A listener's certificates and bound may change, its address and protocol not") {
    const Parsed running = from({kListener});
    const auto merged_with = [&](const std::string& listeners) {
        const Parsed fresh = from({"listeners=" + listeners, "auth.allow_anonymous=auto"});
        return merge_reload(running.config, fresh.config, fresh.places);
    };
    const Reload bound = merged_with("[{url: 'tcp://127.0.0.1:1883', max_connections: 5}]");
    CHECK(bound.refused.empty());
    CHECK(bound.config.listeners[0].max_connections == 5);
    for (const char* other : {"[{url: 'tcp://127.0.0.1:1884'}]", "[{url: 'ws://127.0.0.1:1883'}]",
                              "[{url: 'tcp://127.0.0.1:1883', proxy_protocol: true}]"}) {
        CAPTURE(std::string(other));
        const Reload merged = merged_with(other);
        REQUIRE(merged.refused.size() == 1);
        CHECK(merged.refused[0].option == "listeners[0]");
        CHECK(merged.refused[0].place == "--set listeners");
        CHECK(merged.config.listeners == running.config.listeners);
    }
    const Reload more =
        merged_with("[{url: 'tcp://127.0.0.1:1883'}, {url: 'tcp://127.0.0.1:1884'}]");
    REQUIRE(more.refused.size() == 1);
    CHECK(more.refused[0].option == "listeners");
}

}  // namespace
}  // namespace quorate::broker
