#include "cluster/raft/progress.h"

#include "tests/unit/catch.h"

using namespace quorate;
using raft::Progress;

TEST_CASE("a probe waits for its answer, a replicating follower for its window") {
    Progress progress(LogIndex(5));
    CHECK(progress.may_send(100));
    progress.sent(LogIndex(4), 0);
    CHECK_FALSE(progress.may_send(100));
    CHECK(progress.accepted(LogIndex(4)));
    CHECK(progress.state() == Progress::State::Replicate);
    CHECK(progress.next() == LogIndex(5));
    progress.sent(LogIndex(6), 60);
    CHECK(progress.may_send(100));
    progress.sent(LogIndex(8), 60);
    CHECK(progress.next() == LogIndex(9));
    CHECK_FALSE(progress.may_send(100));
    CHECK(progress.accepted(LogIndex(6)));
    CHECK(progress.may_send(100));
}

TEST_CASE("late rejections of what matched since are ignored") {
    Progress progress(LogIndex(5));
    progress.sent(LogIndex(4), 0);
    CHECK(progress.accepted(LogIndex(4)));
    CHECK_FALSE(progress.rejected(LogIndex(3), LogIndex(1)));
    CHECK(progress.state() == Progress::State::Replicate);
    CHECK(progress.rejected(LogIndex(7), LogIndex(6)));
    CHECK(progress.state() == Progress::State::Probe);
    CHECK(progress.next() == LogIndex(5));
}

TEST_CASE("a rejected probe goes down to the hint and never below what matches") {
    Progress progress(LogIndex(50));
    progress.sent(LogIndex(49), 0);
    CHECK_FALSE(progress.rejected(LogIndex(30), LogIndex(2)));  // an answer to another probe
    CHECK(progress.rejected(LogIndex(49), LogIndex(20)));
    CHECK(progress.next() == LogIndex(21));
    CHECK(progress.may_send(1));
}

TEST_CASE(
    "a follower that rejects what it has accepted is asked again when it is heard, not at once") {
    Progress progress(LogIndex(10));
    CHECK(progress.accepted(LogIndex(9)));
    progress.probe();
    progress.sent(LogIndex(9), 0);
    CHECK_FALSE(progress.rejected(LogIndex(9), LogIndex(3)));
    CHECK(progress.next() == LogIndex(10));
    CHECK_FALSE(progress.may_send(100));
    (void)progress.heard();
    CHECK(progress.may_send(100));
}

TEST_CASE("a follower that falls silent before its first answer is asked at the same place again") {
    Progress progress(LogIndex(50));
    progress.sent(LogIndex(49), 0);
    CHECK_FALSE(progress.may_send(1));
    progress.probe();
    CHECK(progress.next() == LogIndex(50));
    CHECK(progress.may_send(1));
}

TEST_CASE("heartbeats that find no progress twice mean that messages were lost") {
    Progress progress(LogIndex(5));
    CHECK(progress.accepted(LogIndex(4)));
    progress.sent(LogIndex(9), 10);
    CHECK_FALSE(progress.heard());
    CHECK(progress.heard());
    CHECK(progress.accepted(LogIndex(9)));
    CHECK_FALSE(progress.heard());
}

TEST_CASE("activity is asked for once a round") {
    Progress progress(LogIndex(1));
    CHECK(progress.take_active());
    CHECK_FALSE(progress.take_active());
    progress.set_active();
    CHECK(progress.take_active());
}
