// The other objects of the way of a publish: gate, fence, copies, credit.
#include <numeric>

#include "cluster/stream/copy_link.h"
#include "cluster/stream/credit.h"
#include "cluster/stream/owner_gate.h"
#include "cluster/stream/stream_acceptor.h"
#include "proto/base/environment.h"
#include "tests/unit/catch.h"

namespace quorate::cluster {
namespace {

using Tokens = std::vector<uint64_t>;

constexpr Term kTerm{7};

struct Leading {
    OwnerGate gate;
    Tokens answers;
    Leading() {
        gate.lead(kTerm);
        gate.first_entry_applied(kTerm);
    }
    Tokens take() { return std::exchange(answers, {}); }
};

TEST_CASE("An owner acts with both leases, and the first entry of its term applied", "[R-1]") {
    const BootTime later(100);
    ActGate tables;
    tables.read();
    tables.loaded(1);
    OwnerGate gate;
    CHECK_FALSE(gate.may_act(tables, later, later, BootTime(1)));
    gate.lead(kTerm);
    CHECK_FALSE(gate.may_act(tables, later, later, BootTime(1)));
    CHECK_FALSE(gate.open(1));
    gate.first_entry_applied(Term(6));
    CHECK_FALSE(gate.may_act(tables, later, later, BootTime(1)));
    gate.first_entry_applied(kTerm);
    CHECK(gate.may_act(tables, later, later, BootTime(1)));
    CHECK_FALSE(gate.may_act(tables, BootTime(1), later, BootTime(1)));
    CHECK_FALSE(gate.may_act(tables, later, BootTime(1), BootTime(1)));
    // QoS 0 waits for nothing, so the leader's own lease has to hold.
    CHECK(gate.may_send_qos0(later, BootTime(99)));
    CHECK_FALSE(gate.may_send_qos0(later, BootTime(100)));
    gate.follow();
    CHECK_FALSE(gate.may_send_qos0(later, BootTime(1)));
}

TEST_CASE("A publish is answered after a round begun after it, and when all have it", "[R-1]") {
    Leading owner;
    CHECK_FALSE(owner.gate.wants_round());
    REQUIRE(owner.gate.open(1));
    REQUIRE(owner.gate.wants_round());
    owner.gate.round_begun(1);
    REQUIRE(owner.gate.open(2));
    REQUIRE(owner.gate.open(3));
    // One round at a time; the next is shared by all that wait.
    CHECK_FALSE(owner.gate.wants_round());
    owner.gate.complete(1, owner.answers);
    owner.gate.complete(2, owner.answers);
    CHECK(owner.take().empty());
    owner.gate.round_confirmed(1, owner.answers);
    CHECK(owner.take() == Tokens{1});
    REQUIRE(owner.gate.wants_round());
    owner.gate.round_begun(2);
    owner.gate.round_confirmed(1, owner.answers);
    CHECK(owner.take().empty());
    owner.gate.round_confirmed(2, owner.answers);
    CHECK(owner.take() == Tokens{2});
    owner.gate.complete(3, owner.answers);
    CHECK(owner.take() == Tokens{3});
    CHECK(owner.gate.in_progress() == 0);
    owner.gate.complete(3, owner.answers);
    CHECK(owner.take().empty());
}

TEST_CASE("A round that failed is begun again, under another id", "[R-1]") {
    Leading owner;
    REQUIRE(owner.gate.open(1));
    owner.gate.complete(1, owner.answers);
    owner.gate.round_begun(1);
    owner.gate.round_failed(1);
    REQUIRE(owner.gate.wants_round());
    owner.gate.round_begun(2);
    owner.gate.round_confirmed(1, owner.answers);
    CHECK(owner.take().empty());
    owner.gate.round_confirmed(2, owner.answers);
    CHECK(owner.take() == Tokens{1});
}

TEST_CASE("Lost leadership, and a refusal for an older term, answer nothing", "[R-1][R-0]") {
    Leading owner;
    REQUIRE(owner.gate.open(1));
    owner.gate.round_begun(1);
    owner.gate.complete(1, owner.answers);
    owner.gate.stale();
    owner.gate.round_confirmed(1, owner.answers);
    CHECK(owner.take().empty());
    CHECK_FALSE(owner.gate.open(2));
    // Elected anew: with a new term, and nothing of the old.
    owner.gate.lead(Term(9));
    owner.gate.first_entry_applied(Term(9));
    owner.gate.complete(1, owner.answers);
    CHECK(owner.take().empty());
    CHECK(owner.gate.open(2));
}

TEST_CASE("An owner has a bounded number of publishes open", "[R-1][R-9]") {
    OwnerGate gate(2);
    gate.lead(kTerm);
    gate.first_entry_applied(kTerm);
    CHECK(gate.open(1));
    CHECK_FALSE(gate.open(1));
    CHECK(gate.open(2));
    CHECK_FALSE(gate.open(3));
}

TEST_CASE("Streams at an owner are bounded, and end with their incarnation", "[R-2][R-9]") {
    StreamAcceptor acceptor(2);
    acceptor.lead(kTerm);
    const auto name = [](uint32_t node, uint32_t start) {
        return StreamName{make_incarnation(NodeId(node), start), LoopId(0)};
    };
    const StreamBegin begin{1, kTerm, 1};
    CHECK(acceptor.begin(name(1, 1), begin, true) == Acceptance::Accept);
    CHECK(acceptor.begin(name(2, 1), begin, true) == Acceptance::Accept);
    CHECK(acceptor.begin(name(3, 1), begin, true) == Acceptance::Refuse);
    acceptor.down(make_incarnation(NodeId(2), 5));
    CHECK(acceptor.streams() == 1);
    CHECK(acceptor.begin(name(3, 1), begin, true) == Acceptance::Accept);
    CHECK(acceptor.begin(name(3, 1), {2, kTerm, 0}, true) == Acceptance::Refuse);
    CHECK(acceptor.begin(name(3, 1), begin, true) == Acceptance::Ignore);
}

// Copies to a node.

struct Listening {
    NodeFence fence{8};
    RepeatFilters repeats;
    CopyReceiver receiver{fence, repeats};
};

const CopyProducer kOwner{make_incarnation(NodeId(1), 1), ShardId(0), Term(1)};

Copy copy(uint64_t number, uint64_t term = 5, uint32_t shard = 3) {
    Copy out;
    out.number = number;
    out.fence = {ShardId(shard), Term(term)};
    out.message = SharedBytes(as_bytes("message"));
    return out;
}

TEST_CASE("A loop takes each copy of a link once and in order", "[R-1][G5]") {
    Listening loop;
    CHECK(loop.receiver.receive(kOwner, copy(2)) == CopyVerdict::Gap);
    CHECK(loop.receiver.receive(kOwner, copy(0)) == CopyVerdict::Gap);
    CHECK(loop.receiver.receive(kOwner, copy(1)) == CopyVerdict::Queue);
    CHECK(loop.receiver.receive(kOwner, copy(2)) == CopyVerdict::Queue);
    CHECK(loop.receiver.receive(kOwner, copy(1)) == CopyVerdict::Taken);
    CHECK(loop.receiver.receive(kOwner, copy(UINT64_MAX)) == CopyVerdict::Gap);
    const CopyProducer other{make_incarnation(NodeId(1), 1), ShardId(1), Term(1)};
    CHECK(loop.receiver.receive(other, copy(1)) == CopyVerdict::Queue);
}

TEST_CASE("A loop refuses older terms of a shard, also of what comes again", "[R-0]") {
    Listening loop;
    const CopyProducer next{make_incarnation(NodeId(2), 1), ShardId(0), Term(1)};
    CHECK(loop.receiver.receive(kOwner, copy(1, 5)) == CopyVerdict::Queue);
    CHECK(loop.receiver.receive(next, copy(1, 6)) == CopyVerdict::Queue);
    CHECK(loop.receiver.receive(kOwner, copy(2, 5)) == CopyVerdict::Stale);
    CHECK(loop.receiver.receive(kOwner, copy(2, 5)) == CopyVerdict::Stale);
    // Another shard has terms of its own; one that does not exist is not heard.
    CHECK(loop.receiver.receive(kOwner, copy(3, 1, 4)) == CopyVerdict::Queue);
    CHECK(loop.receiver.receive(kOwner, copy(4, 1, 8)) == CopyVerdict::Stale);
}

TEST_CASE("A loop hears no incarnation that is down, and forgets its numbers", "[R-0]") {
    Listening loop;
    CHECK(loop.receiver.receive(kOwner, copy(1)) == CopyVerdict::Queue);
    loop.fence.down(kOwner.incarnation);
    loop.receiver.down(kOwner.incarnation);
    CHECK(loop.receiver.producers() == 0);
    CHECK(loop.receiver.receive(kOwner, copy(2)) == CopyVerdict::Fenced);
    // An older notice changes nothing; the next start of the node begins with 1.
    loop.fence.down(make_incarnation(NodeId(1), 0));
    CHECK_FALSE(loop.fence.up(kOwner.incarnation));
    const CopyProducer next{make_incarnation(NodeId(1), 2), ShardId(0), Term(1)};
    CHECK(loop.receiver.receive(next, copy(1)) == CopyVerdict::Queue);
    CHECK(loop.fence.up(make_incarnation(NodeId(2), 0)));
}

TEST_CASE("A loop drops what an outbox hands over a second time", "[R-5]") {
    Listening loop;
    Copy first = copy(1);
    first.source = OutboxSource{{ShardId(2), Generation(1), {}}, OutboxNumber(9), {}, {}};
    Copy again = first;
    again.number = 2;
    CHECK(loop.receiver.receive(kOwner, first) == CopyVerdict::Queue);
    CHECK(loop.receiver.receive(kOwner, again) == CopyVerdict::Taken);
}

std::vector<uint64_t> numbers(const std::vector<Copy>& copies) {
    std::vector<uint64_t> out;
    for (const Copy& each : copies)
        out.push_back(each.number);
    return out;
}

TEST_CASE("Copies are sent again after a break until they are answered", "[R-1]") {
    CopySender sender({3, 1000});
    for (uint64_t token = 10; token < 13; ++token)
        CHECK(sender.send(token, copy(0)));
    CHECK_FALSE(sender.send(13, copy(0)));
    CHECK(numbers(sender.take()) == Tokens{1, 2, 3});
    std::vector<CopySender::Done> done;
    sender.answered(2, CopyVerdict::Stale, done);
    REQUIRE(done.size() == 1);
    CHECK(done[0].token == 11);
    CHECK(done[0].stale);
    sender.resend();
    CHECK(numbers(sender.take()) == Tokens{1, 3});
    // Of the first time: it is on its way again.
    sender.answered(3, CopyVerdict::Gap, done);
    CHECK(sender.take().empty());
    sender.answered(1, CopyVerdict::Taken, done);
    CHECK(done.size() == 2);
    CHECK(sender.send(13, copy(0)));
    CHECK(numbers(sender.take()) == Tokens{4});
    sender.answered(4, CopyVerdict::Gap, done);
    CHECK(numbers(sender.take()) == Tokens{3, 4});
    // Answers to what is not on its way.
    for (const uint64_t number : {uint64_t{0}, uint64_t{1}, uint64_t{5}, UINT64_MAX})
        sender.answered(number, CopyVerdict::Taken, done);
    CHECK(done.size() == 2);
    // The receiver's incarnation ended: whoever waits has waited for nobody.
    sender.down(done);
    REQUIRE(done.size() == 4);
    CHECK(done[2].token == 12);
    CHECK(done[3].token == 13);
    CHECK(sender.unanswered() == 0);
}

// Credit.

TEST_CASE("A loop publishes only on credit, and an answer has its place", "[R-9]") {
    CreditPurse purse;
    CHECK_FALSE(purse.take(1));
    purse.granted({2, 10});
    CHECK(purse.take(6));
    CHECK_FALSE(purse.take(6));
    CHECK(purse.take(4));
    CHECK_FALSE(purse.take(0));
    CHECK(purse.unanswered() == 2);
    CHECK_FALSE(purse.answered(11));
    CHECK(purse.answered(6));
    CHECK(purse.answered(4));
    CHECK_FALSE(purse.answered(0));
    purse.granted({1, 5});  // an old one
    CHECK_FALSE(purse.take(1));
    purse.granted({4, 10});
    CHECK_FALSE(purse.take(1000));  // alone, but without any
    purse.granted({4, 11});
    CHECK(purse.take(1000));
    CHECK_FALSE(purse.take(1));
}

TEST_CASE("A pool never promises more than its bound", "[R-9]") {
    Random random(4);
    const CreditAmount bound{40, 4000};
    CreditPool pool(bound);
    struct Loop {
        CreditPool::Link link = 0;
        CreditPurse purse;
        std::vector<uint64_t> sent;
    };
    std::vector<Loop> loops(5);
    for (Loop& loop : loops)
        loop.link = pool.join();
    uint64_t taken = 0;
    std::vector<std::pair<CreditPool::Link, uint64_t>> orphans;
    for (int step = 0; step < 20'000; ++step) {
        Loop& loop = loops[random.below(loops.size())];
        const uint64_t bytes = 1 + random.below(300);
        if (random.chance(1, 2) && loop.purse.take(bytes)) {
            REQUIRE(pool.used(loop.link, bytes));
            loop.sent.push_back(bytes);
            ++taken;
        }
        if (random.chance(1, 2) && !loop.sent.empty()) {
            pool.done(loop.link, loop.sent.front());
            REQUIRE(loop.purse.answered(loop.sent.front()));
            loop.sent.erase(loop.sent.begin());
        }
        if (pool.holds_more(loop.link)) {
            pool.given_back(loop.link, loop.purse.give_back({1, 100}));
        }
        if (const auto total = pool.grant(loop.link)) loop.purse.granted(*total);
        if (random.chance(1, 200)) {
            // A link breaks: what it had there is not waited for, but still counted.
            pool.leave(loop.link);
            for (const uint64_t sent : loop.sent)
                orphans.emplace_back(loop.link, sent);
            loop = {pool.join(), {}, {}};
        }
        if (!orphans.empty() && random.chance(1, 10)) {
            pool.done(orphans.back().first, orphans.back().second);
            orphans.pop_back();
        }
        REQUIRE(pool.outstanding().items <= bound.items);
        REQUIRE(pool.outstanding().bytes <= bound.bytes + 300 * loops.size());
    }
    CHECK(taken > 1000);
}

TEST_CASE("A loop that was alone gives back what others need", "[R-9]") {
    CreditPool pool({10, 1000});
    CreditPurse first;
    const auto a = pool.join();
    first.granted(*pool.grant(a));
    CHECK(first.limit() == CreditAmount{10, 1000});
    CHECK_FALSE(pool.grant(a));
    const auto b = pool.join();
    CHECK_FALSE(pool.grant(b));
    REQUIRE(pool.holds_more(a));
    pool.given_back(a, first.give_back(pool.share()));
    CHECK_FALSE(pool.holds_more(a));
    CHECK(pool.grant(b) == CreditAmount{5, 500});
    // What a loop claims to give back beyond what it has is not believed.
    pool.given_back(b, {1000, 100'000});
    CHECK(pool.outstanding() == CreditAmount{5, 500});
    // Without credit an item is refused.
    CHECK_FALSE(pool.used(b, 1));
    pool.leave(a);
    pool.leave(b);
    CHECK(pool.outstanding() == CreditAmount{0, 0});
    pool.done(a, 1);
    CHECK_FALSE(pool.used(a, 1));
}

}  // namespace
}  // namespace quorate::cluster
