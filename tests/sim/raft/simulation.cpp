#include "tests/sim/raft/simulation.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "tests/sim/kernel/last_words.h"
#include "tests/sim/raft/faults.h"
#include "tests/sim/raft/placement.h"
#include "tests/sim/raft/trace.h"

namespace quorate::sim {
namespace {

// Of one leader: clients wait for answers.
constexpr uint64_t kUncommittedMax = 200;
constexpr uint64_t kLivenessStepsMax = 1'000'000;

uint64_t mixed(uint64_t hash, uint64_t value) {
    hash = (hash ^ value) * 0xBF58476D1CE4E5B9ULL;
    return hash ^ (hash >> 29);
}

class RaftSimulation {
  public:
    RaftSimulation(const RaftPlan& plan, const RaftTrace& trace)
        : world_(plan),
          trace_(trace),
          placement_(world_, replicas_),
          faults_(world_, replicas_, placement_),
          clients_(component_random(plan.seed, "clients")) {}

    RaftResult run();

  private:
    void begin();
    void step_once();
    void handle(const SimEvent& event);
    void handle_replica(const SimEvent& event, SimReplica& replica);
    void propose(const SimEvent& event);
    void work(const SimEvent& event);
    void read();
    void check_quiescent(SimReplica& replica, uint32_t index);
    [[nodiscard]] Micros every(SimEventKind kind) const;
    void note(const SimEvent& event);
    void live();
    [[nodiscard]] Micros backlog(uint64_t core) const;
    [[nodiscard]] bool until(Micros deadline, const std::function<bool()>& reached);
    [[nodiscard]] bool broken() const { return !world_.checkers.violation().empty(); }

