// How a group begins: what the disk says, whether that is everything it promised, and where the
// replay starts.
#include <utility>

#include "cluster/group/group.h"
#include "cluster/group/group_reader.h"
#include "cluster/mutants.h"
#include "storage/keys.h"

namespace quorate::cluster {
namespace {

// The record that ties the state to the log: how far it is applied.
std::string applied_key() {
    std::string key;
    storage::append_key_u8(key, storage::kGroupFamily);
    key.push_back('A');
    return key;
}

std::string number(LogIndex index) {
    return std::to_string(index.value());
}

// The configuration at the log's base, and those that the log has changed it to since.
Status read_configurations(const storage::GroupLog& log, raft::LogStart& start) {
    static_assert(static_cast<uint8_t>(raft::EntryKind::Configuration) == storage::kNotedKind);
    const Error damaged{ErrorCode::Corrupt, "a stored configuration of the group is damaged"};
    std::optional<raft::Configuration> at_base = raft::decode_configuration(log.meta.configuration);
    if (!at_base || log.meta.replica.value() == 0) return damaged;
    start.configuration = std::move(*at_base);
    for (const storage::NotedEntry& entry : log.noted) {
        std::optional<raft::Configuration> changed = raft::decode_configuration(entry.data);
        if (!changed) return damaged;
        start.configurations.push_back({entry.id.index, std::move(*changed)});
    }
    return {};
}

}  // namespace

Result<std::unique_ptr<Group>> Group::open(const GroupOptions& options, const GroupContext& context,
                                           StateMachine& machine) {
    const raft::Configuration lone{{options.self}};
    if (context.messages == nullptr && options.configuration != lone) {
        return Error{ErrorCode::InvalidArgument, "a group of several replicas needs a link"};
    }
    if (!raft::valid(options.configuration)) {
        return Error{ErrorCode::InvalidArgument, "a configuration that no group could have"};
    }
    auto group = std::make_unique<Group>(options, context, machine);
    const Status recovered = group->recover();
    if (!recovered) {
        if (recovered.error().code == ErrorCode::Io) return recovered.error();
        group->fail(GroupHealth::Failed, recovered.error().message);
    }
    return group;
}

Group::Group(const GroupOptions& options, const GroupContext& context, StateMachine& machine)
    : options_(options), context_(context), machine_(machine), priority_(options.priority) {}

Group::~Group() = default;

Status Group::recover() {
    Result<storage::GroupLog> log = context_.log.load(options_.id);
    if (!log) {
        if (const auto meta = context_.log.meta(options_.id)) meta_ = *meta;
        return log.error();
    }
    if (!log->amnesia.empty() && !mutated(RuleMutant::KeepReplicaId)) {
        meta_ = log->meta;
        fail(GroupHealth::Amnesic, log->amnesia);
        return {};
    }
    if (!log->exists) {
        log->meta.generation = Generation(1);
        log->meta.replica = options_.self;
        log->meta.configuration = raft::encode(options_.configuration);
        meta_unwritten_ = true;
    }
    return recover_from(*log);
}

Status Group::recover_from(const storage::GroupLog& log) {
    meta_ = log.meta;
    raft::LogStart start{
        log.meta.base, log.last, log.term_starts, log.hard_state.commit, {}, {}, {}};
    if (Status read = read_configurations(log, start); !read) return read;
    state_ = std::make_unique<storage::StateView>(
        context_.state, storage::state_prefix(options_.id, meta_.generation));
    const Result<AppliedRecord> applied = read_applied(*state_);
    if (!applied) return applied.error();
    take_applied(*applied);
    if (applied_.index > log.last.index) {
        fail(GroupHealth::Amnesic, "the state is at entry " + number(applied_.index) +
                                       " but the log ends at " + number(log.last.index));
        return {};
    }
    if (applied_.index < log.meta.base.index) {
        return Error{ErrorCode::Corrupt, "the state ends at entry " + number(applied_.index) +
                                             " but the log begins after " +
                                             number(log.meta.base.index)};
    }
    start.applied = applied_.index;
    const raft::HardState hard_state{log.hard_state.term, log.hard_state.voted_for,
                                     log.hard_state.commit};
    if (Status started = start_raft(hard_state, start); !started) return started;
    if (log.bytes > 0) log_spans_.push_back(LogSpan{log.last.index, log.bytes});
    log_bytes_.store(log.bytes, std::memory_order_relaxed);
    state_written_.store(applied_.index.value(), std::memory_order_release);
    // Nobody else could win: waiting for a timeout would only delay the start.
    const raft::Configuration lone{{meta_.replica}};
    if (raft_->configuration().voters == lone.voters && !raft_->configuration().joint()) {
        raft_->campaign();
    }
    return {};
}

// The core and the machine, from where log and state are.
Status Group::start_raft(const raft::HardState& hard_state, const raft::LogStart& start) {
    reader_ = std::make_unique<Reader>(context_.log, options_.id);
    raft::RaftOptions raft_options;
    raft_options.self = meta_.replica;
    raft_options.election_ticks = options_.election_ticks;
    raft_options.heartbeat_ticks = options_.heartbeat_ticks;
    raft_options.priority = priority_;
    raft_options.quiesce_rounds = options_.quiesce_rounds;
    raft_options.snapshot = options_.snapshot;
    raft_options.seed = options_.seed;
    auto node =
        std::make_unique<raft::RaftNode>(std::move(raft_options), hard_state, start, *reader_);
    if (node->log().term_at(applied_.index) != applied_.term) {
        return Error{ErrorCode::Corrupt, "the state does not belong to the log"};
    }
    if (Status loaded = machine_.load(*state_, applied_.index, time_); !loaded) return loaded;
    raft_ = std::move(node);
    return {};
}

// R6: a replica that may have forgotten a promise must not speak under its old name. The state it
// begins with is empty, on stable storage, before the first message could make it promise anything.
Status Group::rejoin(ReplicaId self, const raft::Configuration& configuration) {
    if (health() == GroupHealth::Sound || health() == GroupHealth::Removed) {
        return Error{ErrorCode::InvalidArgument, "this replica needs no new name"};
    }
    if (self.value() == 0 || self == meta_.replica || !raft::valid(configuration) ||
        configuration.contains(self) || context_.messages == nullptr) {
        return Error{ErrorCode::InvalidArgument, "not a newcomer's name and configuration"};
    }
    last_generation_ = std::max(last_generation_, meta_.generation).next();
    meta_ = storage::GroupMeta{};
    meta_.generation = last_generation_;
    meta_.replica = self;
    meta_.configuration = raft::encode(configuration);
    void_generation(meta_.generation);
    flush_state([this] { begin_anew(); });
    return {};
}

void Group::begin_anew() {
    if (health() == GroupHealth::Removed) return;
    meta_unwritten_ = true;
    renamed_ = true;
    // What is under way belongs to the old name: its completion means nothing any more.
    for (Waiting& write : waiting_) {
        write = Waiting{};
    }
    take_applied(AppliedRecord{});
    raft_.reset();
    state_ = std::make_unique<storage::StateView>(
        context_.state, storage::state_prefix(options_.id, meta_.generation));
    raft::LogStart start;
    start.configuration = raft::decode_configuration(meta_.configuration).value();
    if (Status started = start_raft(raft::HardState{}, start); !started) {
        fail(GroupHealth::Failed, started.error().message);
        return;
    }
    replaced_.clear();
    to_be_void_.clear();
    log_spans_.clear();
    log_bytes_.store(0, std::memory_order_relaxed);
    state_written_.store(0, std::memory_order_release);
    failure_.clear();
    health_.store(GroupHealth::Sound, std::memory_order_release);
    touch();
}

Result<Group::AppliedRecord> Group::read_applied(const storage::StateStore& state) {
    std::string value;
    const Result<bool> found = state.get(applied_key(), value);
    if (!found) return found.error();
    AppliedRecord record;
    if (!*found) return record;
    RecordReader reader(value);
    record.id.index = reader.id<LogIndex>();
    record.id.term = reader.id<Term>();
    record.time = reader.id<ClusterTime>();
    // A state of before states were hashed: it has one replica, and begins at 0.
    if (!reader.rest().empty()) {
        record.digest = reader.u64();
        record.checkpoint.index = reader.id<LogIndex>();
        record.checkpoint.digest = reader.u64();
    }
    if (!reader.finished()) {
        return Error{ErrorCode::Corrupt, "the record of the applied index is damaged"};
    }
    return record;
}

void Group::write_applied(storage::StateBatch& batch) const {
    batch.put_with(applied_key(), [this](RecordWriter& writer) {
        writer.id(applied_.index);
        writer.id(applied_.term);
        writer.id(time_);
        writer.u64(digest_);
        writer.id(checkpoint_.index);
        writer.u64(checkpoint_.digest);
    });
}

void Group::take_applied(const AppliedRecord& record) {
    applied_ = record.id;
    time_ = record.time;
    digest_ = record.digest;
    checkpoint_ = record.checkpoint;
}

}  // namespace quorate::cluster
