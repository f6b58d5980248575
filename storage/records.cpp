#include "storage/records.h"

#include <cstdlib>

#include <fmt/format.h>

#include "proto/base/bytes.h"
#include "proto/base/hash.h"

namespace quorate::storage {
namespace {

constexpr std::size_t kPrintableBytesMax = 64;
constexpr std::size_t kMarkBytes = 44;
constexpr std::string_view kMarksKey = "quorate durable marks";

Error corrupt(const char* what) {
    return Error{ErrorCode::Corrupt, std::string("a stored ") + what + " cannot be read"};
}

}  // namespace

std::string printable(std::string_view bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string out;
    for (const char byte : bytes.substr(0, kPrintableBytesMax)) {
        out.push_back(kDigits[static_cast<uint8_t>(byte) >> 4]);
        out.push_back(kDigits[static_cast<uint8_t>(byte) & 15U]);
    }
    if (bytes.size() > kPrintableBytesMax) out += "...";
    return out;
}

void append_frame(std::string& out, std::string_view key, std::string_view body,
                  std::string_view body_rest) {
    RecordWriter writer(out);
    writer.u8(kRecordVersion);
    writer.u32(crc32c(body_rest, crc32c(body, crc32c(key))));
}

Result<std::string_view> open_frame(std::string_view key, std::string_view stored) {
    RecordReader reader(stored);
    const uint8_t version = reader.u8();
    const uint32_t expected = reader.u32();
    if (reader.failed()) {
        return Error{ErrorCode::Corrupt, "record " + printable(key) + " is too short"};
    }
    // The version byte is not covered by the checksum, so a wrong one may be damage or the future.
    if (version != kRecordVersion) {
        return Error{ErrorCode::Corrupt, "record " + printable(key) + " has unknown version " +
                                             std::to_string(version)};
    }
    if (crc32c(reader.rest(), crc32c(key)) != expected) {
        return Error{ErrorCode::Corrupt, "record " + printable(key) + " fails its checksum"};
    }
    return reader.rest();
}

std::string encode_hard_state(const HardState& state) {
    std::string body;
    RecordWriter writer(body);
    writer.id(state.term);
    writer.id(state.voted_for);
    writer.id(state.commit);
    return body;
}

Result<HardState> decode_hard_state(std::string_view body) {
    RecordReader reader(body);
    HardState state;
    state.term = reader.id<Term>();
    state.voted_for = reader.id<ReplicaId>();
    state.commit = reader.id<LogIndex>();
    if (!reader.finished()) return corrupt("hard state");
    return state;
}

std::string encode_meta(const GroupMeta& meta) {
    std::string body;
    RecordWriter writer(body);
    writer.id(meta.generation);
    writer.id(meta.replica);
    writer.id(meta.base.index);
    writer.id(meta.base.term);
    writer.u64(meta.base_chain);
    writer.text(meta.configuration);
    return body;
}

Result<GroupMeta> decode_meta(std::string_view body) {
    RecordReader reader(body);
    GroupMeta meta;
    meta.generation = reader.id<Generation>();
    meta.replica = reader.id<ReplicaId>();
    meta.base.index = reader.id<LogIndex>();
    meta.base.term = reader.id<Term>();
    meta.base_chain = reader.u64();
    meta.configuration = reader.text();
    if (!reader.finished()) return corrupt("group record");
    return meta;
}

std::string encode_truncations(uint64_t truncations) {
    std::string body;
    RecordWriter(body).u64(truncations);
    return body;
}

Result<uint64_t> decode_truncations(std::string_view body) {
    RecordReader reader(body);
    const uint64_t truncations = reader.u64();
    if (!reader.finished()) return corrupt("truncation count");
    return truncations;
}

std::string encode_entry_head(Term term, uint8_t kind, uint64_t chain) {
    std::string head;
    RecordWriter writer(head);
    writer.id(term);
    writer.u8(kind);
    writer.u64(chain);
    return head;
}

Result<StoredEntry> decode_entry(LogIndex index, std::string_view body) {
    RecordReader reader(body);
    StoredEntry entry;
    entry.id.index = index;
    entry.id.term = reader.id<Term>();
    entry.kind = reader.u8();
    entry.chain = reader.u64();
    if (reader.failed()) return corrupt("log entry");
    entry.data = reader.rest();
    return entry;
}

uint64_t chain_hash(uint64_t previous, EntryId id, uint8_t kind, std::string_view data) {
    std::string head;
    RecordWriter writer(head);
    writer.id(id.index);
    writer.id(id.term);
    writer.u8(kind);
    return hash64(data, hash64(head, previous));
}

std::string encode_marks(const std::vector<DurableMark>& marks) {
    std::string body;
    RecordWriter writer(body);
    writer.u32(static_cast<uint32_t>(marks.size()));
    for (const DurableMark& mark : marks) {
        writer.id(mark.group);
        writer.id(mark.last);
        writer.u64(mark.chain);
        writer.u64(mark.truncations);
        writer.id(mark.term);
        writer.id(mark.commit);
    }
    std::string file;
    append_frame(file, kMarksKey, body);
    return file + body;
}

Result<std::vector<DurableMark>> decode_marks(std::string_view file) {
    Result<std::string_view> body = open_frame(kMarksKey, file);
    if (!body) return corrupt("durable mark");
    RecordReader reader(*body);
    const uint32_t count = reader.u32();
    if (reader.failed() || reader.rest().size() != std::size_t{count} * kMarkBytes) {
        return corrupt("durable mark");
    }
    std::vector<DurableMark> marks(count);
    for (DurableMark& mark : marks) {
        mark.group = reader.id<GroupId>();
        mark.last = reader.id<LogIndex>();
        mark.chain = reader.u64();
        mark.truncations = reader.u64();
        mark.term = reader.id<Term>();
        mark.commit = reader.id<LogIndex>();
    }
    return marks;
}

std::string encode_format(const std::string& cluster_id) {
    std::string text = fmt::format("quorate data directory\nformat {}\ncluster {}\n",
                                   kFormatVersion, cluster_id.empty() ? "-" : cluster_id);
    return text + fmt::format("check {:08x}\n", crc32c(text));
}

Result<std::string> decode_format(const std::string& path, const std::string& text) {
    constexpr std::string_view kFormat = "format ";
    const std::size_t at = text.find(kFormat);
    const unsigned long version =
        at == std::string::npos ? 0 : std::strtoul(text.c_str() + at + kFormat.size(), nullptr, 10);
    if (version > kFormatVersion) {
        return Error{ErrorCode::Corrupt,
                     fmt::format("{} says format {}, this program knows up to {}: it was written "
                                 "by a newer version; use that one",
                                 path, version, kFormatVersion)};
    }
    if (version > 0 && version < kFormatVersion) {
        return Error{ErrorCode::Corrupt,
                     fmt::format("{} says format {}, this program reads format {} only: it was "
                                 "written by an earlier version; start with that one or with an "
                                 "empty directory",
                                 path, version, kFormatVersion)};
    }
    constexpr std::string_view kCluster = "\ncluster ";
    const std::size_t begin = text.find(kCluster);
    const std::size_t end =
        begin == std::string::npos ? begin : text.find('\n', begin + kCluster.size());
    if (version == 0 || end == std::string::npos) {
        return Error{ErrorCode::Corrupt, path + " is not readable as a format file"};
    }
    std::string id = text.substr(begin + kCluster.size(), end - begin - kCluster.size());
    if (id == "-") id.clear();
    if (text != encode_format(id)) {
        return Error{ErrorCode::Corrupt, path + " fails its checksum"};
    }
    return id;
}

}  // namespace quorate::storage
