#include "cluster/raft/message_codec.h"

#include <cstdint>
#include <optional>
#include <utility>
#include <variant>

#include "proto/base/assert.h"

namespace quorate::raft {
namespace {

constexpr uint8_t kVersion = 1;

// On the wire for ever: a kind that is given up keeps its number.
enum class Kind : uint8_t {
    RequestVote = 1,
    RequestVoteReply = 2,
    AppendEntries = 3,
    AppendEntriesReply = 4,
    Heartbeat = 5,
    HeartbeatReply = 6,
    TimeoutNow = 7,
    InstallSnapshot = 8,
    InstallSnapshotReply = 9,
};

constexpr uint8_t kNewTerm = 0x80;  // beside an entry's kind: its term follows
// The least that an entry takes: kind and length.
constexpr std::size_t kEntryBytesMin = 5;

void write(RecordWriter& writer, EntryId id) {
    writer.id(id.index);
    writer.id(id.term);
}

EntryId read_entry_id(RecordReader& reader) {
    const auto index = reader.id<LogIndex>();
    return EntryId{index, reader.id<Term>()};
}

void write_flag(RecordWriter& writer, bool flag) {
    writer.u8(flag ? 1 : 0);
}

bool read_flag(RecordReader& reader) {
    const uint8_t value = reader.u8();
    if (value > 1) reader.fail();
    return value == 1;
}

SharedBytes read_bytes(RecordReader& reader) {
    return SharedBytes(as_bytes(reader.text()));
}

void write_entries(RecordWriter& writer, EntryId previous, const std::vector<Entry>& entries) {
    writer.u32(static_cast<uint32_t>(entries.size()));
    for (const Entry& entry : entries) {
        ASSERT(entry.id.index == previous.index.next(), "entries of a message leave a gap");
        const bool new_term = entry.id.term != previous.term;
        writer.u8(static_cast<uint8_t>(static_cast<uint8_t>(entry.kind) |
                                       (new_term ? kNewTerm : uint8_t{0})));
        if (new_term) writer.id(entry.id.term);
        writer.text(entry.data.text());
        previous = entry.id;
    }
}

Entry read_entry(RecordReader& reader, EntryId previous) {
    Entry entry;
    const uint8_t kind = reader.u8();
    entry.id = EntryId{previous.index.next(), previous.term};
    if ((kind & kNewTerm) != 0) {
        entry.id.term = reader.id<Term>();
        if (entry.id.term == previous.term) reader.fail();
    }
    entry.kind = static_cast<EntryKind>(kind & ~kNewTerm);
    switch (entry.kind) {
        case EntryKind::Empty:
        case EntryKind::Command:
        case EntryKind::Configuration:
            entry.data = read_bytes(reader);
            return entry;
    }
    reader.fail();
    return entry;
}

std::vector<Entry> read_entries(RecordReader& reader, EntryId previous) {
    std::vector<Entry> entries;
    const uint32_t count = reader.u32();
    if (reader.rest().size() / kEntryBytesMin < count) {
        reader.fail();
        return entries;
    }
    entries.reserve(count);
    for (uint32_t i = 0; i < count && !reader.failed(); ++i) {
        entries.push_back(read_entry(reader, previous));
        previous = entries.back().id;
    }
    return entries;
}

class BodyWriter {
  public:
    explicit BodyWriter(RecordWriter& writer) : out_(writer) {}

    void operator()(const RequestVote& body) const {
        write(out_, body.last);
        write_flag(out_, body.pre);
        write_flag(out_, body.transfer);
    }
    void operator()(const RequestVoteReply& body) const {
        write_flag(out_, body.pre);
        write_flag(out_, body.granted);
    }
    void operator()(const AppendEntries& body) const {
        write(out_, body.previous);
        out_.id(body.commit);
        write_entries(out_, body.previous, body.entries);
    }
    void operator()(const AppendEntriesReply& body) const {
        write_flag(out_, body.accepted);
        out_.id(body.index);
        write(out_, body.hint);
    }
    void operator()(const Heartbeat& body) const {
        out_.id(body.commit);
        out_.id(body.read);
        write_flag(out_, body.quiesce);
    }
    void operator()(const HeartbeatReply& body) const {
        out_.id(body.read);
        out_.u32(body.priority);
    }
    void operator()(const TimeoutNow& /*body*/) const {}
    void operator()(const InstallSnapshot& body) const {
        ASSERT(valid(body.snapshot.configuration), "a snapshot of nobody's group");
        write(out_, body.snapshot.last);
        out_.text(encode(body.snapshot.configuration));
        out_.id(body.transfer);
        out_.u64(body.offset);
        out_.text(body.data.text());
        write_flag(out_, body.done);
    }
    void operator()(const InstallSnapshotReply& body) const {
        out_.id(body.transfer);
        out_.u64(body.offset);
    }

