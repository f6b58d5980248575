#include "broker/app/desks/session_desk.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "broker/app/client.h"
#include "broker/app/front_end.h"
#include "proto/base/hash.h"

namespace quorate::broker {
namespace {

cluster::DetachHow detach_how(DetachHow how) {
    switch (how) {
        case DetachHow::Disconnected:
            return cluster::DetachHow::Normal;
        case DetachHow::DisconnectedWithWill:
            return cluster::DetachHow::WithWill;
        case DetachHow::Lost:
            return cluster::DetachHow::Lost;
        case DetachHow::LetGo:
            return cluster::DetachHow::TakenOver;
        case DetachHow::ServerClosed:
            return cluster::DetachHow::Lost;
    }
    return cluster::DetachHow::Lost;
}

cluster::AckKind ack_kind(AckKind kind) {
    switch (kind) {
        case AckKind::Puback:
            return cluster::AckKind::Puback;
        case AckKind::Pubrec:
            return cluster::AckKind::PubrecOk;
        case AckKind::Pubcomp:
            return cluster::AckKind::Pubcomp;
        case AckKind::Refused:
            return cluster::AckKind::PubrecError;
        case AckKind::TooLarge:
            return cluster::AckKind::TooLarge;
        case AckKind::Dropped:
            return cluster::AckKind::Expired;
        case AckKind::Unsent:
        case AckKind::UnackedQos1:
        case AckKind::UnackedQos2:
            return cluster::AckKind::Expired;  // of memory sessions only: never asked for here
    }
    return cluster::AckKind::Puback;
}

bool applied(cluster::AnswerCode code) {
    return code == cluster::AnswerCode::Applied || code == cluster::AnswerCode::Duplicate;
}

}  // namespace

uint64_t SessionDesk::begin(Client& client, decltype(Operation::kind) kind) {
    const uint64_t token = next_token_;
    next_token_ += 2;
    operations_[token] = {client.slot(), client.generation(), client.shard_, front_end_.now(),
                          std::move(kind)};
    return token;
}

Client* SessionDesk::of(const Operation& operation) {
    Client* client = front_end_.client(operation.client);
    return client != nullptr && client->generation() == operation.generation ? client : nullptr;
}

void SessionDesk::attach(Client& client, const AttachRequest& request) {
    if (request.will && request.will->message.topic.starts_with("$SYS/")) {
        refused_.push_back({{client.slot(), client.generation()}, mqtt::ReasonCode::NotAuthorized});
        return;
    }
    client.shard_ = shard_of(request.client_id, port_.layout().shards);
    client.publisher_ = hash64(request.client_id);
    cluster::Attach body;
    body.client_id = request.client_id;
    body.identity = request.identity;
    body.protocol_version = request.version;
    body.clean_start = request.clean_start;
    body.no_new = front_end_.sessions_full();
    body.session_expiry_s = request.session_expiry_seconds;
    body.receive_maximum = request.window;
    body.connection = client.ref();
    std::string will;
    if (request.will) {
        mqtt::MessageView message = request.will->message;
        message.publisher = client.publisher_;
        front_end_.limit_expiry(message);
        mqtt::encode_message(will, message);
        body.will = cluster::WillRequest{will, request.will->delay_seconds};
    }
    const uint64_t token = begin(client, Attaching{});
    if (!port_.command(client.shard_, token, body)) {
        operations_.erase(token);
        refused_.push_back({{client.slot(), client.generation()}, mqtt::ReasonCode::ServerBusy});
        return;
    }
    client.attach_pending_ = true;
}

void SessionDesk::attached(Client& client, const cluster::Answer& answer) {
    client.attach_pending_ = false;
    AttachOutcome outcome;
    const auto* result = std::get_if<cluster::AttachResult>(&answer.result);
    if (result == nullptr || !applied(answer.code)) {
        outcome.reason = answer.code == cluster::AnswerCode::LimitExceeded
                             ? mqtt::ReasonCode::QuotaExceeded
                             : mqtt::ReasonCode::ServerUnavailable;
    } else if (mqtt::is_failure(result->code)) {
        // CONNACK has no 0x8E (MQTT 5 §3.2.2.2): whoever was overtaken while it waited may try
        // again.
        outcome.reason = result->code == mqtt::ReasonCode::SessionTakenOver
                             ? mqtt::ReasonCode::ServerBusy
                             : result->code;
    } else {
        client.attached_ = true;
        client.durable_ = result->durable;
        client.session_ = result->session;
        client.epoch_ = result->epoch;
        outcome.session_present = result->session_present;
        outcome.durable = result->durable;
        outcome.first_unacked = result->first_unacked;
    }
    if (client.detach_when_attached_) {
        if (client.attached_) {
            detach(client, *client.detach_when_attached_, std::nullopt, MessageNumber());
        }
        client.detach_when_attached_.reset();
        front_end_.after_event(client);
        return;
    }
    client.channel().on_attached(front_end_.now(), outcome);
    front_end_.attached(client, outcome.reason);
    if (client.durable_ && client.attached_) {
        window_open(client);
        front_end_.go_on_replaying(client, result->replays);
    }
    front_end_.after_event(client);
}

void SessionDesk::detach(Client& client, DetachHow how, std::optional<uint32_t> new_expiry_seconds,
                         MessageNumber highest_written) {
    if (client.attach_pending_) {
        client.detach_when_attached_ = how;
        return;
    }
    if (!client.attached_) return;
    if (client.acks_staged_) send_acks(client);
    client.attached_ = false;
    client.detaching_ = true;
    cluster::Detached body;
    body.session = client.session_;
    body.epoch = client.epoch_;
    body.how = detach_how(how);
    body.new_expiry_s = new_expiry_seconds;
    body.highest_written = highest_written;
    send_or_defer(client.shard_, begin(client, Detaching{}), body);
}

template <typename Body>
void SessionDesk::send_or_defer(ShardId shard, uint64_t token, const Body& body) {
    if (!deferred_.contains(shard) && port_.command(shard, token, body)) return;
    deferred_[shard].push_back({token, body});
}

// One lane that stays full holds up nothing of other shards.
void SessionDesk::on_credit() {
    for (auto at = deferred_.begin(); at != deferred_.end();) {
        std::deque<Deferred>& waiting = at->second;
        while (!waiting.empty()) {
            const Deferred& next = waiting.front();
            const bool sent = std::visit(
                [&](const auto& body) { return port_.command(at->first, next.token, body); },
                next.body);
            if (!sent) break;
            waiting.pop_front();
        }
        at = waiting.empty() ? deferred_.erase(at) : std::next(at);
    }
}

PublishVerdict SessionDesk::publish_qos2(Client& client, const InboundPublish& publish) {
    std::string flat;
    mqtt::encode_message(flat, publish.message);
    cluster::OutboxPut body;
    body.session = client.session_;
    body.epoch = client.epoch_;
    body.packet_id = publish.packet_id;
    body.message = flat;
    const uint64_t token = begin(client, Putting{publish.ticket, publish.packet_id});
    // Not before a release of its packet identifier.
    if (!deferred_.contains(client.shard_) && port_.command(client.shard_, token, body)) {
        ++puts_;
        return {PublishVerdict::Kind::Pending, {}};
    }
    operations_.erase(token);
    return {PublishVerdict::Kind::Busy, {}};
}

void SessionDesk::release(Client& client, PacketId packet_id) {
    send_or_defer(client.shard_, begin(client, Releasing{packet_id}),
                  cluster::Release{client.session_, client.epoch_, packet_id});
}

void SessionDesk::acknowledge(Client& client, MessageNumber number, AckKind kind) {
    client.extras().acks.push_back({number, ack_kind(kind)});
    client.acks_staged_ = true;
    stage(client);
}

void SessionDesk::window_open(Client& client) {
    if (!client.durable_ || !client.attached_) return;
    client.want_staged_ = true;
    stage(client);
}

void SessionDesk::stage(Client& client) {
    staged_.push_back({client.slot(), client.generation()});
}

void SessionDesk::send_acks(Client& client) {
    cluster::Ack body;
    body.session = client.session_;
    body.epoch = client.epoch_;
    body.items = client.extras().acks;
    Acking acking;
    for (const cluster::AckItem& item : body.items) {
        if (item.kind == cluster::AckKind::PubrecOk) acking.pubrecs.push_back(item.number);
    }
    const uint64_t token = begin(client, std::move(acking));
    if (!port_.command(client.shard_, token, body)) {
        operations_.erase(token);
        return;  // kept; tried again at the end of the next turn
    }
    client.extras().acks.clear();
    client.acks_staged_ = false;
}

void SessionDesk::end_turn() {
    std::vector<Refused> refused;
    refused.swap(refused_);
    for (const Refused& entry : refused) {
        Client* client = front_end_.client(entry.who.client);
        if (client == nullptr || client->generation() != entry.who.generation) continue;
        front_end_.refuse_attach(*client, entry.reason);
    }
    if (any_moved_) want_moved();
    std::vector<Staged> staged;
    staged.swap(staged_);
    for (const Staged& entry : staged) {
        Client* client = front_end_.client(entry.client);
        if (client == nullptr || client->generation() != entry.generation) continue;
        if (!client->attached_) continue;
        if (client->acks_staged_) {
            send_acks(*client);
            if (client->acks_staged_) stage(*client);
        }
        if (client->want_staged_) send_want(*client);
    }
}

bool SessionDesk::on_answer(uint64_t token, const cluster::Answer& answer) {
    if ((token & 1U) == 0) return false;
    const auto found = operations_.find(token);
    if (found == operations_.end()) return true;
    const Operation operation = std::move(found->second);
    operations_.erase(found);
    if (std::holds_alternative<Putting>(operation.kind)) --puts_;
    Client* client = of(operation);
    if (std::holds_alternative<Attaching>(operation.kind)) {
        const auto* result = std::get_if<cluster::AttachResult>(&answer.result);
        if (client != nullptr) {
            attached(*client, answer);
        } else if (result != nullptr && !mqtt::is_failure(result->code)) {
            // Swept, and the connection is gone: nobody else will detach it.
            cluster::Detached body;
            body.session = result->session;
            body.epoch = result->epoch;
            send_or_defer(operation.shard, next_token_, body);
            next_token_ += 2;
        }
        return true;
    }
    if (client == nullptr) return true;
    if (std::holds_alternative<Detaching>(operation.kind)) {
        front_end_.detached(*client);
        return true;
    }
    if (const auto* putting = std::get_if<Putting>(&operation.kind)) {
        if (putting->told) return true;
        const auto* result = std::get_if<cluster::OutboxPutResult>(&answer.result);
        front_end_.note_ack(mqtt::QoS::ExactlyOnce, operation.since);
        client->channel().on_published(
            putting->channel_ticket,
            result != nullptr ? result->code : mqtt::ReasonCode::QuotaExceeded);
    } else if (const auto* releasing = std::get_if<Releasing>(&operation.kind)) {
        const auto* result = std::get_if<cluster::ReleaseResult>(&answer.result);
        client->channel().on_released(releasing->packet_id, result != nullptr && result->found);
    } else if (const auto* acking = std::get_if<Acking>(&operation.kind)) {
        for (const MessageNumber number : acking->pubrecs) {
            client->channel().on_ack_committed(number);
        }
    }
    front_end_.after_event(*client);
    return true;
}

void SessionDesk::on_let_go(const cluster::LetGoRequest& request) {
    const cluster::LetGo& let_go = request.let_go;
    // The end of an earlier start of this node is told by others.
    if (let_go.connection.incarnation != port_.incarnation()) return;
    Client* client = front_end_.client(let_go.connection.slot);
    if (client != nullptr && client->generation() == let_go.connection.generation) {
        if (client->attached_ && client->epoch_ == let_go.epoch) {
            if (front_end_.takeover_too_fast(*client)) return;  // the shard asks again
            client->channel().let_go(front_end_.now(), mqtt::ReasonCode::SessionTakenOver);
            front_end_.after_event(*client);
            return;
        }
        if (client->attach_pending_) return;  // its answer is on the way; the request is repeated
        if (client->session_ == let_go.session) return;  // Detached is on the way
    }
    cluster::Detached body;
    body.session = let_go.session;
    body.epoch = let_go.epoch;
    body.how = cluster::DetachHow::TakenOver;
    // No connection of that name: that it ended is all that is left to say.
    send_or_defer(request.shard, next_token_, body);
    next_token_ += 2;
}

void SessionDesk::sweep(LoopTime now, LoopTime limit) {
    std::vector<Client*> late;
    std::vector<uint64_t> puts;
    for (auto& [token, operation] : operations_) {
        if (now - operation.since < limit) continue;
        if (std::holds_alternative<Attaching>(operation.kind)) {
            if (Client* client = of(operation)) late.push_back(client);
        } else if (const auto* putting = std::get_if<Putting>(&operation.kind)) {
            if (among_others_ && !putting->told) puts.push_back(token);
        }
    }
    for (Client* client : late) {
        front_end_.refuse_attach(*client, mqtt::ReasonCode::ServerUnavailable);
    }
    refuse_late_puts(puts);
    std::vector<Staged> gaps;
    gaps.swap(gaps_);
    for (const Staged& entry : gaps) {
        Client* client = front_end_.client(entry.client);
        if (client == nullptr || client->generation() != entry.generation) continue;
        if (!client->gap_asked_) continue;
        client->gap_asked_ = false;
        if (client->attached_) want_again(*client);
    }
}

// The identifier is free again for the client, so it has to be free in the session before a new
// PUBLISH takes it: the Release follows the put in the same lane.
void SessionDesk::refuse_late_puts(const std::vector<uint64_t>& tokens) {
    for (const uint64_t token : tokens) {
        const auto found = operations_.find(token);
        if (found == operations_.end()) continue;
        auto& putting = std::get<Putting>(found->second.kind);
        putting.told = true;
        Client* client = of(found->second);
        if (client == nullptr) continue;
        const uint32_t ticket = putting.channel_ticket;
        send_or_defer(client->shard_, next_token_,
                      cluster::Release{client->session_, client->epoch_, putting.packet_id});
        next_token_ += 2;
        client->channel().on_published(ticket, mqtt::ReasonCode::ImplementationSpecificError);
        front_end_.after_event(*client);
    }
}

}  // namespace quorate::broker
