// libFuzzer target: a block of properties, in the place that the first byte chooses.
// Oracle: a slow reference decoder, written from the tables of the specification, accepts the same
// blocks and reads the same values; a block built from what was read is the block.
#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/mqtt/properties.h"

namespace quorate::mqtt {
namespace {

// `b` one byte 0 or 1, `B` bytes, `2` `4` integers, `v` variable, `s` string, `t` topic, `p` pair;
// capital letters for integers that are never 0: `T` `F` `V`. Then the packets, by type number in
// hexadecimal, 0 for the will; `*` for all.
const std::map<int, const char*> kTable = {
    {0x01, "b 30"},  {0x02, "4 30"},        {0x03, "s 30"}, {0x08, "t 30"}, {0x09, "B 30"},
    {0x0B, "V 38"},  {0x11, "4 12e"},       {0x12, "s 2"},  {0x13, "2 2"},  {0x15, "s 12f"},
    {0x16, "B 12f"}, {0x17, "b 1"},         {0x18, "4 0"},  {0x19, "b 1"},  {0x1A, "s 2"},
    {0x1C, "s 2e"},  {0x1F, "s 245679bef"}, {0x21, "T 12"}, {0x22, "2 12"}, {0x23, "T 3"},
    {0x24, "b 2"},   {0x25, "b 2"},         {0x26, "p *"},  {0x27, "F 12"}, {0x28, "b 2"},
    {0x29, "b 2"},   {0x2A, "b 2"},
};

bool reference_utf8(const std::string& text) {
    for (std::size_t i = 0; i < text.size();) {
        const auto byte = static_cast<uint8_t>(text[i]);
        const int more = byte < 0x80    ? 0
                         : byte >= 0xF0 ? 3
                         : byte >= 0xE0 ? 2
                         : byte >= 0xC0 ? 1
                                        : -1;
        if (more < 0 || byte >= 0xF8) return false;
        uint32_t code = more == 0 ? byte : byte & (0x3FU >> more);
        for (int k = 1; k <= more; ++k) {
            const std::size_t at = i + static_cast<std::size_t>(k);
            if (at >= text.size() || (static_cast<uint8_t>(text[at]) & 0xC0U) != 0x80) return false;
            code = (code << 6) | (static_cast<uint8_t>(text[at]) & 0x3FU);
        }
        const uint32_t least[] = {1, 0x80, 0x800, 0x10000};
        if (code < least[more] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
            return false;
        i += static_cast<std::size_t>(more) + 1;
    }
    return true;
}

class Reference {
  public:
    explicit Reference(std::string bytes) : bytes_(std::move(bytes)) {}

    // Everything read, as "id:number:text:value" lines; nothing when the block is refused.
    std::optional<std::string> read(char owner) {
        std::string lines;
        std::map<int, int> seen;
        std::size_t user_bytes = 0;
        while (at_ < bytes_.size()) {
            const int id = byte();
            const auto row = kTable.find(id);
            if (row == kTable.end()) return std::nullopt;
            const std::string packets = std::string(row->second).substr(2);
            if (packets != "*" && packets.find(owner) == std::string::npos) return std::nullopt;
            ++seen[id];
            if (seen[id] > 1 && id != 0x26 && !(id == 0x0B && owner == '3')) return std::nullopt;
            uint64_t number = 0;
            std::string text;
            std::string value;
            if (!read_value(row->second[0], number, text, value)) return std::nullopt;
            if (id == 0x26) user_bytes += text.size() + value.size();
            if (seen[0x26] > 64 || user_bytes > 16 * 1024) return std::nullopt;
            lines +=
                std::to_string(id) + ":" + std::to_string(number) + ":" + text + ":" + value + "\n";
        }
        return lines;
    }

  private:
    int byte() { return at_ < bytes_.size() ? static_cast<uint8_t>(bytes_[at_++]) : -1; }
    bool integer(int size, uint64_t& out) {
        out = 0;
        for (int i = 0; i < size; ++i) {
            const int next = byte();
            if (next < 0) return false;
            out = out * 256 + static_cast<uint64_t>(next);
        }
        return true;
    }
    bool string(std::string& out, bool utf8) {
        uint64_t size = 0;
        if (!integer(2, size) || bytes_.size() - at_ < size) return false;
        out = bytes_.substr(at_, size);
        at_ += size;
        return !utf8 || reference_utf8(out);
    }
    bool read_value(char kind, uint64_t& number, std::string& text, std::string& value) {
        switch (kind) {
            case 'b':
                return integer(1, number) && number <= 1;
            case '2':
                return integer(2, number);
            case 'T':
                return integer(2, number) && number != 0;
            case '4':
                return integer(4, number);
            case 'F':
                return integer(4, number) && number != 0;
            case 'V': {
                uint64_t factor = 1;
                for (int i = 0; i < 4; ++i, factor *= 128) {
                    const int digit = byte();
                    if (digit < 0) return false;
                    number += factor * static_cast<uint64_t>(digit & 127);
                    if (digit < 128) return number != 0 && (i == 0 || digit != 0);
                }
                return false;
            }
            case 's':
                return string(text, true);
            case 't':
                return string(text, true) && !text.empty() &&
                       text.find_first_of("+#") == std::string::npos;
            case 'B':
                return string(text, false);
            case 'p':
                return string(text, true) && string(value, true);
            default:
                return false;
        }
    }

    std::string bytes_;
    std::size_t at_ = 0;
};

void rebuild(const Property& property, PropertyWriter& writer) {
    switch (type_of(property.id)) {
        case PropertyType::None:
            std::abort();
        case PropertyType::Byte:
            writer.byte(property.id, static_cast<uint8_t>(property.number));
            break;
        case PropertyType::TwoByteInteger:
            writer.two_byte(property.id, static_cast<uint16_t>(property.number));
            break;
        case PropertyType::FourByteInteger:
            writer.four_byte(property.id, property.number);
            break;
        case PropertyType::VariableByteInteger:
            writer.variable(property.id, property.number);
            break;
        case PropertyType::Utf8String:
        case PropertyType::BinaryData:
            writer.text(property.id, property.text);
            break;
        case PropertyType::Utf8StringPair:
            writer.user(property.text, property.value);
            break;
    }
}

void check(PropertyOwner owner, std::string_view bytes) {
    const DecodeResult result = check_properties(owner, bytes, {});
    Reference reference{std::string(bytes)};
    const std::optional<std::string> wanted =
        reference.read("0123456789abcdef"[static_cast<std::size_t>(owner)]);
    if (result.ok() != wanted.has_value()) std::abort();
    std::string lines;
    std::string built;
    PropertyWriter writer(built);
    for (const Property& property : PropertyView(bytes)) {
        lines += std::to_string(static_cast<int>(property.id)) + ":" +
                 std::to_string(property.number) + ":" + std::string(property.text) + ":" +
                 std::string(property.value) + "\n";
        rebuild(property, writer);
    }
    if (!result.ok()) {
        if (!is_failure(result.reason)) std::abort();
        return;
    }
    if (lines != *wanted || built != bytes) std::abort();
    std::string scratch;
    const std::string_view forward = forwarded_properties(PropertyView(bytes), scratch);
    std::string forward_wanted;
    PropertyWriter forward_writer(forward_wanted);
    for (const Property& property : PropertyView(bytes)) {
        if (is_forwarded(property.id)) rebuild(property, forward_writer);
    }
    if (forward != forward_wanted) std::abort();
}

}  // namespace
}  // namespace quorate::mqtt

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace quorate::mqtt;
    if (size == 0) return 0;
    const unsigned owner = data[0] % 14U;  // types 12 and 13 have no properties
    check(static_cast<PropertyOwner>(owner < 12 ? owner : owner + 2),
          {reinterpret_cast<const char*>(data) + 1, size - 1});
    return 0;
}
