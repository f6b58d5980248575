// How a group begins: what the disk says, whether that is everything it promised, and where the
// replay starts.
#include <utility>

#include "cluster/group/group.h"
#include "cluster/group/group_reader.h"
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

}  // namespace

struct Group::AppliedRecord {
    EntryId id;
    ClusterTime time;
};

Result<std::unique_ptr<Group>> Group::open(const GroupOptions& options, const GroupContext& context,
                                           StateMachine& machine) {
    if (context.messages == nullptr && options.configuration.voters.size() != 1) {
        return Error{ErrorCode::InvalidArgument, "a group of several replicas needs a link"};
    }
    if (!options.configuration.contains(options.self)) {
        return Error{ErrorCode::InvalidArgument, "a replica outside its own configuration"};
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
    : options_(options), context_(context), machine_(machine) {}

Group::~Group() = default;

Status Group::recover() {
    Result<storage::GroupLog> log = context_.log.load(options_.id);
    if (!log) return log.error();
    if (!log->amnesia.empty()) {
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
    const std::optional<raft::Configuration> configuration =
        raft::decode_configuration(meta_.configuration);
    if (!configuration || !configuration->contains(meta_.replica)) {
        return Error{ErrorCode::Corrupt, "the stored configuration of the group is damaged"};
    }
    state_ = std::make_unique<storage::StateView>(
        context_.state, storage::state_prefix(options_.id, meta_.generation));
    const Result<AppliedRecord> applied = read_applied();
    if (!applied) return applied.error();
    applied_ = applied->id;
    time_ = applied->time;
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
    reader_ = std::make_unique<Reader>(context_.log, options_.id);
    raft::RaftOptions raft_options;
    raft_options.self = meta_.replica;
    raft_options.configuration = *configuration;
    raft_options.election_ticks = options_.election_ticks;
    raft_options.heartbeat_ticks = options_.heartbeat_ticks;
    raft_options.seed = options_.seed;
    auto node = std::make_unique<raft::RaftNode>(
        std::move(raft_options),
        raft::HardState{log.hard_state.term, log.hard_state.voted_for, log.hard_state.commit},
        raft::LogStart{log.meta.base, log.last, log.term_starts, log.hard_state.commit,
                       applied_.index},
        *reader_);
    if (node->log().term_at(applied_.index) != applied_.term) {
        return Error{ErrorCode::Corrupt, "the state does not belong to the log"};
    }
    if (Status loaded = machine_.load(*state_, applied_.index, time_); !loaded) return loaded;
    raft_ = std::move(node);
    if (log.bytes > 0) log_spans_.push_back(LogSpan{log.last.index, log.bytes});
    log_bytes_.store(log.bytes, std::memory_order_relaxed);
    state_written_.store(applied_.index.value(), std::memory_order_release);
    // Nobody else could win: waiting for a timeout would only delay the start.
    if (configuration->voters.size() == 1) raft_->campaign();
    return {};
}

Result<Group::AppliedRecord> Group::read_applied() const {
    std::string value;
    const Result<bool> found = state_->get(applied_key(), value);
    if (!found) return found.error();
    AppliedRecord record;
    if (!*found) return record;
    RecordReader reader(value);
    record.id.index = reader.id<LogIndex>();
    record.id.term = reader.id<Term>();
    record.time = reader.id<ClusterTime>();
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
    });
}

}  // namespace quorate::cluster
