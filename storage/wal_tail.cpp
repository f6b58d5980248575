#include "storage/wal_tail.h"

#include <algorithm>
#include <optional>
#include <vector>

#include <rocksdb/file_system.h>

#include "proto/base/bytes.h"
#include "proto/base/hash.h"

namespace quorate::storage {
namespace {

constexpr std::size_t kBlockBytes = 32768;
constexpr std::size_t kHeaderBytes = 7;
constexpr uint8_t kFull = 1;
constexpr uint8_t kFirst = 2;
constexpr uint8_t kMiddle = 3;
constexpr uint8_t kLast = 4;

struct Record {
    uint8_t type = 0;
    std::size_t bytes = 0;  // with its header
};

uint32_t masked(uint32_t crc) {
    return ((crc >> 15) | (crc << 17)) + 0xA282EAD8U;
}

// The record at `at`, if there is a sound one.
std::optional<Record> record_at(std::string_view bytes, std::size_t at) {
    const std::size_t block_left = kBlockBytes - at % kBlockBytes;
    if (block_left < kHeaderBytes || at + kHeaderBytes > bytes.size()) return std::nullopt;
    RecordReader reader(bytes.substr(at));
    const uint32_t crc = reader.u32();
    const std::size_t size = reader.u16();
    const auto type = static_cast<uint8_t>(bytes[at + 6]);
    if (type < kFull || type > kLast || kHeaderBytes + size > block_left ||
        at + kHeaderBytes + size > bytes.size()) {
        return std::nullopt;
    }
    if (masked(crc32c(bytes.substr(at + 6, 1 + size))) != crc) return std::nullopt;
    return Record{type, kHeaderBytes + size};
}

// Whether a write begins anywhere behind `at`: its position is unknown once a header is damaged.
bool has_later_write(std::string_view bytes, std::size_t at) {
    for (std::size_t i = at + 1; i + kHeaderBytes <= bytes.size(); ++i) {
        const auto type = static_cast<uint8_t>(bytes[i + 6]);
        if (type != kFull && type != kFirst) continue;
        if (record_at(bytes, i)) return true;
    }
    return false;
}

Error io_error(const std::string& path, const rocksdb::IOStatus& status) {
    return Error{ErrorCode::Io, path + ": " + status.ToString()};
}

Result<std::string> read_file(rocksdb::FileSystem& files, const std::string& path) {
    std::unique_ptr<rocksdb::FSSequentialFile> file;
    rocksdb::IOStatus status =
        files.NewSequentialFile(path, rocksdb::FileOptions(), &file, nullptr);
    if (!status.ok()) return io_error(path, status);
    std::string content;
    std::vector<char> buffer(std::size_t{1} << 20);
    for (;;) {
        rocksdb::Slice part;
        status = file->Read(buffer.size(), rocksdb::IOOptions(), &part, buffer.data(), nullptr);
        if (!status.ok()) return io_error(path, status);
        if (part.empty()) return content;
        content.append(part.data(), part.size());
    }
}

// "000012.log" of the highest number; empty when there is none.
std::string newest_log(const std::vector<std::string>& names) {
    constexpr std::string_view kSuffix = ".log";
    std::string newest;
    for (const std::string& name : names) {
        const bool numbered = name.size() > kSuffix.size() && name.ends_with(kSuffix) &&
                              std::all_of(name.begin(), name.end() - kSuffix.size(),
                                          [](char c) { return c >= '0' && c <= '9'; });
        if (!numbered) continue;
        if (name.size() > newest.size() || (name.size() == newest.size() && name > newest)) {
            newest = name;
        }
    }
    return newest;
}

}  // namespace

WalTail inspect_wal(std::string_view bytes) {
    std::size_t at = 0;
    std::size_t write_begin = 0;
    bool inside = false;
    while (at < bytes.size()) {
        const std::size_t block_left = kBlockBytes - at % kBlockBytes;
        if (block_left < kHeaderBytes) {
            at = std::min(at + block_left, bytes.size());
            continue;
        }
        const std::optional<Record> record = record_at(bytes, at);
        const bool expected = record && (inside ? record->type == kMiddle || record->type == kLast
                                                : record->type == kFull || record->type == kFirst);
        if (!expected) break;
        if (record->type == kFirst) {
            inside = true;
            write_begin = at;
        } else if (record->type == kLast) {
            inside = false;
        }
        at += record->bytes;
    }
    const std::size_t whole = inside ? write_begin : at;
    if (at >= bytes.size() && !inside) return WalTail{WalEnd::Whole, bytes.size()};
    const WalEnd end = has_later_write(bytes, at) ? WalEnd::Damaged : WalEnd::Torn;
    return WalTail{end, whole};
}

Status repair_wal_tail(rocksdb::FileSystem& files, const std::string& directory,
                       bool forgive_damage) {
    const rocksdb::IOOptions options;
    std::vector<std::string> names;
    if (!files.FileExists(directory, options, nullptr).ok()) return {};
    rocksdb::IOStatus status = files.GetChildren(directory, options, &names, nullptr);
    if (!status.ok()) return io_error(directory, status);
    const std::string name = newest_log(names);
    if (name.empty()) return {};
    const std::string path = directory + "/" + name;
    const Result<std::string> content = read_file(files, path);
    if (!content) return content.error();
    const WalTail tail = inspect_wal(*content);
    if (tail.end == WalEnd::Whole) return {};
    if (tail.end == WalEnd::Damaged && !forgive_damage) {
        return Error{ErrorCode::Corrupt,
                     path + " is damaged at byte " + std::to_string(tail.whole_bytes) +
                         ", with writes behind it that were acknowledged. Restore this data "
                         "directory from a backup, or empty it so that the node is rebuilt from "
                         "the other replicas."};
    }
    std::unique_ptr<rocksdb::FSWritableFile> file;
    status = files.ReopenWritableFile(path, rocksdb::FileOptions(), &file, nullptr);
    if (status.ok()) status = file->Truncate(tail.whole_bytes, options, nullptr);
    if (status.ok()) status = file->Sync(options, nullptr);
    if (status.ok()) status = file->Close(options, nullptr);
    if (!status.ok()) return io_error(path, status);
    return {};
}

}  // namespace quorate::storage
