// Every record format on disk: whatever the bytes, the answer is the value that was written or a
// clean error.
//
// The first byte chooses the format, the rest is the record. Oracles beyond "no crash": what
// decodes encodes to the same bytes; what a frame accepts has the right checksum; a store that
// holds the bytes under a log key loads or says Corrupt.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "cluster/group/command_batch.h"
#include "cluster/raft/configuration.h"
#include "proto/base/assert.h"
#include "proto/base/bytes.h"
#include "proto/base/hash.h"
#include "storage/keys.h"
#include "storage/log_table.h"
#include "storage/records.h"
#include "storage/wal_tail.h"

namespace {

using namespace quorate;
using namespace quorate::storage;

// One record under one key, everything else missing.
class OneRecord final : public LogRecords {
  public:
    OneRecord(std::string key, std::string value) : key_(std::move(key)), value_(std::move(value)) {
        meta_ = framed(log_key(GroupId(1), LogRecord::Meta),
                       encode_meta(GroupMeta{Generation(1), ReplicaId(1), {}, 0, ""}));
        hard_ = framed(log_key(GroupId(1), LogRecord::HardState),
                       encode_hard_state(HardState{Term(UINT64_MAX), ReplicaId(1), LogIndex(0)}));
    }
    [[nodiscard]] Result<bool> get(std::string_view key, std::string& value) const override {
        if (key == key_) {
            value = value_;
        } else if (key == log_key(GroupId(1), LogRecord::Meta)) {
            value = meta_;
        } else if (key == log_key(GroupId(1), LogRecord::HardState)) {
            value = hard_;
        } else {
            return false;
        }
        return true;
    }
    [[nodiscard]] Status scan(std::string_view from, std::string_view to,
                              const Callback& callback) const override {
        if (key_ >= from && key_ < to) callback(key_, value_);
        return {};
    }

  private:
    static std::string framed(const std::string& key, const std::string& body) {
        std::string stored;
        append_frame(stored, key, body);
        return stored + body;
    }
    std::string key_;
    std::string value_;
    std::string meta_;
    std::string hard_;
};

// With `sealed`, the bytes get a right frame: the checksum must not hide what lies behind it.
void load(std::string_view bytes, bool sealed) {
    if (bytes.empty()) return;
    const std::string keys[] = {
        log_key(GroupId(1), LogRecord::Meta), log_key(GroupId(1), LogRecord::HardState),
        log_key(GroupId(1), LogRecord::Truncations), entry_key(GroupId(1), LogIndex(1))};
    const std::string& key = keys[static_cast<uint8_t>(bytes[0]) % 4];
    const std::string body(bytes.substr(1));
    std::string stored;
    if (sealed) append_frame(stored, key, body);
    stored += body;
    LogTable table;
    const Result<GroupLog> log = table.load(GroupId(1), OneRecord(key, stored), DurableMark{});
    if (!log) ASSERT(log.error().code == ErrorCode::Corrupt, "damage is called by its name");
}

void decode(std::string_view bytes) {
    if (const auto state = decode_hard_state(bytes)) {
        ASSERT(encode_hard_state(*state) == bytes, "a hard state reads back");
    }
    if (const auto meta = decode_meta(bytes)) {
        ASSERT(encode_meta(*meta) == bytes, "a meta record reads back");
    }
    if (const auto count = decode_truncations(bytes)) {
        ASSERT(encode_truncations(*count) == bytes, "a count reads back");
    }
    if (const auto entry = decode_entry(LogIndex(1), bytes)) {
        ASSERT(encode_entry_head(entry->id.term, entry->kind, entry->chain) +
                       std::string(entry->data) ==
                   bytes,
               "an entry reads back");
    }
    if (const auto configuration = raft::decode_configuration(bytes)) {
        ASSERT(raft::encode(*configuration) == bytes, "a configuration reads back");
    }
    if (const auto marks = decode_marks(bytes)) {
        ASSERT(encode_marks(*marks) == bytes, "marks read back");
    }
}

void read_commands(std::string_view bytes) {
    cluster::CommandReader reader(bytes);
    cluster::CommandBatch again;
    const ClusterTime time = reader.time();
    while (const auto command = reader.next()) {
        again.add(*command);
    }
    if (reader.finished()) ASSERT(again.seal(time).text() == bytes, "an entry reads back");
}

void inspect(std::string_view bytes) {
    const WalTail tail = inspect_wal(bytes);
    ASSERT(tail.whole_bytes <= bytes.size(), "a log is not longer than its file");
    const WalTail again = inspect_wal(bytes.substr(0, tail.whole_bytes));
    ASSERT(again.end == WalEnd::Whole, "what was called whole is whole");
}

// A log of records with right checksums in any order: each is [type u8][size u8][bytes]; type 255
// stands for bytes without a head, type 254 for the rest of the block.
std::string wal_of(std::string_view program) {
    constexpr std::size_t kBlockBytes = 32768;
    RecordReader in(program);
    std::string out;
    while (!in.rest().empty() && out.size() < 3 * kBlockBytes) {
        const uint8_t type = in.u8();
        std::string body(in.raw(in.u8()));
        if (type == 254) body.assign((kBlockBytes - 1 - out.size() % kBlockBytes), 'b');
        if (type == 255) {
            out += body;
            continue;
        }
        body.insert(body.begin(), static_cast<char>(type % 6));
        const uint32_t crc = crc32c(body);
        RecordWriter head(out);
        head.u32(((crc >> 15) | (crc << 17)) + 0xA282EAD8U);
        head.u16(static_cast<uint16_t>(body.size() - 1));
        out += body;
    }
    return out;
}

void read_format(std::string_view bytes) {
    const std::string text(bytes);
    if (const auto id = decode_format("FORMAT", text)) {
        ASSERT(encode_format(*id) == text, "a format file reads back");
    }
    if (text.find('\n') != std::string::npos || text == "-") return;
    const auto again = decode_format("FORMAT", encode_format(text));
    ASSERT(again.ok() && *again == text, "what was written is read");
}

void read_marks(std::string_view bytes) {
    constexpr std::string_view kKey = "quorate durable marks";
    std::string file;
    append_frame(file, kKey, bytes);
    file += bytes;
    if (const auto marks = decode_marks(file)) {
        ASSERT(encode_marks(*marks) == file, "marks read back");
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    switch (data[0] % 9) {
        case 0:
            load(bytes, false);
            break;
        case 1:
            load(bytes, true);
            break;
        case 2:
            decode(bytes);
            break;
        case 3:
            read_commands(bytes);
            break;
        case 4:
            inspect(bytes);
            break;
        case 5:
            inspect(wal_of(bytes));
            break;
        case 6:
            read_format(bytes);
            break;
        case 7:
            read_marks(bytes);
            break;
        default:
            (void)parse_log_key(bytes);
            (void)open_frame("key", bytes);
            break;
    }
    return 0;
}
