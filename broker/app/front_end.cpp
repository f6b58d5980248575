// Long, because it carries out three interfaces (LoopHooks, ConnectionHandler, LoopSink) whose
// calls share the clients of one loop. What bounds these clients is in front_end_limits.cpp.
#include "broker/app/front_end.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "broker/app/front_end_metrics.h"
#include "proto/base/assert.h"
#include "proto/base/hash.h"

namespace quorate::broker {
namespace {

// Tasks of the broker's thread that wait for this loop: a handful at any time.
constexpr std::size_t kTasksMax = 1024;

// The channel keeps one number for a message of a shared group: the leader's ticket, which has 48
// bits, and the leader's shard.
constexpr uint32_t kShardBits = 16;
constexpr uint64_t kShardMask = (1U << kShardBits) - 1;

uint64_t shared_ticket(const cluster::SharedDelivery& delivery) {
    ASSERT(delivery.shard.value() <= kShardMask && delivery.ticket >> (64 - kShardBits) == 0,
           "a shard and a leader's ticket fit into one number");
    return (delivery.ticket << kShardBits) | delivery.shard.value();
}

LoopTime loop_time(std::chrono::nanoseconds time) {
    return std::chrono::duration_cast<LoopTime>(time);
}

}  // namespace

FrontEnd::FrontEnd(EventLoop& loop, const FrontEndOptions& options, NodeStatus& status,
                   MetricsShard& metrics, const Log& log, uint64_t seed)
    : loop_(loop),
      options_(options),
      status_(status),
      metrics_(metrics),
      log_(log),
      wheel_(loop_time(loop.now())),
      id_seed_(seed),
      now_(loop_time(loop.now())),
      tasks_(kTasksMax, [&loop] { loop.wakeup(); }) {
    reconfigure(options);
}

FrontEnd::~FrontEnd() = default;

void FrontEnd::set_port(std::unique_ptr<cluster::LoopPort> port) {
    port_ = std::move(port);
    publishes_ = std::make_unique<PublishDesk>(*this, *port_, local_);
    sessions_ = std::make_unique<SessionDesk>(*this, *port_);
    retained_ = std::make_unique<RetainedDesk>(*this, *port_, options_.subscriptions.scans_max);
    subscriptions_ = std::make_unique<SubscriptionDesk>(*this, *port_, local_, *retained_,
                                                        options_.subscriptions);
}

void FrontEnd::add_listener(std::unique_ptr<Listener> listener) {
    listeners_.push_back(std::move(listener));
}

std::byte* FrontEnd::scratch(std::size_t size) {
    if (scratch_.size() < size) scratch_.resize(size);
    return scratch_.data();
}

std::string FrontEnd::make_client_id() {
    return fmt::format("auto-{:x}-{:x}-{:016x}", port_->incarnation().value(),
                       port_->loop().value(), hash64(fmt::format("{}", next_id_++), id_seed_));
}

PublishVerdict FrontEnd::publish(Client& client, const InboundPublish& publish) {
    // The broker's own statistics are not for clients to write.
    if (publish.message.topic.starts_with("$SYS/")) {
        return {PublishVerdict::Kind::Done, mqtt::ReasonCode::NotAuthorized};
    }
    if (publish.message.retain && publish.message.payload.size() > options_.retained_bytes_max) {
        metrics_.add<Metric::Throttled>(LimitLabel::Retained);
        return {PublishVerdict::Kind::Done, mqtt::ReasonCode::QuotaExceeded};
    }
    if (memory_is_short(client) || !take_rate(client, publish.message.payload.size())) {
        return {PublishVerdict::Kind::Busy, {}};
    }
    InboundPublish stamped = publish;
    stamped.message.publisher = client.publisher();
    limit_expiry(stamped.message);
    const bool outbox = publish.message.qos == mqtt::QoS::ExactlyOnce && client.durable_;
    const PublishVerdict verdict =
        outbox ? sessions_->publish_qos2(client, stamped) : publishes_->publish(client, stamped);
    if (verdict.kind == PublishVerdict::Kind::Busy && !client.busy_) {
        client.busy_ = true;
        busy_.push_back({client.slot(), client.generation()});
        metrics_.add<Metric::Throttled>(LimitLabel::PublishCredit);
    }
    if (verdict.kind == PublishVerdict::Kind::Done) note_ack(publish.message.qos, now_);
    return verdict;
}

void FrontEnd::on_open(Connection& connection) {
    uint32_t slot = 0;
    if (free_slots_.empty()) {
        slot = static_cast<uint32_t>(clients_.size());
        clients_.emplace_back();
    } else {
        slot = free_slots_.back();
        free_slots_.pop_back();
    }
    clients_[slot] = std::make_unique<Client>(*this, connection, slot, next_generation_++, now_);
    Client& client = *clients_[slot];
    connection.set_user(&client);
    connection.set_slot(slot);
    ++client_count_;
    metrics_.add<Metric::Sockets>(transport_label(connection.kind()));
    if (status_.draining.load(std::memory_order_relaxed) || !enter_unauthenticated(client)) {
        connection.abort();
        return;
    }
    watch_deadline(client);
}

std::size_t FrontEnd::on_bytes(Connection& connection, ByteView bytes) {
    auto& client = *static_cast<Client*>(connection.user());
    const std::size_t consumed = client.channel().on_bytes(now_, bytes);
    if (client.counted_unauthenticated_) [[unlikely]] {
        hold_unauthenticated(client, bytes.size() - consumed);
    }
    client.weigh_input(bytes);
    after_event(client);
    return consumed;
}

void FrontEnd::after_event(Client& client) {
    Connection* connection = client.connection();
    if (connection != nullptr && !connection->closing()) {
        const bool wants = client.channel().wants_read();
        if (!wants && !connection->reading_paused()) {
            connection->pause_reading();
        } else if (wants && connection->reading_paused()) {
            connection->resume_reading();
        } else if (wants && client.channel().ready_for_bytes()) {
            present_again(*connection);
        }
    }
    if (client.replay_waits_) retained_->on_room(client);
    forget_if_over(client);
}

void FrontEnd::present_again(Connection& connection) {
    connection.pause_reading();
    connection.resume_reading();
}

void FrontEnd::close(Client& client, const CloseCause& cause) {
    client.closed_ = true;
    log_end(client, cause);
    // A client that said good-bye may rely on it once the connection is closed: not before its
    // session's shard has committed it (G6).
    const bool good_bye = cause.kind == CloseKind::ClientDisconnect ||
                          cause.kind == CloseKind::ClientDisconnectWithWill;
    if (good_bye && (client.attached_ || client.detaching_)) {
        client.close_when_detached_ = true;
        return;
    }
    if (Connection* connection = client.connection()) connection->close_after_flush();
}

void FrontEnd::log_end(Client& client, const CloseCause& cause) {
    metrics_.add<Metric::Disconnects>(disconnect_reason(cause));
    count_protocol_error(metrics_, cause);
    if (cause.kind == CloseKind::ConnectRefused) {
        metrics_.add<Metric::Connects>(connect_result(cause.reason));
    } else if (cause.kind == CloseKind::ConnectTimeout) {
        metrics_.add<Metric::Connects>(ConnectResult::Timeout);
    } else if (cause.kind == CloseKind::KeepAliveTimeout) {
        metrics_.add<Metric::KeepAliveTimeouts>();
    } else if (cause.kind == CloseKind::TakenOver) {
        metrics_.add<Metric::SessionTakeovers>(ScopeLabel::Local);
    }
    const bool usual = cause.kind == CloseKind::ClientDisconnect ||
                       cause.kind == CloseKind::ClientDisconnectWithWill ||
                       cause.kind == CloseKind::TransportClosed ||
                       cause.kind == CloseKind::TakenOver ||
                       cause.kind == CloseKind::ServerDisconnect;
    const Connection* connection = client.connection();
    const std::string peer = connection != nullptr ? connection->peer().text() : std::string();
    const auto code = static_cast<unsigned>(mqtt::number(cause.reason));
    if (usual) {
        log_.debug("connection ended", {{"client", client.channel().client_id()},
                                        {"peer", peer},
                                        {"reason_code", code},
                                        {"cause", cause.text}});
    } else {
        log_.warn("connection closed: the client broke a rule or a limit",
                  {{"client", client.channel().client_id()},
                   {"peer", peer},
                   {"reason_code", code},
                   {"cause", cause.text}});
    }
}

void FrontEnd::attached(Client& client, mqtt::ReasonCode reason) {
    if (reason == mqtt::ReasonCode::QuotaExceeded) {
        metrics_.add<Metric::Throttled>(LimitLabel::Sessions);
    }
    if (mqtt::is_failure(reason)) return;
    leave_unauthenticated(client);
    metrics_.add<Metric::Connects>(ConnectResult::Accepted);
    metrics_.observe<Metric::ConnectDuration>(std::chrono::nanoseconds(now_ - client.opened_at_));
    client.counted_version_ = client.channel().version();
    metrics_.add<Metric::Connections>(protocol_label(client.channel().version()));
    client.counted_connected_ = true;
    watch_deadline(client);
}

void FrontEnd::refuse_attach(Client& client, mqtt::ReasonCode reason) {
    AttachOutcome outcome;
    outcome.reason = reason;
    if (client.attach_pending_) client.detach_when_attached_ = DetachHow::Lost;
    client.channel().on_attached(now_, outcome);
    after_event(client);
}

void FrontEnd::detached(Client& client) {
    client.detaching_ = false;
    Connection* connection = client.connection();
    if (client.close_when_detached_ && connection != nullptr) connection->close_after_flush();
    forget_if_over(client);
}

void FrontEnd::watch_deadline(Client& client) {
    if (const auto deadline = client.channel().deadline()) {
        wheel_.put({client.slot(), client.generation()}, *deadline);
    }
}

void FrontEnd::forget_if_over(Client& client) {
    if (client.connection() != nullptr || client.attach_pending_ || client.attached_) return;
    if (client.channel().state() != Channel::State::Closed) return;
    const uint32_t slot = client.slot();
    if (clients_[slot].get() != &client) return;
    over_.push_back(std::move(clients_[slot]));
    free_slots_.push_back(slot);
    --client_count_;
}

void FrontEnd::on_writable(Connection& connection) {
    auto& client = *static_cast<Client*>(connection.user());
    client.channel().on_output_drained(now_);
    after_event(client);
}

void FrontEnd::on_secured(Connection&, std::chrono::nanoseconds took) {
    metrics_.observe<Metric::TlsHandshake>(took);
}

void FrontEnd::on_write_stalled(Connection& connection) {
    auto& client = *static_cast<Client*>(connection.user());
    metrics_.add<Metric::Disconnects>(DisconnectReason::SlowReader);
    log_.warn("connection closed: the client takes nothing for too long",
              {{"client", client.channel().client_id()},
               {"peer", connection.peer().text()},
               {"waiting_bytes", connection.pending_output()}});
    connection.abort(EndCause::WriteStalled);
}

void FrontEnd::on_closed(Connection& connection, EndCause cause) {
    auto& client = *static_cast<Client*>(connection.user());
    metrics_.sub<Metric::Sockets>(transport_label(connection.kind()));
    leave_unauthenticated(client);
    if (client.counted_connected_) {
        client.counted_connected_ = false;
        metrics_.sub<Metric::Connections>(protocol_label(client.counted_version_));
    }
    count_end(metrics_, cause, connection);
    const std::string detail = connection.close_detail();
    if (!detail.empty()) {
        log_.warn(
            "connection ended by its transport",
            {{"peer", connection.peer().text()}, {"cause", to_string(cause)}, {"detail", detail}});
    }
    client.channel().on_transport_closed(now_);
    client.connection_gone();
    forget_if_over(client);
}

void FrontEnd::on_shared(const cluster::SharedDelivery& delivery) {
    Client* found = client(delivery.connection.slot);
    const bool there = found != nullptr && found->generation() == delivery.connection.generation &&
                       found->channel().state() == Channel::State::Connected;
    // G3: its UNSUBSCRIBE may have overtaken the message.
    const bool member = there && found->extras_ != nullptr &&
                        std::ranges::any_of(found->extras_->memberships, [&](const auto& of) {
                            return of.group_hash == delivery.group_hash;
                        });
    if (!member) {
        port_->shared_ack({delivery.shard, delivery.ticket, cluster::SharedAck::Kind::Unsent, {}});
        return;
    }
    const auto message = mqtt::decode_message(delivery.message.text());
    ASSERT(message.has_value(), "a message of this process is well formed");
    const bool answered = delivery.qos != mqtt::QoS::AtMostOnce;
    if (answered && !found->durable_ &&
        (found->channel().credit() == 0 || found->channel().queued_messages() > 0)) {
        // Its window is full: another member shall have it.
        port_->shared_ack({delivery.shard, delivery.ticket, cluster::SharedAck::Kind::NoRoom, {}});
        no_room_.push_back({{found->slot(), found->generation()}, delivery.shard});
        return;
    }
    const uint64_t ticket = shared_ticket(delivery);
    Offer offer;
    offer.message = &*message;
    offer.qos = delivery.qos;
    offer.retain = false;
    offer.shared = &delivery.message;
    offer.shared_ticket = answered ? ticket : 0;
    const uint32_t subscription_id = found->shared_subscription_id(delivery.group_hash);
    if (subscription_id != 0) offer.subscription_ids = {&subscription_id, 1};
    const OfferResult result = found->channel().offer(now_, offer);
    if (answered && result == OfferResult::Dropped) shared_settled(ticket, AckKind::Dropped);
}

void FrontEnd::shared_settled(uint64_t ticket, AckKind kind) {
    if (kind == AckKind::Pubrec) return;
    cluster::SharedAck ack{ShardId(static_cast<uint32_t>(ticket & kShardMask)),
                           ticket >> kShardBits,
                           cluster::SharedAck::Kind::Settled,
                           {}};
    if (kind == AckKind::Unsent) ack.kind = cluster::SharedAck::Kind::Unsent;
    if (kind == AckKind::UnackedQos1) ack.kind = cluster::SharedAck::Kind::UnackedQos1;
    if (kind == AckKind::UnackedQos2) ack.kind = cluster::SharedAck::Kind::UnackedQos2;
    port_->shared_ack(ack);
}

void FrontEnd::disconnect_all(mqtt::ReasonCode reason, const char* text) {
    for (const auto& client : clients_) {
        if (client != nullptr) client->channel().disconnect(reason, text);
    }
}

void FrontEnd::stop_listening() {
    for (auto& listener : listeners_)
        listener->stop();
}

void FrontEnd::on_wakeup() {
    now_ = loop_time(loop_.now());
    tasks_.take(taken_tasks_);
    for (Task& task : taken_tasks_)
        task();
    taken_tasks_.clear();
}

void FrontEnd::on_mail() {
    now_ = loop_time(loop_.now());
    port_->receive();
}

void FrontEnd::post(Task task) {
    tasks_.push_reserved(std::move(task));
}

void FrontEnd::before_poll() {
    end_turn();
}

void FrontEnd::after_poll() {
    end_turn();
}

void FrontEnd::end_turn() {
    sessions_->end_turn();
    port_->flush();
    over_.clear();
    if (scratch_.size() > kScratchKept) std::vector<std::byte>().swap(scratch_);
    now_ = loop_time(loop_.now());
}

void FrontEnd::on_tick(std::chrono::nanoseconds now) {
    now_ = loop_time(now);
    wheel_.advance(now_, [this](const TimeWheel::Entry& entry) {
        Client* found = client(entry.slot);
        if (found == nullptr || found->generation() != entry.generation) return;
        const auto deadline = found->channel().deadline();
        if (deadline && *deadline <= now_) found->channel().tick(now_);
        watch_deadline(*found);
        after_event(*found);
    });
    if (!over_rate_.empty()) options_.publish_rate_ends ? end_over_rate() : resume_busy(over_rate_);
    if (!over_memory_.empty() && !overloaded(1)) resume_busy(over_memory_);
    tell_room();
    // Leaders move and time runs out without a parcel for this loop.
    const bool among_others = port_->owner_distributes();
    if (among_others) port_->receive();
    if (now_ - last_sweep_ < LoopTime(1000)) return;
    last_sweep_ = now_;
    publishes_->sweep(now_, options_.publish_timeout);
    // Alone, an answer comes as soon as the disk lets it; among others it may never come.
    sessions_->sweep(now_, among_others ? options_.publish_timeout : options_.attach_timeout);
    if (among_others) subscriptions_->sweep(now_, options_.publish_timeout);
    retained_->sweep();
    update_metrics();
}

void FrontEnd::on_publishes(const cluster::PublishBatch& batch) {
    publishes_->on_publishes(batch);
}

void FrontEnd::on_taken(const cluster::TakenBatch& batch) {
    publishes_->on_taken(batch);
}

void FrontEnd::on_answer(uint64_t token, const cluster::Answer& answer) {
    if (!sessions_->on_answer(token, answer)) subscriptions_->on_answer(token, answer);
}

void FrontEnd::on_deliveries(const cluster::DeliveryBatch& batch) {
    sessions_->on_deliveries(batch);
}

void FrontEnd::on_let_go(const cluster::LetGoRequest& request) {
    sessions_->on_let_go(request);
}

void FrontEnd::on_shown(uint64_t token) {
    subscriptions_->on_shown(token);
}

void FrontEnd::go_on_replaying(Client& client, const std::vector<cluster::OwedReplay>& owed) {
    for (const cluster::OwedReplay& replay : owed)
        retained_->go_on(client, replay.filter, replay.from);
}

void FrontEnd::on_retained(const cluster::RetainedPage& page) {
    retained_->on_page(page);
}

void FrontEnd::tell_room() {
    std::erase_if(no_room_, [this](const NoRoom& entry) {
        Client* found = client(entry.who.slot);
        if (found == nullptr || found->generation() != entry.who.generation) return true;
        if (found->channel().credit() == 0 || found->channel().queued_messages() > 0) return false;
        port_->shared_ack({entry.shard, 0, cluster::SharedAck::Kind::Room, found->ref()});
        return true;
    });
}

void FrontEnd::on_credit() {
    sessions_->on_credit();
    resume_busy(busy_);
}

void FrontEnd::on_moved(ShardId shard) {
    sessions_->on_moved(shard);
    retained_->on_moved(shard);
}

void FrontEnd::update_metrics() {
    report_channel_counters(metrics_, context_.counters, reported_);
    const uint64_t unmatched = publishes_->unmatched();
    metrics_.add<Metric::PublishUnmatched>(unmatched -
                                           std::exchange(reported_unmatched_, unmatched));
    metrics_.add<Metric::RetainedLookups>(retained_->take_begun());
    metrics_.add<Metric::Throttled>(LimitLabel::RetainedScans, retained_->take_delayed());
    metrics_.set<Metric::Inflight>(DirectionLabel::In, publishes_->waiting() + sessions_->puts());
    metrics_.set<Metric::Inflight>(DirectionLabel::Out, context_.counters.in_flight);
    report_net_counters(metrics_, loop_.connections().counters(), reported_net_);
    metrics_.set<Metric::OutputBuffered>(loop_.connections().waiting_output());
    const LoopTimes times = loop_.take_times();
    metrics_.observe<Metric::EventLoopDelay>(times.longest_turn);
    metrics_.add<Metric::EventLoopBusy>(
        static_cast<uint64_t>((times.busy - std::exchange(reported_busy_, times.busy)).count()));
}

}  // namespace quorate::broker
