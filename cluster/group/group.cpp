#include "cluster/group/group.h"

#include <algorithm>
#include <utility>

#include "cluster/group/group_reader.h"
#include "proto/base/assert.h"

namespace quorate::cluster {

Status Group::refuse(ErrorCode code, const char* why) {
    if (counters_ != nullptr) ++counters_->proposals_failed;
    return Error{code, why};
}

Status Group::propose(std::string_view command, Growth growth) {
    if (health() != GroupHealth::Sound) {
        return refuse(ErrorCode::Unavailable, "this replica of the group is out of service");
    }
    if (!leading_) return refuse(ErrorCode::NotLeader, "this replica does not lead the group");
    if (raft_->transferring()) {
        return refuse(ErrorCode::Unavailable, "leadership of the group is being handed over");
    }
    const bool over = in_flight_bytes_ + command.size() > options_.in_flight_bytes_max ||
                      in_flight_commands_ >= options_.in_flight_commands_max;
    // A single command larger than the limit must pass at some time: when it is alone.
    if (over && in_flight_commands_ > 0) {
        return refuse(ErrorCode::LimitExceeded, "too much is proposed and not yet applied");
    }
    const storage::DiskState disk = this->disk();
    if (disk == storage::DiskState::Stop ||
        (disk == storage::DiskState::Full && growth == Growth::Grows)) {
        leave_full_disk();
        return refuse(ErrorCode::LimitExceeded, "the disk is full");
    }
    if (!pending_.empty() && pending_.bytes() + command.size() > options_.entry_bytes) {
        sealed_.push_back(std::exchange(pending_, CommandBatch()));
    }
    pending_.add(command);
    in_flight_bytes_ += command.size();
    ++in_flight_commands_;
    if (counters_ != nullptr) ++counters_->proposals_pending;
    touch();
    return {};
}

Term Group::term() const {
    return raft_ ? raft_->term() : Term(0);
}

ReplicaId Group::leader() const {
    return raft_ ? raft_->leader() : ReplicaId(0);
}

ClusterTime Group::time() const {
    if (!leading_) return time_;
    const auto led =
        std::chrono::duration_cast<std::chrono::milliseconds>(context_.clock.now() - lead_since_);
    const ClusterTime now(lead_base_.value() +
                          static_cast<uint64_t>(std::max<int64_t>(led.count(), 0)));
    return std::max(now, lead_stamp_);
}

void Group::step(const raft::Message& message) {
    if (health() != GroupHealth::Sound || refuse_append(message)) return;
    raft_->step(message);
    touch();
}

void Group::campaign() {
    if (health() != GroupHealth::Sound) return;
    raft_->campaign();
    touch();
}

void Group::touch() {
    if (touched_ || touched_list_ == nullptr) return;
    touched_ = true;
    touched_list_->push_back(this);
}

void Group::tick() {
    if (health() != GroupHealth::Sound) return;
    if (disk_patience_ > 0) --disk_patience_;
    leave_full_disk();
    raft_->tick();
    if (raft_->has_ready() || has_pending()) touch();
}

bool Group::needs_ticks() const {
    return health() == GroupHealth::Sound && raft_->needs_ticks();
}

void Group::fail(GroupHealth health, const std::string& why) {
    failure_ = why;
    health_.store(health, std::memory_order_release);
    committed_.clear();
    drop_proposals();
    drop_reads();
    sources_.clear();
    incoming_.reset();
    if (std::exchange(leading_, false)) machine_.on_follower(led_term_);
}

void Group::retire() {
    fail(GroupHealth::Removed, "this replica was removed");
    if (counters_ != nullptr) --counters_->roles[static_cast<std::size_t>(counted_role_)];
    counters_ = nullptr;
    touched_list_ = nullptr;
    machine_.unloaded();
}

bool Group::collect(storage::LogBatch& batch, bool hold) {
    touched_ = false;
    if (health() != GroupHealth::Sound) return false;
    update_role();
    // What was gathered before a hand-over began goes on if that fails.
    if (leading_ && !hold && !raft_->transferring()) {
        seal_pending();
        if (check_due()) propose_check();
    }
    Result<raft::Ready> taken = raft_->ready();
    if (!taken) {
        fail(GroupHealth::Failed, taken.error().message);
        return false;
    }
    raft::Ready& ready = *taken;
    send(ready.messages);
    committed_ = std::move(ready.committed);
    take_reads(ready);
    for (const raft::TransferId ended : ready.transfers_ended) {
        sources_.erase(ended);
    }
    for (const raft::SnapshotRequest& request : ready.snapshot_requests) {
        read_chunk(request);
    }
    for (const raft::SnapshotPart& part : ready.snapshot_parts) {
        keep_part(part);
    }
    if (health() != GroupHealth::Sound) return false;
    if (raft_->has_ready()) touch();
    if (ready.persist.value() == 0) return false;
    if (ready.restored || std::exchange(meta_unwritten_, false)) batch.meta(options_.id, meta_);
    for (const Generation generation : std::exchange(replaced_, {})) {
        to_be_void_.emplace_back(ready.persist, generation);
    }
    if (ready.truncate_from) batch.truncate(options_.id, *ready.truncate_from);
    for (const raft::Entry& entry : ready.entries) {
        batch.append(options_.id, entry.id, static_cast<uint8_t>(entry.kind), entry.data);
    }
    if (ready.hard_state) {
        const raft::HardState& state = *ready.hard_state;
        batch.hard_state(options_.id,
                         storage::HardState{state.term, state.voted_for, state.commit});
    }
    count_log_bytes(ready.entries);
    waiting_.push_back(Waiting{ready.persist, std::move(ready.messages_after)});
    return true;
}

void Group::seal_pending() {
    if (!pending_.empty()) sealed_.push_back(std::exchange(pending_, CommandBatch()));
    while (!sealed_.empty()) {
        CommandBatch& commands = sealed_.front();
        lead_stamp_ = time();
        const uint32_t count = commands.count();
        const std::size_t bytes = commands.command_bytes();
        const Result<EntryId> id = raft_->propose(commands.seal(lead_stamp_));
        ASSERT(id.ok(), "a leader refused a proposal");
        in_flight_.push_back(InFlight{id->index, bytes, count, context_.clock.now()});
        sealed_.pop_front();
    }
}

void Group::send(std::vector<raft::Message>& messages) {
    for (raft::Message& message : messages) {
        ASSERT(context_.messages != nullptr, "a lone voter has nobody to write to");
        context_.messages->send(options_.id, std::move(message));
    }
    messages.clear();
}

void Group::persisted() {
    ASSERT(!waiting_.empty(), "a write completed that nobody waits for");
    Waiting done = std::move(waiting_.front());
    waiting_.pop_front();
    if (health() != GroupHealth::Sound || done.number.value() == 0) return;
    send(done.messages);
    raft_->persisted(done.number);
    // Until the durable mark is one of the new name, a crash would miss what the old one had.
    if (std::exchange(renamed_, false)) flush_state([] {});
    while (!to_be_void_.empty() && to_be_void_.front().first == done.number) {
        void_generation(to_be_void_.front().second);
        to_be_void_.pop_front();
    }
    touch();
}

Status Group::apply_entry(const raft::Entry& entry, storage::StateBatch& batch) {
    if (entry.kind != raft::EntryKind::Command) return {};
    if (const auto leaders = decode_state_check(entry.data.text())) return check_state(*leaders);
    CommandReader commands(entry.data.text());
    if (commands.failed()) return Error{ErrorCode::Corrupt, "an entry that holds no commands"};
    const ClusterTime time = std::max(time_, commands.time());
    const Status applied = machine_.apply(CommandEntry{entry.id, time, commands}, batch);
    if (!applied) return applied;
    time_ = time;
    commands_applied_ += commands.count();
    return {};
}

void Group::apply_committed(storage::StateBatch& batch) {
    batch.set_prefix(state_->prefix());
    for (const raft::Entry& entry : committed_) {
        ASSERT(entry.id.index == applied_.index.next(), "an entry applied out of order");
        const storage::StateBatch::Mark mark = batch.mark();
        const Status applied = apply_entry(entry, batch);
        if (!applied) {
            batch.rollback(mark);
            fail(GroupHealth::Failed, "entry " + std::to_string(entry.id.index.value()) + ": " +
                                          applied.error().message);
            break;
        }
        applied_ = entry.id;
        note_written(entry, batch, mark);
    }
    committed_.clear();
    write_applied(batch);
}

void Group::after_apply() {
    state_written_.store(applied_.index.value(), std::memory_order_release);
    while (!in_flight_.empty() && in_flight_.front().index <= applied_.index) {
        in_flight_bytes_ -= in_flight_.front().bytes;
        in_flight_commands_ -= in_flight_.front().commands;
        if (counters_ != nullptr) counters_->proposals_pending -= in_flight_.front().commands;
        in_flight_.pop_front();
    }
    if (health() != GroupHealth::Sound) return;
    raft_->applied(applied_.index);
    answer_reads();
    machine_.applied(applied_.index);
    update_role();
    if (raft_->has_ready() || check_due()) touch();
}

void Group::set_counters(GroupCounters* counters) {
    counters_ = counters;
    ++counters_->roles[static_cast<std::size_t>(counted_role_)];
}

void Group::count_role() {
    if (counters_ == nullptr) return;
    const raft::Role role = raft_->role();
    if (role != counted_role_) {
        --counters_->roles[static_cast<std::size_t>(counted_role_)];
        ++counters_->roles[static_cast<std::size_t>(role)];
        if (role == raft::Role::Leader) ++counters_->elections_won;
        const bool stood =
            counted_role_ == raft::Role::Candidate || counted_role_ == raft::Role::PreCandidate;
        if (stood && role == raft::Role::Follower) ++counters_->elections_lost;
        counted_role_ = role;
    }
    const ReplicaId leader = raft_->leader();
    if (leader.value() != 0 && leader != counted_leader_) {
        counted_leader_ = leader;
        ++counters_->leader_changes;
    }
}

// The own proposals among what is about to be applied.
void Group::note_commits(std::chrono::nanoseconds now) {
    if (counters_ == nullptr || committed_.empty()) return;
    for (const InFlight& entry : in_flight_) {
        if (entry.index > committed_.back().id.index) break;
        counters_->commits.push_back(now - entry.proposed);
    }
}

void Group::update_role() {
    count_role();
    const bool leader = raft_->role() == raft::Role::Leader;
    if (leading_ && (!leader || raft_->term() != led_term_)) {
        leading_ = false;
        drop_proposals();
        machine_.on_follower(led_term_);
    }
    if (!leading_ && leader && applied_.index >= raft_->term_start()) {
        leading_ = true;
        led_term_ = raft_->term();
        lead_base_ = time_;
        lead_stamp_ = time_;
        lead_since_ = context_.clock.now();
        check_proposed_ = LogIndex();
        machine_.on_leader(led_term_);
    }
}

void Group::drop_proposals() {
    pending_ = CommandBatch();
    sealed_.clear();
    in_flight_.clear();
    if (counters_ != nullptr) {
        counters_->proposals_pending -= in_flight_commands_;
        counters_->proposals_failed += in_flight_commands_;
    }
    in_flight_bytes_ = 0;
    in_flight_commands_ = 0;
}

void Group::count_log_bytes(const std::vector<raft::Entry>& entries) {
    constexpr uint64_t kSpanBytes = uint64_t{1} << 20;
    uint64_t bytes = 0;
    for (const raft::Entry& entry : entries) {
        bytes += entry.data.size();
    }
    if (entries.empty()) return;
    if (log_spans_.empty() || log_spans_.back().bytes >= kSpanBytes) {
        log_spans_.push_back(LogSpan{});
    }
    log_spans_.back().last = entries.back().id.index;
    log_spans_.back().bytes += bytes;
    log_bytes_.fetch_add(bytes, std::memory_order_relaxed);
}

void Group::cut(LogIndex synced, storage::LogBatch& batch) {
    if (health() != GroupHealth::Sound) return;
    // The state has just become another one; what was flushed says nothing of it.
    if (!replaced_.empty() || !to_be_void_.empty()) return;
    const bool too_long = log_bytes() > options_.log_bytes_max;
    const LogIndex limit = std::min(synced, raft_->cut_limit(too_long));
    if (limit <= raft_->log().base().index) return;
    // What is flushed may end below the first configuration that a newcomer was given.
    const std::optional<raft::Configuration> configuration = raft_->configuration_at(limit);
    if (!configuration) return;
    const EntryId base{limit, *raft_->log().term_at(limit)};
    meta_.configuration = raft::encode(*configuration);
    batch.cut(options_.id, base, meta_.configuration);
    raft_->cut(base);
    while (!log_spans_.empty() && log_spans_.front().last <= limit) {
        log_bytes_.fetch_sub(log_spans_.front().bytes, std::memory_order_relaxed);
        log_spans_.pop_front();
    }
}

}  // namespace quorate::cluster
