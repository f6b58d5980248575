// Long, because every kind of Action of the state machine is carried out here.
#include "cluster/router/leader/shard_runner.h"

#include <algorithm>
#include <utility>

#include "cluster/group/group_ids.h"
#include "proto/base/assert.h"

namespace quorate::cluster {
namespace {

// A timer fires this much after the deadline, so that the leader's clock is past it for certain.
constexpr std::chrono::milliseconds kTimerSlack{1};
constexpr uint64_t kRetainedPageBytes = 256U << 10;
constexpr uint32_t kRetainedSteps = 256;  // topics looked at for one page of this shard

bool waits(const CommandResult& result) {
    if (const auto* subscribe = std::get_if<SubscribeResult>(&result)) {
        return std::ranges::any_of(subscribe->filters, [](const RequestedSubscription& filter) {
            return filter.wait_for.value() != 0;
        });
    }
    const auto* route = std::get_if<RouteResult>(&result);
    return route != nullptr && route->wait_for.value() != 0;
}

}  // namespace

ShardRunner::ShardRunner(ShardId shard, const ShardOptions& options,
                         const SharedLeaderOptions& shared, WorkerRouter& router, const Log& log)
    : GroupRunnerBase(group_of(shard), router, log),
      shard_(shard),
      options_(options),
      routes_(shard, router),
      feed_(shard, router, log),
      let_gos_(shard, router),
      shared_(
          shard, router, shared,
          [this](const CommandBody& body, uint64_t token) { propose_own(body, token); },
          [this](const OutboxTarget& target, OutboxNumber number, HandedOver how) {
              (how == HandedOver::Taken ? done_ : back_)[target].push_back(number);
          }),
      kept_qos0_({options.kept_qos0_max, options.kept_qos0_bytes_max}) {}

ShardRunner::~ShardRunner() = default;

Status ShardRunner::load(storage::StateStore& store, LogIndex, ClusterTime) {
    // What a replica that stopped in the middle of a turn had not told yet.
    actions_.clear();
    waiting_.clear();
    changed_filters_.clear();
    state_ = std::make_unique<ShardState>(ShardState::Identity{shard_, router_.layout()}, options_);
    return state_->load(store);
}

void ShardRunner::unloaded() {
    set_group(nullptr);
    state_.reset();
    router_.retained_changed(shard_, std::exchange(retained_count_, 0), 0);
    router_.sessions_changed(-static_cast<int64_t>(std::exchange(session_count_, 0)));
}

Status ShardRunner::apply(const CommandEntry& entry, storage::StateBatch& batch) {
    CommandReader reader = entry.commands;
    while (const auto command = reader.next()) {
        const std::size_t first = actions_.answers.size();
        if (Status status = state_->apply(entry.time, *command, batch, actions_); !status.ok()) {
            return status;
        }
        note_route_changes(*command, first);
        note_waiting_answers(*command, first);
    }
    state_->end_entry(batch);
    if (!reader.finished()) return Error{ErrorCode::Corrupt, "entry with damaged commands"};
    return {};
}

void ShardRunner::note_route_changes(std::string_view command, std::size_t first) {
    for (std::size_t at = first; at < actions_.answers.size(); ++at) {
        if (!std::holds_alternative<RouteResult>(actions_.answers[at].result)) continue;
        const auto decoded = decode_command(command);
        ASSERT(decoded.ok(), "an applied command can be decoded");
        const auto* route = std::get_if<Route>(&decoded->body);
        if (route == nullptr) continue;
        if (const auto group = shared_group_of(route->filter)) {
            shared_.touch(*group);
        } else {
            changed_filters_.emplace_back(route->filter);
        }
    }
}

void ShardRunner::note_waiting_answers(std::string_view command, std::size_t first) {
    for (std::size_t at = first; at < actions_.answers.size(); ++at) {
        const CommandResult& result = actions_.answers[at].result;
        if (!waits(result)) continue;
        const auto decoded = decode_command(command);
        ASSERT(decoded.ok(), "an applied command can be decoded");
        std::vector<std::pair<RouteName, RouteSerial>> keys;
        if (const auto* subscribe = std::get_if<Subscribe>(&decoded->body)) {
            const auto& filters = std::get<SubscribeResult>(result).filters;
            for (std::size_t i = 0; i < filters.size(); ++i) {
                if (filters[i].wait_for.value() == 0) continue;
                keys.push_back({{std::string(subscribe->requests[i].filter), filters[i].member},
                                filters[i].wait_for});
            }
        } else if (const auto* route = std::get_if<Route>(&decoded->body)) {
            keys.push_back({{std::string(route->filter), SessionId()},
                            std::get<RouteResult>(result).wait_for});
        }
        waiting_[at] = std::move(keys);
    }
}

void ShardRunner::applied(LogIndex) {
    if (leading()) {
        send_answers();
        for (const LetGo& request : actions_.let_go)
            let_gos_.ask(request);
        for (const SessionId session : actions_.new_messages)
            feed_.touch(session);
        for (const LiveCopy& copy : actions_.live)
            send_live(copy);
        for (const SessionId session : actions_.presence)
            tell_presence(session);
        for (const SessionEnded& ended : actions_.ended) {
            feed_.ended(ended.session);
            kept_qos0_.ended(ended.session);
        }
        routes_dirty_ = routes_dirty_ || actions_.routes_wanted;
        if (actions_.outbox_ready) {
            outbox_dirty_ = true;
            shared_.outbox_moved();
        }
        for (const std::string& group : actions_.group_messages)
            shared_.touch(group);
        if (actions_.work_left) {
            propose_own(Tick{});
            owe_node_downs();
        }
        schedule();
    }
    if (actions_.retained_changed) count_retained();
    count_sessions();
    actions_.clear();
    waiting_.clear();
    changed_filters_.clear();
}

void ShardRunner::send_live(const LiveCopy& copy) {
    const SharedBytes& flat = actions_.messages[copy.message];
    const bool away = copy.connection.incarnation == Incarnation();
    if (away || kept_qos0_.holds(copy.session)) {
        const auto message = mqtt::decode_message(flat.text());
        ASSERT(message.has_value(), "a message of this process is well formed");
        keep_qos0(copy.session, flat, copy.retain, copy.subscription_ids,
                  message->message_expiry_s);
        return;
    }
    if (!router_.reachable(copy.connection.incarnation)) return;
    if (!router_.outbound().admit(copy.connection, flat.size())) return;
    DeliveryView delivery;
    delivery.connection = copy.connection;
    delivery.session = copy.session;
    delivery.epoch = copy.epoch;
    delivery.retain = copy.retain;
    delivery.subscription_ids = copy.subscription_ids;
    router_.outbound().at(copy.connection).deliveries.add_flat(delivery, flat.text());
}

void ShardRunner::keep_qos0(SessionId session, const SharedBytes& flat, bool retain,
                            std::span<const uint32_t> subscription_ids,
                            std::optional<uint32_t> expiry_s) {
    KeptQos0::Message message;
    message.flat = flat;
    message.retain = retain;
    message.subscription_ids.assign(subscription_ids.begin(), subscription_ids.end());
    if (expiry_s) {
        message.expires_at = ClusterTime(group_->time().value() + uint64_t{*expiry_s} * 1000);
    }
    kept_qos0_.keep(session, std::move(message));
}

// The client of a session is back and takes messages: what was kept for it goes out first.
void ShardRunner::send_kept(const Want& want) {
    const auto session = state_->session(want.session);
    if (!session || !session->connection || session->epoch != want.epoch) return;
    if (!router_.reachable(session->connection->incarnation)) return;
    const uint64_t now = group_->time().value();
    DeliveryView delivery;
    delivery.connection = *session->connection;
    delivery.session = want.session;
    delivery.epoch = want.epoch;
    for (const KeptQos0::Message& kept : kept_qos0_.take(want.session)) {
        const uint64_t expires_at = kept.expires_at.value();
        if (expires_at != 0 && expires_at <= now) {
            kept_qos0_.count_expired();
            continue;
        }
        const auto message = mqtt::decode_message(kept.flat.text());
        ASSERT(message.has_value(), "a message of this process is well formed");
        delivery.message = *message;
        if (expires_at != 0) {
            delivery.message.message_expiry_s =
                static_cast<uint32_t>((expires_at - now + 999) / 1000);
        }
        delivery.retain = kept.retain;
        delivery.subscription_ids = kept.subscription_ids;
        router_.outbound().at(delivery.connection).deliveries.add(delivery);
    }
}

void ShardRunner::count_retained() {
    const uint64_t now = state_->counts().retained;
    router_.retained_changed(shard_, retained_count_, now);
    retained_count_ = now;
}

void ShardRunner::count_sessions() {
    const uint64_t now = state_->session_count();
    if (now == session_count_) return;
    router_.sessions_changed(static_cast<int64_t>(now) - static_cast<int64_t>(session_count_));
    session_count_ = now;
}

void ShardRunner::send_answers() {
    std::vector<GroupAnswer> ready;
    std::vector<GroupAnswer> when_shown;
    for (std::size_t at = 0; at < actions_.answers.size(); ++at) {
        Answer& answer = actions_.answers[at];
        if (std::holds_alternative<AckResult>(answer.result)) feed_.windows_moved();
        const bool own = answer.lane.lane_class == LaneClass::Leader &&
                         answer.lane.incarnation == router_.incarnation();
        if (own && answer.token != 0) shared_.on_pick(answer.token, answer.code);
        const auto waiting = waiting_.find(at);
        if (waiting != waiting_.end()) {
            routes_.wait({group_id(), std::move(answer)}, waiting->second);
        } else if (std::holds_alternative<RouteResult>(answer.result)) {
            when_shown.push_back({group_id(), std::move(answer)});
        } else {
            router_.route_answer({group_id(), std::move(answer)});
        }
    }
    // After the answers have begun to wait: what they wait for may be made in this very turn.
    for (const RouteMade& made : actions_.made)
        routes_.made(made, ready);
    for (GroupAnswer& answer : ready)
        router_.route_answer(std::move(answer));
    if (changed_filters_.empty() && when_shown.empty()) return;
    std::vector<DirectoryOp> ops;
    for (const std::string& filter : changed_filters_) {
        ops.push_back(directory_op(filter, state_->routes().routes_of(filter)));
    }
    show(std::move(ops), std::move(when_shown));
}

std::vector<DirectoryOp> ShardRunner::table_ops() const {
    return all_directory_ops(state_->routes());
}

void ShardRunner::begin_leading() {
    count_retained();
    count_sessions();
    routes_.start(term());
    routes_dirty_ = true;
    outbox_dirty_ = true;
    show_all();
    std::vector<LetGo> requests;
    state_->let_gos(requests);
    for (const LetGo& request : requests)
        let_gos_.ask(request);
    owe_node_downs();
    for (const std::string& group : state_->groups())
        shared_.restore(group, *state_);
    schedule();
}

void ShardRunner::end_leading() {
    if (router_.nodes() != nullptr && state_ != nullptr) hide_all();
    routes_.stop();
    feed_.clear();
    kept_qos0_.clear();
    let_gos_.clear();
    shared_.clear();
    handed_over_.clear();
    done_.clear();
    back_.clear();
    session_hand_overs_.clear();
    timer_at_.reset();
}

// What was handed over there and not answered may be lost.
void ShardRunner::moved(GroupId group) {
    const auto before = handed_over_.size();
    std::erase_if(handed_over_, [group](const auto& entry) {
        const OutboxTarget& target = entry.first;
        const bool by_parcel =
            target.kind == OutboxTargetKind::Topic || target.kind == OutboxTargetKind::Group;
        return by_parcel && group_of(target.shard) == group;
    });
    if (handed_over_.size() != before) outbox_dirty_ = true;
}

void ShardRunner::peers_changed() {
    if (leading()) owe_node_downs();
}

void ShardRunner::work() {
    if (Made made; routes_.take_made(made)) {
        propose_own(made);
        routes_dirty_ = true;  // the window has room again
    }
    if (routes_dirty_) {
        routes_dirty_ = false;
        routes_.drive(*state_);
    }
    if (outbox_dirty_) drive_outbox();
    if (!done_.empty() || !back_.empty()) {
        for (auto& [target, numbers] : done_)
            propose_own(OutboxDone{target, std::move(numbers)});
        for (auto& [target, numbers] : back_)
            propose_own(OutboxReturn{target, std::move(numbers)});
        done_.clear();
        back_.clear();
        outbox_dirty_ = true;  // its window has room again once that is applied
    }
    if (shared_.idle() && feed_.idle()) return;  // most shards in most turns: not even the time
    const ClusterTime now = group_->time();
    shared_.work(*state_, now);
    feed_.send(*state_, now, expired_);
    settle_expired();
}

void ShardRunner::settle_expired() {
    for (const SessionFeed::Expired& entry : expired_) {
        propose_own(Ack{entry.session, entry.epoch, {{entry.number, AckKind::Expired}}});
    }
    expired_.clear();
}

void ShardRunner::want(const Want& want) {
    if (!leading()) return;
    if (kept_qos0_.holds(want.session)) send_kept(want);
    feed_.want(want);
}

void ShardRunner::publish_live(const mqtt::MessageView& message) {
    if (!leading()) return;
    SharedBytes flat;  // made for the first session that is away
    state_->match(message.topic, message.publisher, [&](const MatchedSession& match) {
        if (match.away || kept_qos0_.holds(match.session)) {
            if (flat.empty()) {
                std::string bytes;
                mqtt::encode_message(bytes, message);
                flat = SharedBytes(as_bytes(bytes));
            }
            keep_qos0(match.session, flat, match.retain_as_published && message.retain,
                      match.subscription_ids, message.message_expiry_s);
            return;
        }
        if (!router_.reachable(match.connection.incarnation)) return;
        if (!router_.outbound().admit(match.connection, message.payload.size())) return;
        DeliveryView delivery;
        delivery.connection = match.connection;
        delivery.session = match.session;
        delivery.epoch = match.epoch;
        delivery.retain = match.retain_as_published && message.retain;
        delivery.message = message;
        delivery.subscription_ids = match.subscription_ids;
        router_.outbound().at(match.connection).deliveries.add(delivery);
    });
}

void ShardRunner::publish_group(const GroupPublish& publish) {
    if (leading()) shared_.publish(publish, *state_);
}

void ShardRunner::shared_ack(const SharedAck& ack) {
    if (leading()) shared_.ack(ack);
}

void ShardRunner::presence(const SharedPresence& presence) {
    if (leading()) shared_.presence(presence, *state_);
}

void ShardRunner::tell_presence(SessionId id) {
    const auto session = state_->session(id);
    if (!session) return;
    for (const SubscriptionView& subscription : state_->subscriptions(id)) {
        const auto group = shared_group_of(subscription.filter);
        if (!group) continue;
        const ShardId at = shard_of_group(*group, router_.layout());
        router_.outbound()
            .leader(group_of(at))
            .presence.push_back({at, std::string(*group), Destination::to_session(shard_, id),
                                 session->connection.has_value()});
    }
}

uint32_t ShardRunner::replay_room(SessionId session) const {
    return leading() ? state_->replay_room(session) : 0;
}

bool ShardRunner::retained(const RetainedQuery& query, uint32_t room, RetainedPage& page) {
    if (!leading()) return true;
    uint64_t bytes = 0;
    for (const SharedBytes& flat : page.messages)
        bytes += flat.size();
    const auto take = [&](const RetainedView& view) {
        std::string flat;
        mqtt::encode_message(flat, view.message);
        bytes += flat.size();
        page.messages.emplace_back(as_bytes(flat));
        return page.messages.size() < room && bytes < kRetainedPageBytes;
    };
    const auto next =
        state_->retained_scan(query.filter, query.at.after, kRetainedSteps, group_->time(), take);
    if (!next.ok()) {
        log_.error("retained messages cannot be read",
                   {{"shard", shard_.value()}, {"error", next.error().message}});
        return true;
    }
    if (!next->has_value()) return true;
    page.next = RetainedCursor{shard_, **next};
    return false;
}

bool ShardRunner::has_retained(std::string_view topic) const {
    const auto found = state_->retained_get(topic, group_->time(), [](const RetainedView&) {});
    return found.ok() && *found;
}

void ShardRunner::route_answered(uint32_t token) {
    if (leading()) routes_.answered(token);
}

void ShardRunner::hand_over_answered(uint32_t token) {
    const auto found = session_hand_overs_.find(token);
    if (found == session_hand_overs_.end()) return;
    done_[found->second.target].push_back(found->second.number);
    session_hand_overs_.erase(found);
}

void ShardRunner::group_answered(uint32_t token, const Answer& answer) {
    if (leading()) shared_.on_command(token, answer, *state_);
}

void ShardRunner::hand_over_done(const HandOverDone& done) {
    if (leading()) done_[done.target].push_back(done.number);
}

void ShardRunner::drive_outbox() {
    outbox_dirty_ = false;
    for (const OutboxTarget& target : state_->outbox_targets()) {
        auto found = handed_over_.find(target);
        if (found == handed_over_.end()) {
            found = handed_over_.emplace(target, HandingOver{++attempts_, {}, {}}).first;
        }
        HandingOver& to = found->second;
        const Status status =
            state_->outbox_window(target, to.read, options_.outbox_window, group_->time(),
                                  [&](const OutboxEntryView& entry) {
                                      to.read = entry.source.number;
                                      take_entry(target, entry, to);
                                  });
        if (!status.ok()) {
            log_.error("the outbox cannot be read",
                       {{"shard", shard_.value()}, {"error", status.error().message}});
        }
    }
}

void ShardRunner::take_entry(const OutboxTarget& target, const OutboxEntryView& entry,
                             HandingOver& to) {
    if (entry.expired) {
        done_[target].push_back(entry.source.number);
        return;
    }
    std::string flat;
    mqtt::encode_message(flat, entry.message);
    switch (target.kind) {
        case OutboxTargetKind::Topic: {
            HandOver item{entry.source, {},         SharedBytes(as_bytes(flat)),
                          term(),       to.attempt, to.sent};
            to.sent = entry.source.number;
            router_.outbound().leader(group_of(target.shard)).hand_overs.push_back(std::move(item));
            return;
        }
        case OutboxTargetKind::Group: {
            GroupPublish publish;
            publish.from = local_port(router_.outbound().self());
            publish.group = {target.shard, std::string(entry.group)};
            publish.message = SharedBytes(as_bytes(flat));
            publish.source = entry.source;
            publish.to_outbox = true;
            router_.outbound().leader(group_of(target.shard)).groups.push_back(std::move(publish));
            return;
        }
        case OutboxTargetKind::Session: {
            const uint32_t token = next_hand_over_++;
            session_hand_overs_[token] = {target, entry.source.number};
            const std::string filter = "$share/" + std::string(entry.group);
            Enqueue command;
            command.message = flat;
            command.source = entry.source;
            command.only = Restriction{{entry.member.session}, filter};
            const uint64_t rest = (static_cast<uint64_t>(shard_.value()) << 32) | token;
            router_.submit(group_of(target.shard), LaneClass::Publish,
                           lane_token(LaneUser::HandOver, rest), SourceFence{shard_, term()},
                           command);
            return;
        }
        case OutboxTargetKind::Node:
            shared_.send_picked(target, entry, SharedBytes(as_bytes(flat)));
            return;
        case OutboxTargetKind::Publisher:
            return;  // never in an outbox
    }
}

void ShardRunner::repeat_let_gos() {
    repeat_scheduled_ = false;
    if (leading()) let_gos_.repeat(*state_);
    schedule_repeat();
}

void ShardRunner::schedule_repeat() {
    if (let_gos_.empty() || repeat_scheduled_ || worker_ == nullptr) return;
    repeat_scheduled_ =
        worker_->call_later(LetGoDriver::kRepeat, [this] { repeat_let_gos(); }).ok();
}

void ShardRunner::owe_node_downs() {
    for (const Incarnation incarnation : state_->attached_incarnations()) {
        if (router_.ended(incarnation)) propose_own(NodeDown{incarnation});
    }
}

void ShardRunner::schedule() {
    schedule_repeat();
    const auto deadline = state_->next_deadline();
    if (deadline == timer_at_ || worker_ == nullptr) return;
    if (timer_at_) worker_->cancel(timer_);
    timer_at_.reset();
    if (!deadline) return;
    const uint64_t now = group_->time().value();
    const uint64_t wait_ms = deadline->value() > now ? deadline->value() - now : 0;
    const auto timer = worker_->call_later(std::chrono::milliseconds(wait_ms) + kTimerSlack,
                                           [this] { on_timer(); });
    if (!timer.ok()) {
        log_.error("too many timers", {{"shard", shard_.value()}});
        return;
    }
    timer_ = *timer;
    timer_at_ = deadline;
}

void ShardRunner::on_timer() {
    timer_at_.reset();
    if (!leading()) return;
    let_gos_.repeat(*state_);
    propose_own(Tick{});
}

}  // namespace quorate::cluster
