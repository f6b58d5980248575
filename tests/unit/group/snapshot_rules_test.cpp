// R-8 as schedules: what goes wrong when a snapshot is written over the state in use, and when
// a replica that lost what it promised goes on under its name. Each holds with the rule and is
// violated as soon as it is taken out (cluster/mutants.h).
#include "cluster/mutants.h"
#include "tests/unit/catch.h"
#include "tests/unit/group/replicated_nodes.h"

namespace quorate::cluster::test {
namespace {

struct WithMutant {
    explicit WithMutant(RuleMutant mutant) { rule_mutant = mutant; }
    ~WithMutant() { rule_mutant = RuleMutant::None; }
    WithMutant(const WithMutant&) = delete;
    WithMutant& operator=(const WithMutant&) = delete;
};

// The first `bytes_max` bytes of what the leader would send arrive at a follower that lags.
void receive_part(Nodes& nodes, Node& leader, uint32_t number, std::size_t bytes_max) {
    SnapshotReader reader(leader.group->state());
    raft::InstallSnapshot chunk;
    chunk.snapshot = {EntryId{leader.group->applied(), leader.group->term()},
                      Nodes::options(1).configuration};
    chunk.transfer = raft::TransferId(1);
    chunk.data = *reader.next(bytes_max);
    chunk.done = reader.done();
    REQUIRE_FALSE(chunk.done);
    Node& one = nodes.node(number);
    one.group->step(
        raft::Message{leader.group->leader(), ReplicaId(number), leader.group->term(), chunk});
    while (one.runner->turn() || one.write_one()) {
    }
}

// Part of a snapshot was received, a flush in the background kept it, and the power goes. True when
// the replica is what it was before.
bool survives_half_a_snapshot() {
    Nodes nodes;
    nodes.propose(5);
    const uint32_t away = nodes.follower();
    Node& one = nodes.node(away);
    REQUIRE(one.state.flush().ok());
    const uint64_t before = one.machine.digest();
    nodes.away = {away};
    nodes.propose(30);
    receive_part(nodes, nodes.elect(), away, 40);
    REQUIRE(one.state.flush().ok());
    Random random(1);
    one.log.crash(random);
    one.state.crash(random);
    nodes.start(away);
    return one.group->health() == GroupHealth::Sound && one.machine.number(1) == 5 &&
           one.machine.digest() == before;
}

// Whether it granted this candidate its vote in a term that nobody was in.
bool votes_for(Node& one, uint32_t candidate, Term term) {
    raft::RequestVote request;
    request.last = EntryId{LogIndex(1'000), Term(term.value() - 1)};
    request.transfer = true;
    one.group->step(raft::Message{ReplicaId(candidate), ReplicaId(3), term, request});
    while (one.runner->turn() || one.write_one()) {
    }
    bool granted = false;
    for (const raft::Message& message : one.out) {
        const auto* reply = std::get_if<raft::RequestVoteReply>(&message.body);
        granted = granted || (reply != nullptr && reply->granted && !reply->pre &&
                              message.to == ReplicaId(candidate));
    }
    one.out.clear();
    return granted;
}

// The disk forgets a vote that it had called durable. True when nobody else gets that vote again.
bool votes_once() {
    Nodes nodes;
    Node& one = nodes.node(3);
    const Term term(50);
    REQUIRE(votes_for(one, 1, term));
    REQUIRE(one.log.write_durable_mark().ok());
    one.log.forget_writes(1);
    nodes.start(3);
    return !votes_for(one, 2, term);
}

}  // namespace

TEST_CASE("after a power cut no key of a half received snapshot is among the old ones", "[R-8]") {
    CHECK(survives_half_a_snapshot());
    const WithMutant mutant(RuleMutant::IngestIntoLivePrefix);
    CHECK_FALSE(survives_half_a_snapshot());
}

TEST_CASE("a replica whose disk forgot its vote does not vote under its old promise", "[R-8][R6]") {
    CHECK(votes_once());
    const WithMutant mutant(RuleMutant::KeepReplicaId);
    CHECK_FALSE(votes_once());
}

}  // namespace quorate::cluster::test
