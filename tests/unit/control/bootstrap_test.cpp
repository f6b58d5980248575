#include "cluster/control/bootstrap.h"

#include "tests/unit/catch.h"

namespace quorate::cluster {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// One node, with a disk that is written at once; the test plays the others.
struct Start {
    BootstrapOptions options;
    std::optional<BootstrapRecord> disk;
    std::unique_ptr<Bootstrap> node;
    BootstrapActions last;
    Bootstrap::Time now{};

    explicit Start(uint32_t expect, std::vector<std::string> seeds) {
        options.name = options.address = "me";
        options.expect = expect;
        options.seeds = std::move(seeds);
        begin();
    }
    void begin() {
        node = std::make_unique<Bootstrap>(options, disk, 1);
        last = {};
        node->start(now, last);
        write();
    }
    // Until nothing is to be written any more.
    void write() {
        while (last.persist) {
            disk = last.persist;
            BootstrapActions next;
            node->persisted(now, next);
            if (std::holds_alternative<std::monostate>(next.outcome)) next.outcome = last.outcome;
            last = std::move(next);
        }
    }
    void tick() {
        now += milliseconds(200);
        last = {};
        node->tick(now, last);
        write();
    }
    void hear(const Standing& standing) {
        last = {};
        node->answered(standing.self.address, standing, now, last);
        write();
    }
    [[nodiscard]] std::string why() const {
        const auto* refused = std::get_if<Refuse>(&last.outcome);
        return refused == nullptr ? node->waits_for() : "refused: " + refused->why;
    }
    [[nodiscard]] bool waits_for(const std::string& words) const {
        return why().find(words) != std::string::npos;
    }
};

Standing other(const std::string& name, uint64_t id, uint64_t cluster = 0, uint32_t expect = 2) {
    Standing standing;
    standing.self = {id, name, name};
    standing.cluster_id = cluster;
    standing.expect = expect;
    return standing;
}

TEST_CASE("One node that expects nobody and has no seeds forms a cluster at once") {
    Start start(1, {});
    const auto* found = std::get_if<Found>(&start.last.outcome);
    REQUIRE(found != nullptr);
    CHECK(found->self == NodeId(1));
    CHECK(found->proposal.members.size() == 1);
    // Until `meta` holds it, every start begins its groups again.
    const uint64_t cluster = found->proposal.cluster_id;
    start.begin();
    REQUIRE(std::holds_alternative<Found>(start.last.outcome));
    CHECK(std::get<Found>(start.last.outcome).proposal.cluster_id == cluster);
}

TEST_CASE("A node with seeds forms nothing while a seed is silent, whatever it expects") {
    for (const uint32_t expect : {1U, 2U}) {
        Start start(expect, {"a", "b"});
        for (int i = 0; i < 100; ++i) {
            start.hear(other("a", 7, 0, expect));
            start.tick();
        }
        CHECK(start.waits_for("the seed b, which does not answer"));
        CHECK(start.disk->proposed == 0);
    }
    Start nowhere(2, {"a"});
    nowhere.node->resolved("a", {});
    nowhere.tick();
    CHECK(nowhere.waits_for("whose name has no address"));
}

TEST_CASE("An answer that is not fresh does not count") {
    Start start(2, {"a"});
    const uint64_t above = UINT64_MAX;
    start.hear(other("a", above));
    CHECK(start.disk->proposed == 1);
    Start late(2, {"a", "b"});
    late.hear(other("a", above));
    late.now += seconds(4);
    late.hear(other("b", above - 1));
    CHECK(late.waits_for("the seed a, which does not answer"));
}

TEST_CASE("The lowest proposes, and a cluster is formed when all have accepted") {
    Start start(3, {"a", "b"});
    Standing a = other("a", UINT64_MAX, 0, 3);
    Standing b = other("b", UINT64_MAX - 1, 0, 3);
    start.hear(a);
    start.hear(b);
    REQUIRE(start.disk->accepted);
    const Proposal proposal = *start.disk->accepted;
    CHECK(proposal.members.size() == 3);
    CHECK(proposal.members.front().name == "a");
    a.accepted = proposal.id;
    start.hear(a);
    CHECK_FALSE(start.node->in_cluster());
    start.hear(a);
    CHECK_FALSE(start.node->in_cluster());
    b.accepted = proposal.id;
    start.hear(b);
    REQUIRE(std::holds_alternative<Found>(start.last.outcome));
    CHECK(std::get<Found>(start.last.outcome).self == NodeId(3));
    CHECK(start.disk->cluster_id == proposal.cluster_id);
}

TEST_CASE("A node tells of its acceptance when it is durable, and accepts no second proposal") {
    Start start(2, {"a"});
    const uint64_t self = start.disk->candidate;
    const Standing a = other("a", 1);
    start.hear(a);
    CHECK(start.waits_for("the proposal of a"));
    Proposal proposal{{1, 1}, 50, {a.self, {self, "me", "me"}}, ShardLayout{4, 0}, 3};
    BootstrapActions actions;
    CHECK(start.node->requested({a, proposal}, start.now, actions).accepted == ProposalId{});
    REQUIRE(actions.persist);
    CHECK(start.node->requested({a, proposal}, start.now, start.last).accepted == ProposalId{});
    start.last = actions;
    start.write();
    CHECK(start.node->requested({a, proposal}, start.now, start.last).accepted == proposal.id);
    Proposal second = proposal;
    second.id.number = 2;
    CHECK(start.node->requested({a, second}, start.now, start.last).accepted == proposal.id);
    // Silence is no decision; what the proposer says is one.
    start.now += seconds(3'600);
    start.tick();
    CHECK(start.disk->accepted);
    start.hear(other("b", 3));
    CHECK(start.waits_for("the decision on the proposal of a (a), cluster 50"));
    Standing later = a;
    later.proposed = 1;
    later.accepted = proposal.id;
    start.hear(later);
    CHECK(start.disk->accepted);
    later.accepted = {};
    start.hear(later);
    CHECK_FALSE(start.disk->accepted);
}

TEST_CASE("A proposal is not accepted when it leaves out a seed, names another self or size") {
    Start start(2, {"a"});
    const uint64_t self = start.disk->candidate;
    const Standing a = other("a", 1);
    const Standing c = other("c", 2);
    start.hear(a);
    const auto accepts = [&](const Standing& from, const Proposal& proposal) {
        BootstrapActions actions;
        (void)start.node->requested({from, proposal}, start.now, actions);
        return actions.persist.has_value();
    };
    const Candidate me{self, "me", "me"};
    const ShardLayout layout{4, 0};
    CHECK_FALSE(accepts(c, {{2, 1}, 50, {c.self, me}, layout, 3}));          // without the seed
    CHECK_FALSE(accepts(a, {{1, 1}, 50, {a.self, c.self}, layout, 3}));      // without this node
    CHECK_FALSE(accepts(a, {{1, 1}, 50, {a.self, me, c.self}, layout, 3}));  // more than expected
    CHECK_FALSE(accepts(a, {{1, 1}, 50, {a.self, {self, "me", "x"}}, layout, 3}));
    CHECK_FALSE(accepts(a, {{1, 1}, 50, {a.self, {self, "a", "me"}}, layout, 3}));
    CHECK_FALSE(accepts(a, {{1, 1}, 0, {a.self, me}, layout, 3}));
    CHECK_FALSE(accepts(a, {{2, 1}, 50, {a.self, me}, layout, 3}));  // not its own
    CHECK_FALSE(accepts(a, {{1, 1}, 50, {a.self, me}, ShardLayout{0, 0}, 3}));
    CHECK(accepts(a, {{1, 1}, 50, {a.self, me}, layout, 3}));
}

TEST_CASE("A member among the seeds is joined, and the next start goes on in that cluster") {
    Start start(3, {"a", "b"});
    start.hear(other("b", 9, 50));
    const auto* join = std::get_if<Join>(&start.last.outcome);
    REQUIRE(join != nullptr);
    CHECK(join->cluster_id == 50);
    CHECK(join->address == "b");
    start.last = {};
    start.node->joined(50, NodeId(4), start.last);
    start.write();
    CHECK(std::holds_alternative<Resume>(start.last.outcome));
    start.begin();
    REQUIRE(std::holds_alternative<Resume>(start.last.outcome));
    CHECK(std::get<Resume>(start.last.outcome).node == NodeId(4));
    start.hear(other("a", 7, 50));
    CHECK(std::holds_alternative<std::monostate>(start.last.outcome));
    start.hear(other("a", 7, 51));
    CHECK(start.waits_for("refused: this disk belongs to cluster 50, the seed a to cluster 51"));
}

TEST_CASE("Seeds of two clusters end an empty node") {
    Start start(2, {"a", "b"});
    start.hear(other("a", 7, 50));
    start.hear(other("b", 9, 51));
    CHECK(start.waits_for("refused: the seeds a and b belong to two clusters"));
}

TEST_CASE("What is configured against each other is said, and nothing is formed") {
    Start expects(2, {"a"});
    expects.hear(other("a", UINT64_MAX, 0, 3));
    CHECK(expects.waits_for("a (a), whose bootstrap_expect is 3 and not 2"));
    Start seeds(2, {"a", "b"});
    seeds.hear(other("a", UINT64_MAX));
    seeds.hear(other("b", UINT64_MAX - 1));
    CHECK(seeds.waits_for("a bootstrap_expect that is not below the number of seeds"));
    Start names(2, {"a"});
    Standing same = other("a", UINT64_MAX);
    same.self.name = "me";
    names.hear(same);
    CHECK(names.waits_for("me (me) and me (a) to get names and addresses of their own"));
    Start few(3, {"a"});
    Standing thief = other("c", 5, 0, 3);
    thief.self.address = "me";
    (void)few.node->requested({thief, std::nullopt}, few.now, few.last);
    few.hear(other("a", UINT64_MAX, 0, 3));
    CHECK(few.waits_for("3 nodes with empty disks; 2 are seen; c says that it has this node's"));
    Start none(0, {});
    CHECK(none.waits_for("refused: bootstrap_expect"));
}

TEST_CASE("A node's own address among the seeds needs no answer") {
    Start start(2, {"me", "a"});
    start.tick();
    for (const AskNode& ask : start.last.asks)
        CHECK(ask.address != "me");
    start.hear(other("a", UINT64_MAX));
    CHECK(start.disk->proposed == 1);
}

TEST_CASE("A proposal that a member cannot accept any more is withdrawn") {
    const auto proposed = [] {
        Start start(2, {"a"});
        start.hear(other("a", UINT64_MAX));
        REQUIRE(start.disk->accepted);
        return start;
    };
    Start patient = proposed();
    for (int i = 0; i < 60; ++i)
        patient.tick();
    CHECK_FALSE(patient.disk->accepted);
    CHECK(patient.disk->proposed == 1);
    Start replaced = proposed();
    replaced.hear(other("a", UINT64_MAX - 5));  // another disk
    // The new one is proposed to at once.
    CHECK(replaced.disk->proposed == 2);
    Start elsewhere = proposed();
    elsewhere.hear(other("a", UINT64_MAX, 50));
    CHECK_FALSE(elsewhere.disk->accepted);
    CHECK(std::holds_alternative<Join>(elsewhere.last.outcome));
}

TEST_CASE("Who accepted a proposal whose proposer lost its disk is freed by the operator") {
    Start start(2, {"a"});
    const Standing a = other("a", 1);
    start.hear(a);
    const Candidate self{start.disk->candidate, "me", "me"};
    const Proposal proposal{{1, 1}, 50, {a.self, self}, ShardLayout{4, 0}, 3};
    start.last = {};
    (void)start.node->requested({a, proposal}, start.now, start.last);
    start.write();
    start.hear(other("a", 9));
    CHECK(start.disk->accepted);
    start.options.abandoned = 50;
    start.begin();
    CHECK_FALSE(start.disk->accepted);
}

TEST_CASE("A cluster that is given up counts for nothing, and its disks are refused") {
    Start start(1, {"a"});
    start.hear(other("a", 7, 50));
    CHECK(std::holds_alternative<Join>(start.last.outcome));
    start.options.abandoned = 50;
    start.begin();
    start.hear(other("a", 7, 50));
    CHECK(std::holds_alternative<Found>(start.last.outcome));
    start.options.abandoned = start.disk->cluster_id;
    start.begin();
    CHECK(start.waits_for("refused: this disk belongs to the cluster that is to be given up"));
}

TEST_CASE("A stranger cannot make a node remember or send without bound") {
    Start start(3, {"a"});
    for (uint64_t i = 0; i < 1'000; ++i) {
        Standing stranger = other("s" + std::to_string(i), i + 1);
        (void)start.node->requested({stranger, std::nullopt}, start.now, start.last);
    }
    start.tick();
    CHECK(start.last.asks.size() <= kKnownMax + 1);
    for (int i = 0; i < 200; ++i)
        start.tick();
    CHECK(start.last.asks.size() == 1);
}

TEST_CASE("Whatever peers say, a node neither ends by itself nor changes what it has promised") {
    Random random(3);
    const auto name = [&] { return std::string(1, static_cast<char>('a' + random.below(4))); };
    for (int round = 0; round < 300; ++round) {
        Start start(static_cast<uint32_t>(1 + random.below(3)), {"a", "me"});
        const auto candidate = [&] {
            const uint64_t id = random.chance(1, 4) ? start.disk->candidate : random.below(4);
            return Candidate{id, random.chance(1, 4) ? "me" : name(),
                             random.chance(1, 4) ? "me" : name()};
        };
        const auto standing = [&] {
            Standing from;
            from.self = candidate();
            from.cluster_id = random.chance(1, 20) ? random.below(3) : 0;
            from.expect = static_cast<uint32_t>(1 + random.below(3));
            from.proposed = random.below(3);
            from.accepted = {random.below(4), random.below(3)};
            if (start.disk->accepted && random.chance(1, 2)) {
                from.accepted = start.disk->accepted->id;
            }
            from.known = {name(), name()};
            return from;
        };
        for (int step = 0; step < 200; ++step) {
            const BootstrapRecord before = *start.disk;
            start.last = {};
            if (random.chance(1, 2)) {
                start.node->answered(name(), standing(), start.now, start.last);
            } else {
                Proposal proposal{{random.below(4), random.below(3)}, random.below(3), {}, {}, 3};
                proposal.layout.shards = static_cast<uint32_t>(random.below(3));
                for (uint64_t i = random.below(4); i > 0; --i)
                    proposal.members.push_back(candidate());
                (void)start.node->requested({standing(), proposal}, start.now, start.last);
            }
            start.write();
            if (random.chance(1, 3)) start.tick();
            CHECK(start.disk->candidate == before.candidate);
            CHECK(start.disk->proposed >= before.proposed);
            if (before.cluster_id != 0) CHECK(start.disk->cluster_id == before.cluster_id);
        }
    }
}

TEST_CASE("What nodes say and keep reads back, and no shorter bytes do") {
    Standing standing = other("a", 7, 50);
    standing.known = {"x", "y"};
    standing.accepted = {3, 4};
    const Proposal proposal{{1, 2}, 50, {standing.self}, ShardLayout{4, 1}, 3};
    const std::string request = encode(BootstrapRequest{standing, proposal});
    const std::string record = encode(BootstrapRecord{7, 2, proposal, 50, NodeId(1)});
    CHECK(encode(*decode_standing(encode(standing))) == encode(standing));
    CHECK(encode(*decode_bootstrap_request(request)) == request);
    CHECK(encode(*decode_bootstrap_record(record)) == record);
    for (std::size_t size = 0; size < request.size(); ++size)
        CHECK_FALSE(decode_bootstrap_request(request.substr(0, size)).ok());
    for (std::size_t size = 0; size < record.size(); ++size)
        CHECK_FALSE(decode_bootstrap_record(record.substr(0, size)).ok());
    CHECK_FALSE(decode_bootstrap_record(encode(BootstrapRecord{})).ok());
    standing.self.name.assign(kBootstrapTextMax + 1, 'x');
    CHECK_FALSE(decode_standing(encode(standing)).ok());
}

}  // namespace
}  // namespace quorate::cluster
