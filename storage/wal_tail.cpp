#include "storage/wal_tail.h"

#include <algorithm>
#include <array>
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
    uint32_t crc = 0;  // masked, of what follows it
    uint8_t type = 0;
    std::size_t bytes = 0;  // with its header
};

uint32_t masked(uint32_t crc) {
    return ((crc >> 15) | (crc << 17)) + 0xA282EAD8U;
}

// What the header at `at` says, if there is one; its checksum is not looked at.
std::optional<Record> header_at(std::string_view bytes, std::size_t at) {
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
    return Record{crc, type, kHeaderBytes + size};
}

// The record at `at`, if there is a sound one.
std::optional<Record> record_at(std::string_view bytes, std::size_t at) {
    const std::optional<Record> record = header_at(bytes, at);
    if (!record || masked(crc32c(bytes.substr(at + 6, record->bytes - 6))) != record->crc) {
        return std::nullopt;
    }
    return record;
}

// CRC-32C of any part of a block, in the same short time for each: a block may hold a client's
// bytes, made so that every one of them seems to head a record as long as the block.
class BlockChecksums {
  public:
    BlockChecksums() : to_(kBlockBytes + 1), shifts_(shifts()) {}
    void set_block(std::string_view block) {
        for (std::size_t i = 0; i < block.size(); ++i)
            to_[i + 1] = crc32c(block.substr(i, 1), to_[i]);
    }
    [[nodiscard]] uint32_t of(std::size_t begin, std::size_t end) const {
        // What stood before `begin` counts in the sum up to `end` as it did up to `begin`, times
        // x^8 for each byte since.
        return to_[end] ^ product(to_[begin], shifts_[end - begin]);
    }

  private:
    static constexpr uint32_t kPolynomial = 0x82F63B78U;
    static constexpr uint32_t kOneByte = 1U << (31 - 8);  // x^8

    using Shifts = std::array<uint32_t, kBlockBytes + 1>;

    // Made once: it takes longer than to judge a short log.
    static const Shifts& shifts() {
        static const Shifts kShifts = [] {
            Shifts out;
            out[0] = 1U << 31;  // the polynomial 1: bits stand in reverse
            for (std::size_t n = 1; n < out.size(); ++n)
                out[n] = product(out[n - 1], kOneByte);
            return out;
        }();
        return kShifts;
    }
    static uint32_t product(uint32_t a, uint32_t b) {
        uint32_t sum = 0;
        for (uint32_t bit = 1U << 31; bit != 0; bit >>= 1) {
            if ((a & bit) != 0) sum ^= b;
            b = (b & 1U) != 0 ? (b >> 1) ^ kPolynomial : b >> 1;
        }
        return sum;
    }

    std::vector<uint32_t> to_;  // of the block's first so many bytes
    const Shifts& shifts_;      // x^(8n)
};

// Whether a write begins anywhere behind `at`: its position is unknown once a header is damaged.
bool has_later_write(std::string_view bytes, std::size_t at) {
    BlockChecksums checksums;
    for (std::size_t block = at - at % kBlockBytes; block < bytes.size(); block += kBlockBytes) {
        checksums.set_block(bytes.substr(block, kBlockBytes));
        const std::size_t end = std::min(block + kBlockBytes, bytes.size());
        for (std::size_t i = std::max(at + 1, block); i + kHeaderBytes <= end; ++i) {
            const auto type = static_cast<uint8_t>(bytes[i + 6]);
            if (type != kFull && type != kFirst) continue;
            const std::optional<Record> record = header_at(bytes, i);
            if (!record) continue;
            const std::size_t begin = i - block;
            if (masked(checksums.of(begin + 6, begin + record->bytes)) == record->crc) return true;
        }
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
