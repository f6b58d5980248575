#include "broker/config/option_list.h"

#include <fstream>
#include <iterator>
#include <set>

#include "broker/config/scalar.h"
#include "tests/unit/catch.h"

namespace quorate::broker {

TEST_CASE("every option has a path of its own and a text", "[config]") {
    std::set<std::string_view> paths;
    for (const OptionRow& row : option_rows()) {
        INFO(row.path);
        CHECK(paths.insert(row.path).second);
        CHECK(row.text.ends_with("."));
        CHECK(row.path.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_.") ==
              std::string_view::npos);
        CHECK(find_option(row.path) == &row);
    }
}

TEST_CASE("every default lies within the range of its own row", "[config]") {
    for (const OptionRow& row : option_rows()) {
        INFO(row.path);
        Config config;
        const OptionRef ref = row.at(config);
        if (std::holds_alternative<std::vector<ListenerConfig>*>(ref)) continue;
        if (std::holds_alternative<std::vector<std::string>*>(ref)) continue;
        std::string text = value_text(row, config);
        if (text.starts_with('"')) text = text.substr(1, text.size() - 2);
        CHECK(assign_scalar(row, ref, text) == std::nullopt);
        CHECK(value_text(row, config) == value_text(row, Config{}));
    }
}

TEST_CASE("no option lies above another, or a section could not be told from a value", "[config]") {
    for (const OptionRow& row : option_rows()) {
        for (const OptionRow& other : option_rows()) {
            CHECK_FALSE(other.path.starts_with(std::string(row.path) + "."));
        }
    }
}

TEST_CASE("the nearest option is the one with the fewest edits, or the same name elsewhere",
          "[config]") {
    CHECK(nearest_option("mqtt.max_qoss") == "mqtt.max_qos");
    CHECK(nearest_option("max_qos") == "mqtt.max_qos");
    CHECK(nearest_option("node.datadir") == "node.data_dir");
    CHECK(nearest_option("limits.retained_max") == "mqtt.retained_max");
    CHECK(nearest_option("nothing.like.this.at_all") == "");
    CHECK(nearest_option(std::string(100'000, 'x')) == "");
}

TEST_CASE("the reference page in the repository is what the option list gives", "[config]") {
    std::ifstream in(QUORATE_REFERENCE_PAGE);
    const std::string page((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    const std::string expected = reference_page();
    INFO("make it with: quorate --print-config-reference > broker/config/REFERENCE.md");
    CHECK(page == expected);
}

}  // namespace quorate::broker