  private:
    RecordWriter& out_;
};

struct KindOf {
    Kind operator()(const RequestVote& /*body*/) const { return Kind::RequestVote; }
    Kind operator()(const RequestVoteReply& /*body*/) const { return Kind::RequestVoteReply; }
    Kind operator()(const AppendEntries& /*body*/) const { return Kind::AppendEntries; }
    Kind operator()(const AppendEntriesReply& /*body*/) const { return Kind::AppendEntriesReply; }
    Kind operator()(const Heartbeat& /*body*/) const { return Kind::Heartbeat; }
    Kind operator()(const HeartbeatReply& /*body*/) const { return Kind::HeartbeatReply; }
    Kind operator()(const TimeoutNow& /*body*/) const { return Kind::TimeoutNow; }
    Kind operator()(const InstallSnapshot& /*body*/) const { return Kind::InstallSnapshot; }
    Kind operator()(const InstallSnapshotReply& /*body*/) const {
        return Kind::InstallSnapshotReply;
    }
};

AppendEntries read_append(RecordReader& reader) {
    AppendEntries body;
    body.previous = read_entry_id(reader);
    body.commit = reader.id<LogIndex>();
    body.entries = read_entries(reader, body.previous);
    return body;
}

InstallSnapshot read_install_snapshot(RecordReader& reader) {
    InstallSnapshot body;
    body.snapshot.last = read_entry_id(reader);
    std::optional<Configuration> configuration = decode_configuration(reader.text());
    if (configuration) {
        body.snapshot.configuration = std::move(*configuration);
    } else {
        reader.fail();
    }
    body.transfer = reader.id<TransferId>();
    body.offset = reader.u64();
    body.data = read_bytes(reader);
    body.done = read_flag(reader);
    return body;
}

// In a braced list fields are read from left to right.
MessageBody read_body(RecordReader& reader, Kind kind) {
    switch (kind) {
        case Kind::RequestVote:
            return RequestVote{read_entry_id(reader), read_flag(reader), read_flag(reader)};
        case Kind::RequestVoteReply:
            return RequestVoteReply{read_flag(reader), read_flag(reader)};
        case Kind::AppendEntries:
            return read_append(reader);
        case Kind::AppendEntriesReply:
            return AppendEntriesReply{read_flag(reader), reader.id<LogIndex>(),
                                      read_entry_id(reader)};
        case Kind::Heartbeat:
            return Heartbeat{reader.id<LogIndex>(), reader.id<ReadId>(), read_flag(reader)};
        case Kind::HeartbeatReply:
            return HeartbeatReply{reader.id<ReadId>(), reader.u32()};
        case Kind::TimeoutNow:
            return TimeoutNow{};
        case Kind::InstallSnapshot:
            return read_install_snapshot(reader);
        case Kind::InstallSnapshotReply:
            return InstallSnapshotReply{reader.id<TransferId>(), reader.u64()};
    }
    reader.fail();
    return TimeoutNow{};
}

}  // namespace

void encode_message(std::string& out, const Message& message) {
    RecordWriter writer(out);
    writer.u8(kVersion);
    writer.u8(static_cast<uint8_t>(std::visit(KindOf{}, message.body)));
    writer.id(message.from);
    writer.id(message.to);
    writer.id(message.term);
    std::visit(BodyWriter(writer), message.body);
}

Result<Message> decode_message(std::string_view bytes) {
    RecordReader reader(bytes);
    if (reader.u8() != kVersion) {
        return Error{ErrorCode::InvalidArgument, "a Raft message of an unknown version"};
    }
    const auto kind = static_cast<Kind>(reader.u8());
    Message message;
    message.from = reader.id<ReplicaId>();
    message.to = reader.id<ReplicaId>();
    message.term = reader.id<Term>();
    message.body = read_body(reader, kind);
    if (!reader.finished()) {
        return Error{ErrorCode::InvalidArgument, "bytes that are no Raft message"};
    }
    return message;
}

}  // namespace quorate::raft
