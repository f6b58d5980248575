// What happens to a replica besides crashes and pauses: full disks, clocks that step, corruption.
#include <utility>
#include <variant>

#include "tests/sim/raft/replica.h"

namespace quorate::sim {

void SimReplica::draw_speed() {
    tick_us_ = kTickUs - kTickUs * world_.plan.drift / 1000;
    if (world_.plan.drift != 0) {
        tick_us_ += world_.random.below(2 * kTickUs * world_.plan.drift / 1000);
    }
}

void SimReplica::fill(bool full) {
    full_ = full;
    patience_ = 0;
    if (running()) node_->set_priority(full ? 0 : priority_);
}

bool SimReplica::refuses(const raft::Message& message) const {
    const auto* append = std::get_if<raft::AppendEntries>(&message.body);
    const bool grows = (append != nullptr && !append->entries.empty()) ||
                       std::holds_alternative<raft::InstallSnapshot>(message.body);
    if (!full_ || !grows) return false;
    ++world_.counts[RaftCount::AppendsRefused];
    return true;
}

void SimReplica::leave_full_disk() {
    if (patience_ > 0) --patience_;
    if (!full_ || patience_ > 0 || !leads() || !node_->hand_over()) return;
    ++world_.counts[RaftCount::FullHandedOver];
    patience_ = 10 * world_.plan.election_ticks;
}

void SimReplica::step_clock() {
    const uint64_t farthest = 3 * world_.plan.election_ticks;
    switch (world_.random.below(3)) {
        case 0:
            ++world_.counts[RaftCount::ClockAhead];
            for (uint64_t ticks = 1 + world_.random.below(farthest); ticks > 0; --ticks) {
                if (node_->needs_ticks()) node_->tick();
            }
            world_.checkers.observe(view(), false);
            act();
            return;
        case 1:
            ++world_.counts[RaftCount::ClockBack];
            stands_until_ = world_.now + world_.random.below(farthest * kTickUs);
            return;
        default:
            ++world_.counts[RaftCount::ClockSpeed];
            draw_speed();
            return;
    }
}

void SimReplica::corrupt(Micros down) {
    ++world_.counts[RaftCount::LogsCorrupted];
    if (running()) crash(down);
    SimDisk found = disk_;
    found.corrupt(world_.random);
    if (world_.plan.mutant == HolderMutant::TrustsCorrupted) {
        disk_ = found;
        return;
    }
    corrupted_ = std::move(found);
    gone_ = true;
}

// What the real holder sees at its start: the durable mark and the chained hash.
void SimReplica::notice_corruption() {
    if (corrupted_->amnesia().empty()) {
        world_.checkers.violate("R6: a log that lost what it promised is taken for sound");
    }
    ++world_.counts[RaftCount::CorruptionNoticed];
}

}  // namespace quorate::sim