    SimWorld world_;
    const RaftTrace& trace_;
    std::vector<std::unique_ptr<SimReplica>> replicas_;
    SimPlacement placement_;
    SimFaults faults_;
    Random clients_;
    raft::Message message_;  // the one being delivered
    uint64_t proposals_ = 0;
    bool proposing_ = true;
    uint64_t step_ = 0;
    uint64_t hash_ = 0;
};

void RaftSimulation::begin() {
    placement_.begin();
    faults_.begin();
    SimEvent propose;
    propose.kind = SimEventKind::Propose;
    world_.queue.push(propose);
    for (const auto kind : {SimEventKind::Change, SimEventKind::Read, SimEventKind::Transfer}) {
        SimEvent work;
        work.kind = kind;
        if (every(kind) != 0) world_.queue.push(work);
    }
}

void RaftSimulation::step_once() {
    const SimEvent event = world_.queue.pop();
    world_.now = event.time;
    set_step(++step_);
    handle(event);
}

void RaftSimulation::handle(const SimEvent& event) {
    hash_ = mixed(hash_, event.time ^ uint64_t{event.replica} << 48 ^
                             static_cast<uint64_t>(event.kind) << 56);
    switch (event.kind) {
        case SimEventKind::Deliver:
        case SimEventKind::Tick:
        case SimEventKind::Sync:
        case SimEventKind::Turn:
        case SimEventKind::Keep:
        case SimEventKind::Restore:
        case SimEventKind::Restart:
        case SimEventKind::Resume:
            if (event.replica >= replicas_.size()) return;
            handle_replica(event, *replicas_[event.replica]);
            return;
        case SimEventKind::Propose:
            propose(event);
            return;
        case SimEventKind::Change:
        case SimEventKind::Read:
        case SimEventKind::Transfer:
            work(event);
            return;
        case SimEventKind::Partition:
        case SimEventKind::Heal:
        case SimEventKind::Break:
        case SimEventKind::Pause:
        case SimEventKind::Crash:
        case SimEventKind::DiskLoss:
        case SimEventKind::Corrupt:
        case SimEventKind::Fill:
        case SimEventKind::Empty:
        case SimEventKind::ClockStep:
        case SimEventKind::Stranger:
            if (trace_) [[unlikely]]
                note(event);
            faults_.handle(event);
            return;
    }
}

void RaftSimulation::handle_replica(const SimEvent& event, SimReplica& replica) {
    if (event.kind == SimEventKind::Restart) {
        if (event.life != replica.life()) return;
        if (trace_) [[unlikely]]
            note(event);
        replica.start();
        return;
    }
    if (event.kind == SimEventKind::Resume) {
        replica.resume();
        return;
    }
    const bool deliver = event.kind == SimEventKind::Deliver;
    if (replica.paused()) {
        replica.defer(event);
        return;
    }
    if (deliver && !world_.network.receive(event.argument, message_)) return;
    if (!replica.running() || (!deliver && event.life != replica.life())) return;
    if (trace_) [[unlikely]]
        note(event);
    switch (event.kind) {
        case SimEventKind::Deliver:
            replica.deliver(message_);
            break;
        case SimEventKind::Tick:
            replica.tick();
            if (replica.running()) check_quiescent(replica, event.replica);
            break;
        case SimEventKind::Sync:
            replica.synced();
            break;
        case SimEventKind::Turn:
            replica.turn();
            break;
        case SimEventKind::Restore:
            replica.restore(event.argument);
            break;
        default:
            replica.keep();
            break;
    }
    if (!replica.running()) return;
    const raft::RaftLog& log = replica.node().log();
    hash_ = mixed(hash_, replica.node().term().value() ^ log.last().index.value() << 16 ^
                             log.committed().value() << 32);
}

void RaftSimulation::propose(const SimEvent& event) {
    if (!proposing_) return;
    SimEvent next = event;
    next.time = world_.now + around(clients_, world_.plan.propose_every_us);
    world_.queue.push(next);
    // A client knows the newest leader, or one that was.
    SimReplica* target = leader_of(replicas_);
    if (target == nullptr || clients_.chance(1, 8)) {
        target = replicas_[clients_.below(replicas_.size())].get();
    }
    if (!target->leads() || target->paused()) return;
    const raft::RaftLog& log = target->node().log();
    if (log.last().index.value() - log.committed().value() > kUncommittedMax) return;
    std::byte bytes[512] = {};
    ++proposals_;
    std::memcpy(bytes, &proposals_, sizeof(proposals_));
    const std::size_t size = 8 + clients_.below(world_.plan.command_bytes_max + 1);
    (void)target->propose(SharedBytes(ByteView(bytes, size)));
}

Micros RaftSimulation::every(SimEventKind kind) const {
    if (kind == SimEventKind::Change) return world_.plan.change_every_us;
    return kind == SimEventKind::Read ? world_.plan.read_every_us : world_.plan.transfer_every_us;
}

void RaftSimulation::work(const SimEvent& event) {
    if (!proposing_) return;
    SimEvent next = event;
    next.time = world_.now + around(clients_, every(event.kind));
    world_.queue.push(next);
    if (event.kind == SimEventKind::Change) {
        placement_.change();
    } else if (event.kind == SimEventKind::Transfer) {
        placement_.transfer();
    } else {
        read();
    }
}

// At anybody who believes to lead: who is wrong must not answer.
void RaftSimulation::read() {
    const auto first = clients_.below(replicas_.size());
    for (std::size_t i = 0; i < replicas_.size(); ++i) {
        SimReplica& replica = *replicas_[(first + i) % replicas_.size()];
        if (!replica.leads() || replica.paused()) continue;
        (void)replica.read();
        return;
    }
}

// What merges the heartbeats of many groups between two nodes knows which nodes are silent.
void RaftSimulation::check_quiescent(SimReplica& replica, uint32_t index) {
    if (!replica.node().quiescent()) return;
    const auto leader = static_cast<uint32_t>(replica.node().leader().value() - 1);
    const bool heard = leader < replicas_.size() && replicas_[leader]->running() &&
                       !replicas_[leader]->paused() && !world_.network.is_cut(leader, index);
    replica.leader_heard(heard);
}

void RaftSimulation::note(const SimEvent& event) {
    trace_(describe_event(event, message_, world_.now, replicas_));
}

bool RaftSimulation::until(Micros deadline, const std::function<bool()>& reached) {
    const uint64_t steps = step_ + kLivenessStepsMax;
    while (!reached()) {
        if (broken() || world_.now > deadline || step_ > steps) return false;
        step_once();
    }
    return true;
}

// How long it may take until those that are behind have everything, entry by entry.
Micros RaftSimulation::backlog(uint64_t core) const {
    uint64_t least = UINT64_MAX;
    uint64_t most = 0;
    for (uint32_t i = 0; i < replicas_.size(); ++i) {
        if ((core >> i & 1) == 0) continue;
        least = std::min(least, replicas_[i]->disk().last().index.value());
        most = std::max(most, replicas_[i]->disk().last().index.value());
    }
    const RaftPlan& plan = world_.plan;
    const Micros round = 2 * (plan.delay_us + plan.delay_spread_us + plan.lazy_us) + plan.sync_us +
                         plan.sync_spread_us;
    return 60 * kSecondUs + (most - least + kUncommittedMax) * 4 * round;
}

void RaftSimulation::live() {
    proposing_ = false;
    const uint64_t core = faults_.heal_core();
    const Micros timeout = 2 * kTickUs * world_.plan.election_ticks;
    const auto healed = [&](uint32_t i) { return (core >> i & 1) != 0; };
    const auto caught_up = [&](uint64_t index) {
        const raft::Configuration now = leader_of(replicas_, core)->node().configuration();
        for (uint32_t i = 0; i < replicas_.size(); ++i) {
            if (!healed(i) || !now.contains(ReplicaId(i + 1))) continue;
            if (replicas_[i]->machine().applied.index.value() < index) return false;
        }
        return !now.joint();
    };
    const bool elected =
        until(world_.now + 10 * timeout, [&] { return leader_of(replicas_, core) != nullptr; });
    if (broken()) return;
    if (!elected) {
        world_.checkers.violate("R9: nobody leads after ten election timeouts");
        return;
    }
    uint64_t proposed = 0;
    Term proposed_in;
    const bool converged = until(world_.now + 20 * timeout + backlog(core), [&] {
        SimReplica* at = leader_of(replicas_, core);
        if (at == nullptr) return false;
        if (proposed_in != at->node().term()) {
            if (!at->propose(SharedBytes(as_bytes("the last one")))) return false;
            proposed_in = at->node().term();
            proposed = at->node().log().last().index.value();
        }
        return caught_up(proposed);
    });
    if (!broken() && !converged) {
        world_.checkers.violate("R9: the healed replicas do not come to the same log");
    }
}

RaftResult RaftSimulation::run() {
    begin();
    while (step_ < world_.plan.steps && !broken()) {
        step_once();
    }
    if (!broken()) live();
    RaftResult result;
    result.violation = world_.checkers.violation();
    result.step = step_;
    result.time = world_.now;
    result.trace_hash = hash_;
    world_.counts[RaftCount::MessagesLost] = world_.network.lost();
    world_.counts[RaftCount::LateTransfers] = world_.network.late_transfers();
    result.counts = world_.counts;
    return result;
}

}  // namespace

RaftResult simulate_raft(const RaftPlan& plan, const RaftTrace& trace) {
    return RaftSimulation(plan, trace).run();
}

}  // namespace quorate::sim
