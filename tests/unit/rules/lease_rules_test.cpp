// Schedules of table leases and of credit.
#include <deque>
#include <optional>

#include "cluster/lease/act_gate.h"
#include "cluster/lease/table_granter.h"
#include "cluster/lease/table_holder.h"
#include "cluster/stream/credit.h"
#include "tests/unit/catch.h"
#include "tests/unit/rules/network.h"

namespace quorate::cluster::rules {
namespace {

using std::chrono::milliseconds;

constexpr NodeId kOwner{1};
constexpr NodeId kOther{2};
constexpr NodeId kMembers[] = {kOwner, kOther};

// Two nodes with a table each; entry 2 (or what follows) is the route of a subscriber, who is told
// SUBACK when it is made. The owner matches with a copy that its loop has loaded.
struct Tables {
    TableGranter leader;
    TableHolder owner{make_incarnation(kOwner, 1)};
    TableHolder other{make_incarnation(kOther, 1)};
    ActGate gate;
    uint64_t round = 0;

    Tables() {
        lead(leader, 1, milliseconds(0));
        show(owner, 1);
        show(other, 1);
        renew(leader, other, milliseconds(0));
    }
    static void lead(TableGranter& granter, uint64_t first, BootTime now) {
        granter.begin(LogIndex(first), kMembers, now);
        granter.committed(LogIndex(first), now);
    }
    static void show(TableHolder& holder, uint64_t index) { holder.shown(LogIndex(index)); }

