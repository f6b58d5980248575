#include "tests/sim/replicated/simulation.h"

#include <algorithm>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "tests/sim/kernel/last_words.h"
#include "tests/sim/replicated/faults.h"
#include "tests/sim/replicated/front.h"
#include "tests/sim/replicated/replica.h"

namespace quorate::sim::replicated {
namespace {

// Longer than any delay of a client: will, expiry of the session that expires soonest.
constexpr Micros kIdle_us = 5 * kSecond_us;
constexpr Micros kLiveness_us = 600 * kSecond_us;

class Simulation {
  public:
    Simulation(const Plan& plan, const Trace& trace)
        : stage_(plan),
          checkers_(stage_),
          placement_(stage_, checkers_, replicas_),
          faults_(stage_, replicas_, fronts_, placement_) {
        stage_.trace = trace;
        if (plan.full_every_us != 0 || plan.received_ids_max < 100) stage_.world.expect_refusals();
    }

    Outcome run();

  private:
    void begin();
    void step();
    void handle(const Event& event);
    void handle_replica(const Event& event);
    void handle_front(const Event& event);
    void note(const Event& event);
    void live();
    [[nodiscard]] bool settled(uint64_t core);
    [[nodiscard]] bool takes_part(uint64_t core, std::size_t node, Replica& leads) const;
    [[nodiscard]] std::string unfinished(uint64_t core);
    [[nodiscard]] Replica* leader(uint64_t among);
    void judge(uint64_t core);
    void count_world();

