#include "storage/keys.h"

namespace quorate::storage {
namespace {

void append_big_endian(std::string& key, uint64_t value, int bytes) {
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
        key.push_back(static_cast<char>(value >> shift));
    }
}

}  // namespace

void append_key_u8(std::string& key, uint8_t value) {
    append_big_endian(key, value, 1);
}
void append_key_u16(std::string& key, uint16_t value) {
    append_big_endian(key, value, 2);
}
void append_key_u32(std::string& key, uint32_t value) {
    append_big_endian(key, value, 4);
}
void append_key_u64(std::string& key, uint64_t value) {
    append_big_endian(key, value, 8);
}

uint64_t KeyReader::integer(std::size_t size) {
    if (rest_.size() < size) {
        failed_ = true;
        rest_ = {};
        return 0;
    }
    uint64_t value = 0;
    for (std::size_t i = 0; i < size; ++i) {
        value = value << 8 | static_cast<uint8_t>(rest_[i]);
    }
    rest_.remove_prefix(size);
    return value;
}

std::string group_prefix(GroupId group) {
    std::string prefix;
    append_key_u32(prefix, group.value());
    return prefix;
}

std::string state_prefix(GroupId group, Generation generation) {
    std::string prefix;
    append_key_u32(prefix, group.value());
    append_key_u32(prefix, generation.value());
    return prefix;
}

std::string prefix_end(std::string_view prefix) {
    std::string end(prefix);
    while (!end.empty() && static_cast<uint8_t>(end.back()) == 0xFF) {
        end.pop_back();
    }
    if (!end.empty()) end.back() = static_cast<char>(static_cast<uint8_t>(end.back()) + 1);
    return end;
}

std::string log_key(GroupId group, LogRecord record) {
    std::string key;
    append_key_u32(key, group.value());
    append_key_u8(key, static_cast<uint8_t>(record));
    return key;
}

std::string entry_key(GroupId group, LogIndex index) {
    std::string key = log_key(group, LogRecord::Entry);
    append_key_u64(key, index.value());
    return key;
}

std::optional<LogKey> parse_log_key(std::string_view bytes) {
    KeyReader reader(bytes);
    LogKey key;
    key.group = GroupId(reader.u32());
    const uint8_t record = reader.u8();
    if (record < static_cast<uint8_t>(LogRecord::HardState) ||
        record > static_cast<uint8_t>(LogRecord::Entry)) {
        return std::nullopt;
    }
    key.record = static_cast<LogRecord>(record);
    if (key.record == LogRecord::Entry) key.index = LogIndex(reader.u64());
    if (reader.failed() || !reader.rest().empty()) return std::nullopt;
    return key;
}

}  // namespace quorate::storage
