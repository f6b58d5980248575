#include "cluster/link/wire/batch.h"

#include <string>
#include <vector>

#include "tests/unit/catch.h"

namespace {

using namespace quorate;
using namespace quorate::link;

std::vector<std::string> items_of(std::string_view batch) {
    std::vector<std::string> out;
    BatchReader reader(batch);
    while (const auto item = reader.next())
        out.emplace_back(as_text(*item));
    CHECK_FALSE(reader.failed());
    return out;
}

}  // namespace

TEST_CASE("what was appended is read back in order", "[link]") {
    std::string batch;
    std::vector<std::string> expected;
    for (const std::size_t size :
         std::vector<std::size_t>{1, 2, 127, 128, 129, 16'383, 16'384, 2'097'151, 2'097'152}) {
        expected.emplace_back(size, static_cast<char>('a' + size % 26));
        const std::string_view text = expected.back();
        const std::size_t before = batch.size();
        append_item(batch, as_bytes(text.substr(0, size / 3)), as_bytes(text.substr(size / 3)));
        CHECK(batch.size() - before == encoded_bytes(size));
    }
    CHECK(items_of(batch) == expected);
    CHECK(count_items(batch) == expected.size());
}

TEST_CASE("the largest item fits into a message with its envelope", "[link]") {
    CHECK(encoded_bytes(kItemBytesMax) + 1024 < kMessageBytesMax);
}

TEST_CASE("bytes that are no batch are refused to their last one", "[link]") {
    using namespace std::string_literals;
    CHECK_FALSE(count_items(""));
    CHECK_FALSE(count_items("\0"s));                    // an empty item
    CHECK_FALSE(count_items("\x02"s + "a"));            // cut off
    CHECK_FALSE(count_items("\x80"s));                  // a length that goes on
    CHECK_FALSE(count_items("\x81\x00"s + "a"));        // a length in more bytes than it needs
    CHECK_FALSE(count_items("\xFF\xFF\xFF\xFF\x01"s));  // longer than any message
    CHECK_FALSE(count_items("\x01"s + "a" + "\x05"s + "bc"));
    CHECK(count_items("\x01"s + "a" + "\x02"s + "bc") == 2U);
}

TEST_CASE("every cut of a batch is a shorter batch or none", "[link]") {
    std::string batch;
    for (const std::string_view item : {"one", "two", "three"})
        append_item(batch, as_bytes(item), {});
    for (std::size_t size = 0; size < batch.size(); ++size) {
        const auto items = count_items(std::string_view(batch).substr(0, size));
        const bool at_border = size == 4 || size == 8;
        CHECK(items.has_value() == at_border);
    }
}
