#include "proto/mqtt/utf8.h"

#include <algorithm>
#include <random>
#include <string>

#include "tests/unit/catch.h"

using namespace quorate::mqtt;

namespace {

std::string encode(uint32_t code) {
    std::string out;
    const auto put = [&out](uint32_t byte) {
        out += static_cast<char>(static_cast<uint8_t>(byte));
    };
    if (code < 0x80) {
        put(code);
    } else if (code < 0x800) {
        put(0xC0 | (code >> 6));
        put(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        put(0xE0 | (code >> 12));
        put(0x80 | ((code >> 6) & 0x3F));
        put(0x80 | (code & 0x3F));
    } else {
        put(0xF0 | (code >> 18));
        put(0x80 | ((code >> 12) & 0x3F));
        put(0x80 | ((code >> 6) & 0x3F));
        put(0x80 | (code & 0x3F));
    }
    return out;
}

// The plain reading of Unicode's table 3-7, one code point at a time.
bool slow_valid(const std::string& text) {
    std::size_t i = 0;
    while (i < text.size()) {
        bool found = false;
        for (std::size_t size = 1; size <= 4 && i + size <= text.size() && !found; ++size) {
            uint32_t code = static_cast<uint8_t>(text[i]);
            if (size > 1) code &= 0xFFU >> (size + 1);
            for (std::size_t k = 1; k < size; ++k) {
                code = (code << 6) | (static_cast<uint8_t>(text[i + k]) & 0x3FU);
            }
            if (code == 0 || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) continue;
            if (encode(code) != text.substr(i, size)) continue;
            i += size;
            found = true;
        }
        if (!found) return false;
    }
    return true;
}

}  // namespace

TEST_CASE("every code point but U+0000 and the surrogates is valid, wherever it stands",
          "[MQTT-1.5.4-1][MQTT-1.5.4-2][MQTT311-1.5.3-1][MQTT311-1.5.3-2]") {
    int wrong = 0;
    for (uint32_t code = 0; code <= 0x10FFFF; ++code) {
        const bool allowed = code != 0 && (code < 0xD800 || code > 0xDFFF);
        const std::string text = encode(code);
        if (valid_utf8(text) != allowed) ++wrong;
        if (valid_utf8("0123456" + text + "89abcdef") != allowed) ++wrong;
    }
    CHECK(wrong == 0);
}

TEST_CASE("ill-formed, overlong and cut sequences are refused", "[MQTT-1.5.4-1][MQTT311-1.5.3-1]") {
    const std::string bad[] = {
        "\x80",
        "\xBF",
        "\xC0\x80",
        "\xC1\xBF",
        "\xC3",
        "\xC3(",
        "\xE0\x80\x80",
        "\xE0\x9F\xBF",
        "\xE2\x82",
        "\xE2(\xA1",
        "\xED\xA0\x80",
        "\xED\xBF\xBF",
        "\xF0\x80\x80\x80",
        "\xF0\x8F\xBF\xBF",
        "\xF0\x9F\x98",
        "\xF4\x90\x80\x80",
        "\xF5\x80\x80\x80",
        "\xFE",
        "\xFF",
    };
    for (const std::string& text : bad) {
        CHECK_FALSE(valid_utf8(text));
        CHECK_FALSE(valid_utf8("0123456789abcdef" + text));
        CHECK_FALSE(valid_utf8(text + "0123456789abcdef"));
        CHECK_FALSE(valid_utf8_payload(text));
    }
}

TEST_CASE("U+FEFF is a character like any other", "[MQTT-1.5.4-3][MQTT311-1.5.3-3]") {
    CHECK(valid_utf8("\xEF\xBB\xBF"));
    CHECK(valid_utf8("a\xEF\xBB\xBF/b"));
}

TEST_CASE("a payload may contain U+0000, a string may not", "[MQTT-1.5.4-2][MQTT311-1.5.3-2]") {
    for (std::size_t at = 0; at < 20; ++at) {
        std::string text = "abcdefghijklmnopqrst";
        text[at] = '\0';
        CHECK_FALSE(valid_utf8(text));
        CHECK(valid_utf8_payload(text));
    }
    CHECK(valid_utf8(""));
    CHECK(valid_utf8_payload(""));
}

TEST_CASE("random bytes are judged as a slow decoder judges them") {
    std::mt19937 random(7);
    const std::string parts[] = {"a",    "/",    "\xC3", "\xA9", "\xE2",        "\x82", "\xAC",
                                 "\xF0", "\x9F", "\x98", "\x80", "longer text", "\xED", "\xA0"};
    for (int round = 0; round < 20000; ++round) {
        std::string text;
        const auto pieces = random() % 8;
        for (unsigned i = 0; i < pieces; ++i)
            text += parts[random() % std::size(parts)];
        INFO(round);
        REQUIRE(valid_utf8(text) == slow_valid(text));
    }
}

TEST_CASE("the traits of a text are those of its bytes, at every length") {
    std::mt19937 random(11);
    const std::string alphabet = std::string("abcdefg/+#.\x01\x2C\x2A\x22\x24") + '\0' + "\xC3";
    for (int round = 0; round < 20000; ++round) {
        std::string text;
        const auto size = random() % 40;
        const bool plain = random() % 2 == 0;
        for (unsigned i = 0; i < size; ++i) {
            text += alphabet[plain ? random() % 8 : random() % alphabet.size()];
        }
        const TextTraits traits = traits_of(text);
        const auto high = [](char c) { return static_cast<uint8_t>(c) >= 0x80; };
        REQUIRE(traits.ascii == std::none_of(text.begin(), text.end(), high));
        REQUIRE(traits.null == (text.find('\0') != std::string::npos));
        REQUIRE(traits.wildcard == (text.find_first_of("+#") != std::string::npos));
        REQUIRE(traits.slashes == std::count(text.begin(), text.end(), '/'));
    }
}
