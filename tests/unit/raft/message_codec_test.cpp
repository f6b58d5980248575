// Messages as bytes: every field there and back, and no bytes that are read as what they are not.
#include "cluster/raft/message_codec.h"

#include <string>
#include <vector>

#include "tests/unit/catch.h"

namespace quorate::raft {
namespace {

Entry entry(uint64_t index, uint64_t term, EntryKind kind, std::string_view data) {
    return Entry{EntryId{LogIndex(index), Term(term)}, kind, SharedBytes(as_bytes(data))};
}

Message message(MessageBody body) {
    return Message{ReplicaId(0x0102030405060708), ReplicaId(2), Term(UINT64_MAX), std::move(body)};
}

// One of each kind, no field as it is by default.
std::vector<Message> all_kinds() {
    const EntryId at{LogIndex(0x1112131415161718), Term(7)};
    AppendEntries append{at, LogIndex(12), {}};
    append.entries.push_back(entry(0x1112131415161719, 7, EntryKind::Command, "one"));
    append.entries.push_back(entry(0x111213141516171A, 9, EntryKind::Empty, ""));
    append.entries.push_back(entry(0x111213141516171B, 9, EntryKind::Configuration, "any"));
    const Configuration joint{{ReplicaId(1), ReplicaId(2)}, {ReplicaId(1)}, {ReplicaId(9)}};
    return {message(RequestVote{at, true, false}),
            message(RequestVote{at, false, true}),
            message(RequestVoteReply{true, false}),
            message(RequestVoteReply{false, true}),
            message(append),
            message(AppendEntries{at, LogIndex(1), {}}),
            message(AppendEntriesReply{true, LogIndex(5), at}),
            message(Heartbeat{LogIndex(5), ReadId(6), true}),
            message(HeartbeatReply{ReadId(6), 0x21222324}),
            message(TimeoutNow{}),
            message(InstallSnapshot{
                {at, joint}, TransferId(3), 1U << 20U, SharedBytes(as_bytes("chunk")), true}),
            message(InstallSnapshotReply{TransferId(3), UINT64_MAX})};
}

std::string encoded(const Message& from) {
    std::string bytes;
    encode_message(bytes, from);
    return bytes;
}

void check_entries(const AppendEntries& was, const AppendEntries& is) {
    CHECK(is.previous == was.previous);
    CHECK(is.commit == was.commit);
    REQUIRE(is.entries.size() == was.entries.size());
    for (std::size_t i = 0; i < is.entries.size(); ++i) {
        CHECK(is.entries[i].id == was.entries[i].id);
        CHECK(is.entries[i].kind == was.entries[i].kind);
        CHECK(is.entries[i].data.text() == was.entries[i].data.text());
    }
}

}  // namespace

TEST_CASE("every kind of message comes back with the same bytes") {
    for (const Message& was : all_kinds()) {
        const std::string bytes = encoded(was);
        const Result<Message> is = decode_message(bytes);
        REQUIRE(is.ok());
        CHECK(is->from == was.from);
        CHECK(is->to == was.to);
        CHECK(is->term == was.term);
        CHECK(is->body.index() == was.body.index());
        CHECK(encoded(*is) == bytes);
    }
}

TEST_CASE("entries, snapshots and flags of a message arrive as they were") {
    const std::vector<Message> all = all_kinds();
    const Result<Message> vote = decode_message(encoded(all[1]));
    CHECK(std::get<RequestVote>(vote->body).last == std::get<RequestVote>(all[1].body).last);
    CHECK_FALSE(std::get<RequestVote>(vote->body).pre);
    CHECK(std::get<RequestVote>(vote->body).transfer);
    const Result<Message> append = decode_message(encoded(all[4]));
    check_entries(std::get<AppendEntries>(all[4].body), std::get<AppendEntries>(append->body));
    const Result<Message> chunk = decode_message(encoded(all[10]));
    const auto& was = std::get<InstallSnapshot>(all[10].body);
    const auto& is = std::get<InstallSnapshot>(chunk->body);
    CHECK(is.snapshot == was.snapshot);
    CHECK(is.transfer == was.transfer);
    CHECK(is.offset == was.offset);
    CHECK(is.data.text() == "chunk");
    CHECK(is.done);
    const Result<Message> reply = decode_message(encoded(all[6]));
    const auto& accepted = std::get<AppendEntriesReply>(reply->body);
    CHECK(accepted.accepted);
    CHECK(accepted.index == LogIndex(5));
    CHECK(accepted.hint == std::get<RequestVote>(all[1].body).last);
}

TEST_CASE("the bytes of a message stay what they are, for nodes of other versions") {
    std::string text;
    for (const char byte : encoded(Message{ReplicaId(1), ReplicaId(2), Term(3),
                                           Heartbeat{LogIndex(4), ReadId(5), true}})) {
        text += std::to_string(static_cast<unsigned char>(byte)) + " ";
    }
    CHECK(text ==
          "1 5 1 0 0 0 0 0 0 0 2 0 0 0 0 0 0 0 3 0 0 0 0 0 0 0 "
          "4 0 0 0 0 0 0 0 5 0 0 0 0 0 0 0 1 ");
}

TEST_CASE("a run of entries of one term takes five bytes for each beside its data") {
    AppendEntries append{EntryId{LogIndex(1), Term(1)}, LogIndex(1), {}};
    const std::size_t empty = encoded(message(append)).size();
    for (uint64_t i = 2; i < 102; ++i) {
        append.entries.push_back(entry(i, 1, EntryKind::Command, "12345678"));
    }
    CHECK(encoded(message(append)).size() == empty + 100 * (5 + 8));
}

TEST_CASE("a message that is cut, prolonged or of another version is an error") {
    for (const Message& was : all_kinds()) {
        const std::string bytes = encoded(was);
        for (std::size_t size = 0; size < bytes.size(); ++size) {
            CHECK_FALSE(decode_message(std::string_view(bytes).substr(0, size)).ok());
        }
        CHECK_FALSE(decode_message(bytes + '\0').ok());
        std::string other = bytes;
        other[0] = 2;
        CHECK_FALSE(decode_message(other).ok());
    }
}

TEST_CASE("whatever a byte is changed to, what is still a message has one form") {
    for (const Message& was : all_kinds()) {
        const std::string bytes = encoded(was);
        for (std::size_t at = 0; at < bytes.size(); ++at) {
            for (unsigned value = 0; value < 256; ++value) {
                std::string other = bytes;
                other[at] = static_cast<char>(value);
                const Result<Message> read = decode_message(other);
                if (read && encoded(*read) != other) FAIL("byte " << at << " as " << value);
            }
        }
    }
}

TEST_CASE("a count of entries that cannot be there reserves no memory") {
    std::string bytes = encoded(message(AppendEntries{EntryId{LogIndex(1), Term(1)}, {}, {}}));
    bytes.replace(bytes.size() - 4, 4, "\xFF\xFF\xFF\xFF");
    CHECK_FALSE(decode_message(bytes).ok());
}

}  // namespace quorate::raft