    Stage stage_;
    Checkers checkers_;
    Replicas replicas_;
    Fronts fronts_;
    Placement placement_;
    Faults faults_;
    Packet packet_;  // the one being delivered
    uint64_t steps_ = 0;
    Micros healed_ = 0;
};

void Simulation::begin() {
    for (uint32_t i = 0; i < stage_.plan.nodes; ++i) {
        replicas_.push_back(std::make_unique<Replica>(stage_, checkers_, i));
    }
    for (uint32_t i = 0; i < stage_.plan.fronts; ++i) {
        fronts_.push_back(std::make_unique<Front>(stage_, replicas_, i));
    }
    placement_.begin();
    for (uint32_t i = 0; i < stage_.plan.fronts; ++i) {
        Event step;
        step.kind = EventKind::Step;
        step.node = static_cast<uint8_t>(i);
        stage_.after(1 + i, step);
    }
    faults_.begin();
}

void Simulation::step() {
    const auto item = stage_.queue.pop();
    stage_.now = item.time;
    set_step(++steps_);
    handle(item.event);
    const std::string& complaint = stage_.world.complaint();
    if (!complaint.empty()) stage_.violate(complaint);
}

void Simulation::handle(const Event& event) {
    stage_.mix(stage_.now ^ uint64_t{event.node} << 48 ^ static_cast<uint64_t>(event.kind) << 56);
    switch (event.kind) {
        case EventKind::Awake:
            return stage_.awake(event.node);
        case EventKind::Deliver:
            if (event.node >= kReplicasMax) return handle_front(event);
            return handle_replica(event);
        case EventKind::Turn:
        case EventKind::Poll:
        case EventKind::Sync:
        case EventKind::Flush:
        case EventKind::Flushed:
        case EventKind::Mark:
        case EventKind::Restart:
            return handle_replica(event);
        case EventKind::Step:
        case EventKind::Suspect:
        case EventKind::Straggle:
            return handle_front(event);
        case EventKind::Change:
            return placement_.change();
        case EventKind::Rebuild:
            note(event);
            return placement_.rebuild(event.node);
        case EventKind::Partition:
        case EventKind::Heal:
        case EventKind::Break:
        case EventKind::Pause:
        case EventKind::Crash:
        case EventKind::FrontCrash:
        case EventKind::Fill:
        case EventKind::Empty:
            note(event);
            return faults_.handle(event);
    }
}

void Simulation::handle_replica(const Event& event) {
    Replica& replica = *replicas_[event.node];
    if (event.kind == EventKind::Restart) {
        if (!replica.running() && event.life == replica.life()) replica.start();
        return;
    }
    // A process that stands still finds all this waiting when it goes on.
    if (replica.running() && stage_.asleep(event.node)) return stage_.keep_for(event.node, event);
    const bool deliver = event.kind == EventKind::Deliver;
    if (deliver && !stage_.receive(event, packet_)) return;
    if (!replica.running() || (!deliver && event.life != replica.life())) return;
    replica.handle(event, packet_);
    if (!replica.running()) return;
    stage_.mix(replica.group().term().value() ^ replica.group().applied().value() << 24);
    if (replica.machine().damage().empty() && replica.sound()) return;
    placement_.stopped(event.node);
}

void Simulation::handle_front(const Event& event) {
    const uint32_t index =
        event.kind == EventKind::Deliver ? event.node - kReplicasMax : event.node;
    Front& front = *fronts_[index];
    if (event.kind == EventKind::Suspect) return front.suspect(event.life);
    const uint32_t node = front_node(index);
    if (stage_.asleep(node)) return stage_.keep_for(node, event);
    if (event.kind == EventKind::Straggle) return front.straggle();
    if (event.kind == EventKind::Deliver) {
        if (stage_.receive(event, packet_)) front.take(event, packet_);
        return;
    }
    front.step();
    stage_.after(around(stage_.random, stage_.plan.step_every_us), event);
}

void Simulation::note(const Event& event) {
    if (stage_.tracing()) stage_.note(to_string(event.kind));
}

Replica* Simulation::leader(uint64_t among) {
    Replica* found = nullptr;
    for (std::size_t i = 0; i < replicas_.size(); ++i) {
        if ((among >> i & 1) == 0 || !replicas_[i]->leads()) continue;
        if (found == nullptr || replicas_[i]->machine().term() > found->machine().term()) {
            found = replicas_[i].get();
        }
    }
    return found;
}

// Nobody wants anything any more, and every healed replica has everything.
bool Simulation::settled(uint64_t core) {
    for (const auto& front : fronts_) {
        if (stage_.now < std::max(front->idle_since(), healed_) + kIdle_us) return false;
    }
    Replica* const leads = leader(core);
    if (leads == nullptr || !leads->machine().idle() || stage_.world.unanswered() > 0) return false;
    if (leads->group().configuration().joint()) return false;
    for (std::size_t i = 0; i < replicas_.size(); ++i) {
        if (!takes_part(core, i, *leads)) continue;
        if (!replicas_[i]->sound()) return false;
        if (replicas_[i]->group().applied() != leads->group().applied()) return false;
    }
    return true;
}

// Healed, and one of the leader's.
bool Simulation::takes_part(uint64_t core, std::size_t node, Replica& leads) const {
    return (core >> node & 1) != 0 &&
           leads.group().configuration().contains(replicas_[node]->self());
}

std::string Simulation::unfinished(uint64_t core) {
    std::string what = fmt::format("{} commands unanswered", stage_.world.unanswered());
    for (const auto& front : fronts_) {
        what += fmt::format(", a front-end busy {} s ago",
                            (stage_.now - front->idle_since()) / kSecond_us);
    }
    Replica* const leads = leader(core);
    if (leads == nullptr) what += ", nobody leads";
    if (leads != nullptr && !leads->machine().idle()) what += ", the leader is not idle";
    for (std::size_t i = 0; i < replicas_.size(); ++i) {
        if ((core >> i & 1) == 0) continue;
        what += replicas_[i]->sound() ? fmt::format(", replica {} at {} in term {}", i + 1,
                                                    replicas_[i]->group().applied().value(),
                                                    replicas_[i]->group().term().value())
                                      : fmt::format(", replica {} is out", i + 1);
    }
    return what;
}

void Simulation::live() {
    if (stage_.tracing()) stage_.note("a majority is healed");
    // A sync that stalls takes as long as it takes.
    const Micros stalled = stage_.plan.stalls == 0 ? 0 : stage_.plan.stall_max_us;
    const uint64_t core = faults_.heal_core();
    healed_ = stage_.now;
    stage_.world.close();
    stage_.plan.step_every_us = std::min<Micros>(stage_.plan.step_every_us, 30'000);
    const Micros timeout = 2 * kTick_us * stage_.plan.election_ticks;
    const Micros elected_by = stage_.now + stalled + 10 * timeout;
    const Micros settled_by = stage_.now + kLiveness_us;
    Micros looked = 0;
    bool elected = false;
    while (!stage_.broken()) {
        if (stage_.now > looked + kTick_us) {
            looked = stage_.now;
            elected = elected || leader(core) != nullptr;
            if (settled(core)) return judge(core);
            if (!elected && stage_.now > elected_by) {
                stage_.violate("R9: nobody leads after ten election timeouts: " + unfinished(core));
            } else if (stage_.now > settled_by) {
                stage_.violate("R9: what was begun does not come to its end: " + unfinished(core));
            }
        }
        step();
    }
}

void Simulation::judge(uint64_t core) {
    stage_.world.judge();
    const std::string& complaint = stage_.world.complaint();
    if (!complaint.empty()) stage_.violate(complaint);
    Replica& leads = *leader(core);
    for (std::size_t i = 0; i < replicas_.size() && stage_.plan.observe; ++i) {
        if (!takes_part(core, i, leads)) continue;
        if (replicas_[i]->machine().state().digest() != leads.machine().state().digest()) {
            stage_.violate("R4: two replicas end with different states");
        }
    }
}

void Simulation::count_world() {
    const ShardSimCounts& world = stage_.world.counts();
    Counts& counts = stage_.counts;
    counts[Count::Commands] = world.commands;
    counts[Count::Takeovers] = world.takeovers;
    counts[Count::TakeoversInFlight] = world.takeovers_in_flight;
    counts[Count::TakeoversLeaving] = world.takeovers_leaving;
    counts[Count::LetGos] = world.let_go;
    counts[Count::WillsSent] = world.wills_sent;
    counts[Count::WillsCancelled] = world.wills_cancelled;
    counts[Count::SessionsExpired] = world.sessions_expired;
    counts[Count::PubrelsResumed] = world.pubrels_resumed;
    counts[Count::Redelivered] = world.redelivered;
    counts[Count::PutRepeats] = world.put_repeats;
    counts[Count::SenderMidQos2] = world.sender_mid_qos2;
    counts[Count::ReceiverMidQos2] = world.receiver_mid_qos2;
    counts[Count::Delivered] = world.delivered;
    counts[Count::RetainedReads] = world.retained_reads;
    counts[Count::Refused] = world.refused;
    counts[Count::PacketIdsWrapped] = world.packet_ids_wrapped;
    counts[Count::PacketsLost] = stage_.wires.lost();
}

Outcome Simulation::run() {
    begin();
    const Micros end = uint64_t{stage_.plan.seconds} * kSecond_us;
    while (stage_.now < end && !stage_.broken()) {
        step();
    }
    if (!stage_.broken()) live();
    count_world();
    Outcome outcome;
    outcome.violation = stage_.violation;
    outcome.time = stage_.now;
    outcome.steps = steps_;
    outcome.trace_hash = stage_.hash;
    outcome.counts = stage_.counts;
    return outcome;
}

}  // namespace

Outcome simulate(const Plan& plan, const Trace& trace) {
    return Simulation(plan, trace).run();
}

}  // namespace quorate::sim::replicated
