// Long, because applying a command, answering it again and loading what it left belong together.
#include "cluster/shard/shard_state.h"

#include <algorithm>
#include <utility>

#include "cluster/shard/shard_impl.h"
#include "cluster/topics/route_records.h"
#include "cluster/topics/state_key.h"
#include "proto/base/assert.h"
#include "proto/base/hash.h"
#include "storage/keys.h"
#include "storage/state_store.h"

namespace quorate::cluster {

namespace {
constexpr uint8_t kVersion = 1;
}  // namespace

void Actions::clear() {
    answers.clear();
    let_go.clear();
    new_messages.clear();
    ended.clear();
    presence.clear();
    made.clear();
    live.clear();
    messages.clear();
    group_messages.clear();
    routes_wanted = outbox_ready = work_left = topics_changed = retained_changed = false;
}

ShardState::Impl::Impl(const Identity& identity, const ShardOptions& options)
    : identity_(identity),
      options_(options),
      bodies_(options.tail_cache_bytes / 2),
      outbox_(identity.shard,
              {options.outbox_entries_max, options.outbox_bytes_max, options.outbox_window}),
      retained_({options.retained_max, options.retained_bytes_max}),
      tail_(options.tail_cache_bytes / 2) {
    ASSERT(identity.layout.shards > 0, "a layout without shards");
    sessions_.set_first_number(MessageNumber(options.first_number));
}

// Applying.

Status ShardState::Impl::apply(ClusterTime now, std::string_view command,
                               storage::StateBatch& batch, Actions& actions) {
    const Result<Command> decoded = decode_command(command);
    if (!decoded.ok()) return decoded.error();
    if (now > now_) now_ = now;
    batch_ = &batch;
    actions_ = &actions;
    header_ = &decoded->header;
    if (!refuse_unless_applicable(decoded->header, decoded->body)) {
        std::visit([this](const auto& body) { on(body); }, decoded->body);
    }
    batch_ = nullptr;
    actions_ = nullptr;
    header_ = nullptr;
    return {};
}

bool ShardState::Impl::refuse_unless_applicable(const CommandHeader& header,
                                                const CommandBody& body) {
    switch (producers_.check(header)) {
        case LaneVerdict::Apply:
            return false;
        case LaneVerdict::Duplicate:
            ++counters_.commands_duplicate;
            duplicate(body);
            return true;
        case LaneVerdict::Gap:
            ++counters_.commands_gap;
            answer(AnswerCode::Gap);
            actions_->answers.back().expected = producers_.expected(header.lane);
            return true;
        case LaneVerdict::Fenced:
            ++counters_.commands_stale;
            answer(AnswerCode::Fenced);
            return true;
        case LaneVerdict::StaleSource:
            ++counters_.commands_stale;
            answer(AnswerCode::StaleSource);
            return true;
    }
    return true;
}

void ShardState::Impl::answer(AnswerCode code, CommandResult result) {
    if (code == AnswerCode::LimitExceeded) producers_.note_refused(*header_);
    Answer& answer = actions_->answers.emplace_back();
    answer.lane = header_->lane;
    answer.number = header_->number;
    answer.token = header_->token;
    answer.code = code;
    answer.result = std::move(result);
}

void ShardState::Impl::answer_attach(const WaitingAttach& asked, AnswerCode code,
                                     const AttachResult& result) {
    Answer& answer = actions_->answers.emplace_back();
    answer.lane = {asked.lane_incarnation, asked.lane_producer,
                   static_cast<LaneClass>(asked.lane_class)};
    answer.number = asked.number;
    answer.token = asked.token;
    answer.code = code;
    answer.result = result;
}

Session* ShardState::Impl::attached_session(SessionId id, Epoch epoch) {
    Session* session = sessions_.find(id);
    const bool current =
        session != nullptr && session->durable && session->attached() && session->epoch == epoch;
    if (current) return session;
    answer(AnswerCode::StaleEpoch);
    return nullptr;
}

// Results are read again from state where a client sees them, and no refusal is answered with
// success. Where the first answer cannot be known any more, the one that does no harm is given: a
// PUBREL was found, an UNSUBSCRIBE worked.
void ShardState::Impl::duplicate(const CommandBody& body) {
    if (const auto* attach = std::get_if<Attach>(&body)) return duplicate_attach(*attach);
    if (const auto* subscribe = std::get_if<Subscribe>(&body)) {
        return duplicate_subscribe(*subscribe);
    }
    // A refusal in the place of what was applied meanwhile: what that was, and so what it is
    // answered, only the command itself can say, when it is sent again.
    if (const auto* empty = std::get_if<Void>(&body); empty != nullptr && empty->refused) return;
    const bool owed = std::holds_alternative<Enqueue>(body) ||
                      std::holds_alternative<EnqueueGroup>(body) ||
                      std::holds_alternative<Retain>(body);
    if (owed && producers_.was_refused(*header_)) {
        answer(AnswerCode::LimitExceeded);
        return;
    }
    CommandResult result;
    if (const auto* unsubscribe = std::get_if<Unsubscribe>(&body)) {
        UnsubscribeResult again;
        again.codes.assign(unsubscribe->filters.size(), mqtt::ReasonCode::Success);
        result = std::move(again);
    } else if (const auto* ack = std::get_if<Ack>(&body)) {
        AckResult again;
        const Session* session = sessions_.find(ack->session);
        if (session != nullptr && session->durable) {
            again.first_unacked = session->durable->queue.first_unacked();
            again.next = session->durable->queue.next();
        }
        result = again;
    } else if (const auto* put = std::get_if<OutboxPut>(&body)) {
        // Its PUBREL comes after its answer: until then the identifier says that it was taken.
        const Session* session = attached_session(put->session, put->epoch);
        if (session == nullptr) return;
        OutboxPutResult again;
        again.already_received =
            std::ranges::binary_search(session->durable->received, put->packet_id.value());
        if (!again.already_received) again.code = mqtt::ReasonCode::QuotaExceeded;
        result = again;
    } else if (std::holds_alternative<Release>(body)) {
        result = ReleaseResult{true};
    } else if (std::holds_alternative<Enqueue>(body)) {
        result = EnqueueResult{};
    } else if (std::holds_alternative<EnqueueGroup>(body)) {
        EnqueueGroupResult again;
        again.repeat = true;
        result = again;
    } else if (const auto* replay = std::get_if<Replay>(&body)) {
        ReplayResult again;
        const Session* session = sessions_.find(replay->session);
        if (session != nullptr && session->durable) {
            const auto left = session->durable->replays.find(replay->filter);
            const bool same =
                left != session->durable->replays.end() && left->second.id == replay->id;
            if (same) again.left = left->second;
        }
        result = std::move(again);
    } else if (std::holds_alternative<Retain>(body)) {
        result = RetainResult{};
    } else if (const auto* route = std::get_if<Route>(&body)) {
        RouteResult again;
        const auto group = shared_group_of(route->filter);
        if (group && !route->remove) {
            again.wait_for =
                subscriptions_.route({std::string(route->filter), SessionId()}).wait_for();
        }
        result = again;
    }
    answer(AnswerCode::Duplicate, std::move(result));
}

void ShardState::Impl::duplicate_attach(const Attach& body) {
    const Session* session = sessions_.find(body.client_id);
    AttachResult result;
    result.connection = body.connection;
    result.code = mqtt::ReasonCode::SessionTakenOver;
    if (session != nullptr && session->waiting && session->waiting->connection == body.connection &&
        session->waiting->token == header_->token) {
        return;  // it still waits: its answer comes
    }
    if (session != nullptr && session->identity != body.identity) {
        result.code = mqtt::ReasonCode::NotAuthorized;
    } else if (session != nullptr && session->attached() &&
               session->attachment->connection == body.connection &&
               session->attachment->token == header_->token) {
        result.code = mqtt::ReasonCode::Success;
        result.session_present = session->attachment->session_present;
        describe(*session, result);
    }
    answer(AnswerCode::Duplicate, result);
}

void ShardState::Impl::describe(const Session& session, AttachResult& result) {
    result.session = session.id;
    result.epoch = session.epoch;
    result.durable = session.durable != nullptr;
    if (!session.durable) return;
    const DurableState& durable = *session.durable;
    result.first_unacked = durable.queue.first_unacked();
    result.next = durable.queue.next();
    result.mark = durable.queue.mark();
    result.subscriptions = static_cast<uint32_t>(durable.subscriptions.size());
    for (const auto& [filter, replay] : durable.replays) {
        // What this connection has asked for itself is told by SubscribeResult.
        if (replay.id.epoch != session.epoch) result.replays.push_back({filter, replay});
    }
}

void ShardState::Impl::duplicate_subscribe(const Subscribe& body) {
    Session* session = attached_session(body.session, body.epoch);
    if (session == nullptr) return;
    SubscribeResult result;
    for (const SubscriptionRequest& request : body.requests) {
        RequestedSubscription again;
        const auto found = session->durable->subscriptions.find(request.filter);
        if (found == session->durable->subscriptions.end()) {
            again.code = mqtt::ReasonCode::UnspecifiedError;
        } else {
            again.code = static_cast<mqtt::ReasonCode>(found->second.qos);
            again.shared = found->second.share != 0;
            if (again.shared) again.member = session->id;
            again.wait_for =
                subscriptions_.route({std::string(request.filter), again.member}).wait_for();
            const auto owed = session->durable->replays.find(request.filter);
            const ReplayId asked{body.epoch, header_->number};
            if (owed != session->durable->replays.end() && owed->second.id == asked) {
                again.replay = asked;
            }
        }
        result.filters.push_back(again);
    }
    answer(AnswerCode::Duplicate, std::move(result));
}

void ShardState::Impl::on(const Void& body) {
    answer(body.refused ? AnswerCode::LimitExceeded : AnswerCode::Applied);
}

void ShardState::Impl::end_entry(storage::StateBatch& batch) {
    sessions_.end_entry(batch);
    outbox_.end_entry(batch);
    repeats_.end_entry(batch);
    groups_.end_entry(batch);
    producers_.end_entry(batch);
    bodies_.end_entry(batch);
    batch.put_with(StateKey(Family::Shard).view(), [this](RecordWriter& out) {
        out.u8(kVersion);
        out.id(now_);
        out.id(sessions_.next_id());
        out.id(bodies_.next());
        out.id(subscriptions_.last_serial());
        out.id(outbox_.generation());
        out.u64(groups_.next_id());
    });
}

std::optional<ClusterTime> ShardState::Impl::next_deadline() const {
    const auto timer = timers_.next();
    const auto retained = retained_.next_expiry();
    if (!timer) return retained;
    if (!retained) return timer;
    return *timer < *retained ? timer : retained;
}

// Start.

Status ShardState::Impl::load_header(const storage::StateStore& store) {
    std::string value;
    const StateKey key(Family::Shard);
    const Result<bool> found = store.get(key.view(), value);
    if (!found.ok()) return found.error();
    if (!*found) return {};
    RecordReader in(value);
    const uint8_t version = in.u8();
    now_ = in.id<ClusterTime>();
    sessions_.set_next_id(in.id<SessionId>());
    bodies_.set_next(in.id<BodyId>());
    subscriptions_.set_last_serial(in.id<RouteSerial>());
    outbox_.set_generation(in.id<Generation>());
    groups_.set_next_id(in.u64());
    if (in.finished() && version == kVersion) return {};
    return corrupt_record("shard", key.view());
}

Status ShardState::Impl::load_retain_streams(const storage::StateStore& store) {
    Status result;
    const Status scanned = store.scan(
        StateKey(Family::RetainStream).view(), family_end(Family::RetainStream),
        [&](std::string_view key, std::string_view value) {
            storage::KeyReader at(key);
            at.u8();
            RetainStream stream;
            stream.incarnation = Incarnation(at.u64());
            stream.loop = LoopId(at.u16());
            RecordReader in(value);
            const uint8_t version = in.u8();
            const uint64_t last = in.u64();
            if (at.failed() || !at.rest().empty() || !in.finished() || version != kVersion) {
                result = corrupt_record("retained stream", key);
                return false;
            }
            retain_streams_.emplace(stream, last);
            return true;
        });
    return scanned.ok() ? result : scanned;
}

void ShardState::Impl::count_after_load() {
    for (const Session* session : sessions_.ordered(SessionId(), sessions_.size())) {
        if (session->will_due_at.value() != 0) ++wills_pending_;
        if (!session->durable) continue;
        queued_messages_ += session->durable->queue.messages();
        queued_bytes_ += session->durable->queue.bytes();
        subscription_count_ += session->durable->subscriptions.size();
    }
}

Status ShardState::Impl::load(const storage::StateStore& store) {
    store_ = &store;
    Status status = load_header(store);
    if (status.ok()) status = producers_.load(store);
    if (status.ok()) status = bodies_.load(store);
    if (status.ok()) status = subscriptions_.load(store);
    if (status.ok()) status = sessions_.load(store, bodies_, subscriptions_, timers_);
    if (status.ok()) status = outbox_.load(store, bodies_);
    if (status.ok()) status = repeats_.load(store);
    if (status.ok()) status = groups_.load(store, bodies_, timers_);
    if (status.ok()) status = load_routes(store, routes_);
    if (status.ok()) status = retained_.load(store);
    if (status.ok()) status = load_retain_streams(store);
    if (status.ok()) status = bodies_.check_references();
    if (status.ok()) count_after_load();
    return status;
}

// Watching.

uint64_t ShardState::Impl::digest() const {
    std::string bytes;
    RecordWriter out(bytes);
    out.id(now_);
    out.id(bodies_.next());
    out.u64(bodies_.size());
    out.u64(producers_.digest());
    out.u64(sessions_.digest());
    out.u64(subscriptions_.digest());
    out.u64(outbox_.digest());
    out.u64(repeats_.digest());
    out.u64(groups_.digest());
    out.u64(retained_.digest());
    routes_.for_each([&out](std::string_view filter, const RouteEntry& route) {
        out.text(filter);
        route.destination.write(out);
        out.u8(static_cast<uint8_t>(route.best_qos));
        out.id(route.serial);
    });
    for (const auto& [stream, last] : retain_streams_) {
        out.id(stream.incarnation);
        out.id(stream.loop);
        out.u64(last);
    }
    const auto next = timers_.next();
    out.u64(next ? next->value() : 0);
    return hash64(bytes);
}

ShardCounts ShardState::Impl::counts() const {
    ShardCounts counts;
    counts.sessions = sessions_.size();
    counts.durable_sessions = sessions_.durable();
    counts.attached = sessions_.attached();
    counts.subscriptions = subscription_count_;
    counts.queued_messages = queued_messages_;
    counts.queued_bytes = queued_bytes_;
    counts.wills_pending = wills_pending_;
    counts.routes = routes_.size();
    counts.retained = retained_.size();
    counts.retained_bytes = retained_.bytes();
    counts.groups = groups_.all().size();
    counts.outbox = outbox_.size();
    counts.outbox_bytes = outbox_.bytes();
    counts.lanes = producers_.lanes();
    return counts;
}

// ShardState.

ShardState::ShardState(const Identity& identity, const ShardOptions& options)
    : impl_(std::make_unique<Impl>(identity, options)) {}
ShardState::~ShardState() = default;

Status ShardState::load(const storage::StateStore& store) {
    return impl_->load(store);
}
Status ShardState::apply(ClusterTime now, std::string_view command, storage::StateBatch& batch,
                         Actions& actions) {
    return impl_->apply(now, command, batch, actions);
}
void ShardState::end_entry(storage::StateBatch& batch) {
    impl_->end_entry(batch);
}
std::optional<ClusterTime> ShardState::next_deadline() const {
    return impl_->next_deadline();
}
ClusterTime ShardState::now() const {
    return impl_->now_;
}
const RouteTable& ShardState::routes() const {
    return impl_->routes_;
}
const ShardCounters& ShardState::counters() const {
    return impl_->counters_;
}
ShardCounts ShardState::counts() const {
    return impl_->counts();
}
uint64_t ShardState::digest() const {
    return impl_->digest();
}

}  // namespace quorate::cluster
