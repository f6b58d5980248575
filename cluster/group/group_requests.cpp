// What is asked of a group besides proposals: members, leadership, reads.
#include <utility>
#include <variant>

#include "cluster/group/group.h"

namespace quorate::cluster {

Result<EntryId> Group::change(const raft::Configuration& target) {
    if (health() != GroupHealth::Sound) return Error{ErrorCode::Unavailable, "out of service"};
    touch();
    return raft_->change(target);
}

Status Group::transfer(ReplicaId to) {
    if (health() != GroupHealth::Sound) return Error{ErrorCode::Unavailable, "out of service"};
    touch();
    return raft_->transfer(to);
}

void Group::set_known(std::vector<ReplicaId> replicas) {
    if (raft_) raft_->set_known(std::move(replicas));
}

void Group::set_priority(uint32_t priority) {
    priority_ = priority;
    if (raft_ && !disk_full_) raft_->set_priority(priority);
}

void Group::wake() {
    if (health() != GroupHealth::Sound) return;
    raft_->wake();
    touch();
}

raft::Configuration Group::configuration() const {
    return raft_ ? raft_->configuration() : raft::Configuration{};
}

LogIndex Group::configuration_index() const {
    return raft_ ? raft_->configurations().latest_index() : LogIndex();
}

std::span<const raft::ConfigurationEntry> Group::configurations() const {
    if (!raft_) return {};
    return raft_->configurations().entries();
}

LogIndex Group::committed() const {
    return raft_ ? raft_->log().committed() : LogIndex();
}

std::vector<GroupFollower> Group::followers() const {
    std::vector<GroupFollower> followers;
    if (!leading_) return followers;
    for (const auto& [replica, progress] : raft_->progress()) {
        followers.push_back(
            {replica, progress.match(), progress.recently_active(), progress.priority()});
    }
    return followers;
}

Status Group::read(std::function<void(bool)> done) {
    if (health() != GroupHealth::Sound) return Error{ErrorCode::Unavailable, "out of service"};
    const Result<raft::ReadId> read = raft_->read_index();
    if (!read) return read.error();
    reads_.emplace(*read, std::move(done));
    touch();
    return {};
}

void Group::take_reads(const raft::Ready& ready) {
    confirmed_reads_.insert(confirmed_reads_.end(), ready.reads.begin(), ready.reads.end());
    for (const raft::ReadId failed : ready.reads_failed) {
        if (auto found = reads_.extract(failed)) found.mapped()(false);
    }
    answer_reads();
}

void Group::answer_reads() {
    while (!confirmed_reads_.empty() && confirmed_reads_.front().index <= applied_.index) {
        auto found = reads_.extract(confirmed_reads_.front().id);
        confirmed_reads_.pop_front();
        if (found) found.mapped()(true);
    }
}

void Group::drop_reads() {
    confirmed_reads_.clear();
    for (const auto& [id, done] : std::exchange(reads_, {})) {
        done(false);
    }
}

bool Group::refuse_append(const raft::Message& message) {
    const auto* append = std::get_if<raft::AppendEntries>(&message.body);
    const bool grows = (append != nullptr && !append->entries.empty()) ||
                       std::holds_alternative<raft::InstallSnapshot>(message.body);
    if (!grows || disk() != storage::DiskState::Stop) return false;
    if (counters_ != nullptr) ++counters_->appends_refused;
    return true;
}

// Before this disk is so full that nothing can be written another one takes over, if it can: the
// most caught-up active voter. A hand-over that fails is not tried again at once, so that what
// frees space still passes.
void Group::leave_full_disk() {
    const bool full = disk() != storage::DiskState::Ample;
    if (full != disk_full_) {
        disk_full_ = full;
        disk_patience_ = 0;
        raft_->set_priority(full ? 0 : priority_);
    }
    if (!full || !leading_ || disk_patience_ > 0) return;
    if (raft_->hand_over()) {
        disk_patience_ = 10 * options_.election_ticks;
        touch();
    }
}

}  // namespace quorate::cluster
