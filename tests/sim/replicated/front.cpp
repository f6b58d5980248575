#include "tests/sim/replicated/front.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "proto/base/assert.h"
#include "tests/sim/kernel/named_random.h"

namespace quorate::sim::replicated {
namespace {

// With more of them under way clients wait.
constexpr std::size_t kUnansweredMax = 60;
constexpr std::size_t kStragglersMax = 3;

}  // namespace

ClusterTime leader_time(Stage& stage, const Replicas& replicas) {
    Replica& newest = *replicas[stage.newest_leader];
    if (newest.leads() && newest.machine().term() == stage.newest_term) {
        stage.leader_time = std::max(stage.leader_time, newest.group().time().value());
    }
    return ClusterTime(stage.leader_time);
}

Front::Front(Stage& stage, Replicas& replicas, uint32_t index)
    : stage_(stage),
      replicas_(replicas),
      index_(index),
      random_(named_random(stage.plan.seed, "front" + std::to_string(index))) {
    restart(false);
}

void Front::restart(bool straggler) {
    if (sender_ != nullptr) {
        ++stage_.counts[Count::IncarnationChanges];
        Event suspect;
        suspect.kind = EventKind::Suspect;
        suspect.node = static_cast<uint8_t>(index_);
        suspect.life = life_;
        stage_.after(around(random_, stage_.plan.suspect_after_us), suspect);
        if (straggler && stragglers_.size() < kStragglersMax) {
            ++stage_.counts[Count::FalseSuspicions];
            stragglers_.push_back(std::move(sender_));
            Event straggle;
            straggle.kind = EventKind::Straggle;
            straggle.node = static_cast<uint8_t>(index_);
            stage_.after(around(random_, kSecond_us), straggle);
        }
    }
    // Clients see their connections end now, whenever the others notice.
    (void)leader_time(stage_, replicas_);
    stage_.world.observe_time(stage_.leader_time);
    stage_.world.begin_life(index_);
    ++life_;
    sender_ =
        std::make_unique<LaneSender>(stage_, front_node(index_), stage_.world.incarnation(index_));
}

void Front::suspect(uint32_t life) {
    stage_.declare_down(make_incarnation(NodeId(1 + index_), life));
}

void Front::straggle() {
    std::erase_if(stragglers_, [](const auto& one) { return one->fenced(); });
    if (stragglers_.empty()) return;
    for (const auto& one : stragglers_) {
        one->straggle();
    }
    Event again;
    again.kind = EventKind::Straggle;
    again.node = static_cast<uint8_t>(index_);
    stage_.after(around(random_, 2 * kSecond_us), again);
}

Replica* Front::leader() {
    const auto known = sender_->leader();
    if (!known) return nullptr;
    Replica& replica = *replicas_[*known];
    const uint32_t node = front_node(index_);
    const bool reachable = stage_.wires.connected(node, *known) &&
                           stage_.wires.connected(*known, node) && !stage_.asleep(*known);
    const bool leads = replica.leads() && replica.machine().term() >= sender_->heard();
    return leads && reachable ? &replica : nullptr;
}

void Front::receive() {
    Replica* const replica = leader();
    if (replica == nullptr) return;
    const ClusterTime now = replica->group().time();
    const cluster::ShardState& state = replica->machine().state();
    Status read = stage_.world.receive(state, now, random_, index_);
    if (replica->machine().term() < stage_.newest_term) {
        ++stage_.counts[Count::StaleLeaderReads];
    } else if (read) {
        read = stage_.world.read_retained(state, now, random_);
    }
    if (!read) replica->machine().found_damage(read.error().message);
}

void Front::step() {
    const ClusterTime now = leader_time(stage_, replicas_);
    stage_.world.observe_time(now.value());
    receive();
    bool acted = false;
    for (uint32_t i = 0; i < stage_.plan.steps_at_once; ++i) {
        if (sender_->unanswered() >= kUnansweredMax) break;
        const auto bytes = stage_.world.next(random_, now, index_);
        if (!bytes) break;
        acted = true;
        const Result<cluster::Command> command = cluster::decode_command(*bytes);
        ASSERT(command.ok(), "a command of this process is well formed");
        if (stage_.tracing()) {
            stage_.note(fmt::format("front-end {} {} {} of lane {}: {}", index_ + 1,
                                    static_cast<int>(command->header.lane.lane_class),
                                    command->header.number.value(),
                                    command->header.lane.incarnation.value() & 0xFFFF,
                                    cluster::command_name(command->body)));
        }
        if (!sender_->submit(*command)) stage_.violate("R-3: a window of 4,096 is full");
    }
    sender_->flush();
    sender_->poll();
    if (acted || sender_->unanswered() > 0) idle_since_ = stage_.now;
}

void Front::take(const Event& event, const Packet& packet) {
    if (const auto* answers = std::get_if<AnswerPacket>(&packet)) {
        for (std::size_t i = 0; i < answers->answers.size(); ++i) {
            const cluster::Answer& answer = answers->answers[i];
            for (const auto& straggler : stragglers_) {
                if (straggler->incarnation() == answer.lane.incarnation) {
                    (void)straggler->answered(answer);
                }
            }
            if (answer.lane.incarnation != sender_->incarnation()) continue;
            const auto token = sender_->answered(answer);
            if (token) (void)stage_.world.answered(answer, answers->at[i]);
        }
    } else if (const auto* let_go = std::get_if<LetGoPacket>(&packet)) {
        stage_.world.let_go(let_go->request);
    } else if (const auto* leader = std::get_if<LeaderPacket>(&packet)) {
        sender_->hear(leader->term, event.from);
    }
}

}  // namespace quorate::sim::replicated
