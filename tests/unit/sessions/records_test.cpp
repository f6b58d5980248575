#include "cluster/sessions/session.h"
#include "proto/base/environment.h"
#include "tests/unit/catch.h"

namespace quorate::cluster {
namespace {

Session full_session() {
    Session session;
    session.id = SessionId(7);
    session.client_id = "client";
    session.identity = "user";
    session.expiry_s = 60;
    session.epoch = Epoch(3);
    session.attachment = Attachment{{Incarnation(1), LoopId(2), 3, 4}, 5, true, 6};
    session.will = std::make_unique<Will>(Will{BodyId(8), 9, 10, ShardId(1), 11, 2});
    session.waiting = std::make_unique<WaitingAttach>();
    session.waiting->receive_maximum = 12;
    session.waiting->deadline = ClusterTime(13);
    session.waiting->will = Will{BodyId(14), 15, 16, ShardId(2), {}, 1};
    session.durable = std::make_unique<DurableState>();
    return session;
}

TEST_CASE("A session's record holds all of it") {
    const Session session = full_session();
    std::string bytes;
    RecordWriter out(bytes);
    write_session(out, session);
    const auto read = read_session(session.id, bytes);
    REQUIRE(read != nullptr);
    std::string again;
    RecordWriter second(again);
    write_session(second, *read);
    CHECK(again == bytes);
    CHECK(read->takeover_at == ClusterTime(13));
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        CHECK(read_session(session.id, std::string_view(bytes).substr(0, size)) == nullptr);
    }
    CHECK(read_session(session.id, bytes + "x") == nullptr);
}

TEST_CASE("Damaged records are refused or read as something sane") {
    const Session session = full_session();
    std::string sound;
    RecordWriter out(sound);
    write_session(out, session);
    Random random(3);
    for (int i = 0; i < 5000; ++i) {
        std::string bytes = sound;
        bytes[random.below(bytes.size())] = static_cast<char>(random.next());
        const auto read = read_session(session.id, bytes);
        if (read != nullptr && read->attachment) CHECK(read->attachment->receive_maximum > 0);
        (void)read_subscription(bytes);
        EntryRecord entry;
        (void)read_entry(bytes, entry);
        DurableState durable;
        (void)read_received(bytes, durable);
    }
}

TEST_CASE("An entry's record is its head and an inline message") {
    EntryRecord entry;
    entry.qos = mqtt::QoS::ExactlyOnce;
    entry.retain = true;
    entry.share = 3;
    entry.expires_at = ClusterTime(4);
    entry.bytes = 5;
    entry.subscription_ids = {6, 7};
    std::string bytes;
    RecordWriter out(bytes);
    write_entry_head(out, entry);
    EntryRecord read;
    CHECK_FALSE(read_entry(bytes, read));
    const std::string whole = bytes + "12345";  // `read` points into it
    REQUIRE(read_entry(whole, read));
    CHECK(read.message == "12345");
    CHECK(read.subscription_ids == entry.subscription_ids);
    CHECK(read.retain);
    entry.body = BodyId(9);
    bytes.clear();
    write_entry_head(out, entry);
    CHECK(read_entry(bytes, read));
    CHECK_FALSE(read_entry(bytes + "12345", read));
}

}  // namespace
}  // namespace quorate::cluster