    // A request that reaches its leader, and a round that succeeds; the answers are on their way.
    std::vector<LeaseAnswer> ask(TableGranter& granter, TableHolder& holder, BootTime now) {
        std::vector<LeaseAnswer> out;
        if (const auto request = holder.request(now)) granter.request(*request, now, out);
        if (!granter.wants_round()) return out;
        granter.round_begun(++round);
        granter.round_confirmed(round, now, out);
        return out;
    }
    void renew(TableGranter& granter, TableHolder& holder, BootTime now) {
        for (const LeaseAnswer& answer : ask(granter, holder, now))
            holder.answer(answer, now);
    }
    // The owner reads a PUBLISH, loads its table and acts, if it may: on which version.
    std::optional<uint64_t> act(uint64_t table, BootTime now) {
        gate.read();
        gate.loaded(table);
        return gate.check(owner.until(), owner.until(), now);
    }
};

Violation missed(const std::optional<uint64_t>& acted_on, uint64_t entry) {
    const bool old = acted_on && *acted_on < entry;
    return old ? "a publish after SUBACK was matched with the table before it" : "";
}

Violation paused_with_a_grant_unread() {
    Tables scene;
    // Asked for, granted, and paused before the answer is read.
    const auto answers = scene.ask(scene.leader, scene.owner, milliseconds(0));
    scene.leader.committed(LogIndex(2), milliseconds(1000));
    Tables::show(scene.other, 2);
    scene.renew(scene.leader, scene.other, milliseconds(1000));
    if (scene.leader.made(milliseconds(3299)) >= LogIndex(2)) return "made over a lease";
    if (scene.leader.made(milliseconds(3300)) < LogIndex(2)) return "a paused node blocks SUBACK";
    // SUBACK; a publish. The owner runs again and reads the answer, then the publish.
    for (const LeaseAnswer& answer : answers)
        scene.owner.answer(answer, milliseconds(6000));
    return missed(scene.act(1, milliseconds(6000)), 2);
}

TEST_CASE("A paused node does not match with the table it had before", "[R-10][G3]") {
    schedule(paused_with_a_grant_unread, {RuleMutant::LeaseFromGrant});
}

Violation loaded_before_the_read() {
    Tables scene;
    scene.renew(scene.leader, scene.owner, milliseconds(0));
    // A loop loads its table and stands still; the node's other threads go on, so the lease holds.
    scene.gate.read();
    scene.gate.loaded(1);
    scene.leader.committed(LogIndex(2), milliseconds(500));
    Tables::show(scene.owner, 2);
    Tables::show(scene.other, 2);
    scene.renew(scene.leader, scene.owner, milliseconds(600));
    scene.renew(scene.leader, scene.other, milliseconds(600));
    if (scene.leader.made(milliseconds(700)) < LogIndex(2)) return "not made although all show it";
    // SUBACK; a publish, which the loop reads now. It has to load the table again.
    scene.gate.read();
    auto version = scene.gate.check(scene.owner.until(), scene.owner.until(), milliseconds(800));
    if (!version) {
        scene.gate.loaded(2);
        version = scene.gate.check(scene.owner.until(), scene.owner.until(), milliseconds(800));
        if (!version) return "refused with a lease and a table";
    }
    return missed(version, 2);
}

TEST_CASE("A publish is matched with a table that was loaded after it was read", "[R-10][G3]") {
    schedule(loaded_before_the_read, {RuleMutant::TableBeforeRead});
}

Violation leases_of_the_leader_before() {
    Tables scene;
    scene.renew(scene.leader, scene.owner, milliseconds(0));
    // The leader dies. The next one is not heard by the owner, and makes an entry.
    TableGranter next;
    Tables::lead(next, 2, milliseconds(1000));
    next.committed(LogIndex(3), milliseconds(1000));
    Tables::show(scene.other, 3);
    scene.renew(next, scene.other, milliseconds(1050));
    for (int now = 1100; now < 4300; now += 100) {
        const BootTime at = milliseconds(now);
        if (next.made(at) < LogIndex(3)) continue;
        const Violation seen = missed(scene.act(1, at), 3);
        if (!seen.empty()) return seen;
    }
    return next.made(milliseconds(4300)) >= LogIndex(3) ? "" : "never made";
}

TEST_CASE("A new leader makes nothing while a lease of the one before may run", "[R-10][G3]") {
    schedule(leases_of_the_leader_before, {RuleMutant::NewLeaderMakesAtOnce});
}

Violation lease_from_a_deposed_leader() {
    Tables scene;
    scene.renew(scene.leader, scene.owner, milliseconds(0));
    // The old leader and the owner are cut off together; the others elect and make an entry.
    TableGranter next;
    Tables::lead(next, 2, milliseconds(1000));
    next.committed(LogIndex(3), milliseconds(1000));
    Tables::show(scene.other, 3);
    scene.renew(next, scene.other, milliseconds(1000));
    // The owner asks the leader it knows, which finds no quorum.
    std::vector<LeaseAnswer> out;
    if (const auto request = scene.owner.request(milliseconds(4000)))
        scene.leader.request(*request, milliseconds(4000), out);
    for (const LeaseAnswer& answer : out)
        scene.owner.answer(answer, milliseconds(4000));
    if (next.made(milliseconds(4300)) < LogIndex(3)) return "a node that is cut off blocks SUBACK";
    return missed(scene.act(1, milliseconds(5000)), 3);
}

TEST_CASE("A deposed leader grants nothing", "[R-10][G3]") {
    schedule(lease_from_a_deposed_leader, {RuleMutant::GrantUnconfirmed});
}

Violation back_with_an_old_table() {
    Tables scene;
    // The node was away (or joins): its lease has run out, and an entry was made without it.
    scene.leader.committed(LogIndex(2), milliseconds(3000));
    Tables::show(scene.other, 2);
    scene.renew(scene.leader, scene.other, milliseconds(3200));
    if (scene.leader.made(milliseconds(3400)) < LogIndex(2)) return "not made";
    scene.renew(scene.leader, scene.owner, milliseconds(3500));
    const Violation seen = missed(scene.act(1, milliseconds(3600)), 2);
    if (!seen.empty()) return seen;
    // It shows what was made: a lease.
    Tables::show(scene.owner, 2);
    scene.renew(scene.leader, scene.owner, milliseconds(3700));
    return scene.act(2, milliseconds(3800)) == 2 ? "" : "no lease although it shows everything";
}

TEST_CASE("A node that joins or comes back gets no lease before it shows what is made",
          "[R-10][G3]") {
    schedule(back_with_an_old_table, {RuleMutant::BehindMadeGranted});
}

Violation renews_and_lags() {
    Tables scene;
    scene.leader.committed(LogIndex(2), milliseconds(100));
    Tables::show(scene.other, 2);
    for (int now = 100; now < 10'000; now += 500) {
        scene.renew(scene.leader, scene.other, milliseconds(now));
        scene.renew(scene.leader, scene.owner, milliseconds(now));
        const bool suback = scene.leader.made(milliseconds(now)) >= LogIndex(2);
        const Violation seen = suback ? missed(scene.act(1, milliseconds(now)), 2) : "";
        if (!seen.empty()) return seen;
    }
    const bool made = scene.leader.made(milliseconds(10'000)) >= LogIndex(2);
    return made ? "" : "a node that renews and lags blocks SUBACK for ever";
}

TEST_CASE("A laggard that renews does not block SUBACK for ever", "[R-10]") {
    schedule(renews_and_lags, {RuleMutant::LaggardGranted});
}

//

// Two workers that publish to each other. A mailbox has as many places as credit was given, and one
// more for each answer that its owner waits for; a post to a full one would block.
struct Posting {
    static constexpr uint64_t kBound = 8;
    CreditPool pool{{kBound, 1000}};  // of what the other may have here
    CreditPool::Link link = pool.join();
    CreditPurse purse;         // of what this worker may have there
    std::deque<bool> mailbox;  // true: an answer
    [[nodiscard]] bool full() const { return mailbox.size() >= 2 * kBound; }
};

Violation two_workers_post_to_each_other() {
    Posting a;
    Posting b;
    uint64_t answered = 0;
    for (int step = 0; step < 100; ++step) {
        for (auto [from, to] : {std::pair{&a, &b}, std::pair{&b, &a}}) {
            if (const auto total = to->pool.grant(to->link)) from->purse.granted(*total);
            // As much as it may, before it looks into its own mailbox.
            for (int i = 0; i < 100 && from->purse.take(1); ++i) {
                if (to->full()) return "a worker waits for another's mailbox";
                if (!to->pool.used(to->link, 1)) return "an item without credit";
                to->mailbox.push_back(false);
            }
        }
        for (auto [from, to] : {std::pair{&a, &b}, std::pair{&b, &a}}) {
            std::deque<bool> arrived;
            arrived.swap(from->mailbox);
            for (const bool answer : arrived) {
                if (answer) {
                    if (!from->purse.answered(1)) return "an answer to nothing";
                    ++answered;
                    continue;
                }
                from->pool.done(from->link, 1);
                if (to->full()) return "an answer has no place";
                to->mailbox.push_back(true);
            }
        }
    }
    return answered > 500 ? "" : "it stands still";
}

TEST_CASE("Two workers that post to each other's mailboxes never wait", "[R-9]") {
    schedule(two_workers_post_to_each_other, {RuleMutant::CreditUnbounded});
}

}  // namespace
}  // namespace quorate::cluster::rules
