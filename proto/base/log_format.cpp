#include <array>
#include <chrono>
#include <iterator>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "proto/base/log.h"

namespace quorate {
namespace {

constexpr size_t kValueBytesMax = 1024;
constexpr size_t kLineBytesMax = 8192;

// The length of the well-formed UTF-8 sequence at the front of `text` and its code point; length 0
// when there is none (Unicode 15, table 3-7).
struct Sequence {
    size_t length = 0;
    uint32_t code_point = 0;
};

Sequence first_sequence(std::string_view text) {
    const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
    const uint8_t lead = byte(0);
    if (lead < 0x80) return {1, lead};
    const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return {};
    uint32_t code_point = lead & (0xFFU >> (length + 1));
    for (size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xC0U) != 0x80U) return {};
        code_point = (code_point << 6U) | (byte(i) & 0x3FU);
    }
    constexpr std::array<uint32_t, 5> kSmallest = {0, 0, 0x80, 0x800, 0x10000};
    const bool surrogate = code_point >= 0xD800 && code_point <= 0xDFFF;
    if (code_point < kSmallest[length] || code_point > 0x10FFFF || surrogate) return {};
    return {length, code_point};
}

// What could move a cursor, start a line or reorder what a person reads.
bool is_unsafe(uint32_t code_point) {
    return code_point < 0x20 || (code_point >= 0x7F && code_point <= 0x9F) ||
           (code_point >= 0x2028 && code_point <= 0x202E) ||
           (code_point >= 0x2066 && code_point <= 0x2069);
}

// Appends `text` without anything unsafe. The result is valid inside a JSON string; a byte that is
// not UTF-8 becomes the four characters \xNN (whose backslash JSON doubles).
void append_escaped(std::string& out, std::string_view text, LogFormat format) {
    const bool cut = text.size() > kValueBytesMax;
    if (cut) text = text.substr(0, kValueBytesMax);
    const char* raw_byte = format == LogFormat::Json ? "\\\\x{:02x}" : "\\x{:02x}";
    while (!text.empty()) {
        const Sequence sequence = first_sequence(text);
        if (sequence.length == 0) {
            fmt::format_to(std::back_inserter(out), fmt::runtime(raw_byte),
                           static_cast<uint8_t>(text[0]));
            text.remove_prefix(1);
            continue;
        }
        if (is_unsafe(sequence.code_point)) {
            fmt::format_to(std::back_inserter(out), "\\u{:04x}", sequence.code_point);
        } else if (sequence.code_point == '"' || sequence.code_point == '\\') {
            out += '\\';
            out += text[0];
        } else {
            out.append(text.substr(0, sequence.length));
        }
        text.remove_prefix(sequence.length);
    }
    if (cut) out += "...";
}

bool needs_quotes(std::string_view text) {
    return text.empty() || text.find_first_of(" =\"\\,[]{}") != std::string_view::npos;
}

void append_value(std::string& out, const LogField& field, LogFormat format) {
    switch (field.kind()) {
        case LogField::Kind::Text: {
            const bool quotes = format == LogFormat::Json || needs_quotes(field.text());
            if (quotes) out += '"';
            append_escaped(out, field.text(), format);
            if (quotes) out += '"';
            return;
        }
        case LogField::Kind::Signed:
            fmt::format_to(std::back_inserter(out), "{}", field.signed_number());
            return;
        case LogField::Kind::Unsigned:
            fmt::format_to(std::back_inserter(out), "{}", field.unsigned_number());
            return;
        case LogField::Kind::Real: {
            const double real = field.real();
            const bool finite = real - real == 0.0;
            if (finite) {
                fmt::format_to(std::back_inserter(out), "{}", real);
            } else {
                out += "null";
            }
            return;
        }
        case LogField::Kind::Flag:
            out += field.flag() ? "true" : "false";
            return;
    }
}

std::string timestamp() {
    const auto now = std::chrono::system_clock::now();
    const auto ms =
        std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count();
    return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(ms / 1000), ms % 1000);
}

std::string format_text(const LogLine& line) {
    std::string out = fmt::format("{} {:<5} {}: {}", timestamp(), to_string(line.level),
                                  line.component, line.message);
    for (const LogField& field : line.fields) {
        if (out.size() > kLineBytesMax) break;
        out += ' ';
        append_escaped(out, field.key(), LogFormat::Text);
        out += '=';
        append_value(out, field, LogFormat::Text);
    }
    if (out.size() > kLineBytesMax) out.replace(kLineBytesMax - 3, std::string::npos, "...");
    return out;
}

// A field that would make the line too long is left out, so that the line stays valid JSON.
std::string format_json(const LogLine& line) {
    std::string out = fmt::format(R"({{"time":"{}","level":"{}","component":")", timestamp(),
                                  to_string(line.level));
    append_escaped(out, line.component, LogFormat::Json);
    out += R"(","message":")";
    append_escaped(out, line.message, LogFormat::Json);
    out += '"';
    for (const LogField& field : line.fields) {
        std::string item = ",\"";
        append_escaped(item, field.key(), LogFormat::Json);
        item += "\":";
        append_value(item, field, LogFormat::Json);
        if (out.size() + item.size() + 1 > kLineBytesMax) {
            out += R"(,"cut":true)";
            break;
        }
        out += item;
    }
    out += '}';
    return out;
}

}  // namespace

std::string format_line(const LogLine& line, LogFormat format) {
    return format == LogFormat::Json ? format_json(line) : format_text(line);
}

}  // namespace quorate
