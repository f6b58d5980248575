// What bounds the clients of a loop: rates, memory, sockets without a session, expiry.
#include <algorithm>
#include <limits>
#include <utility>

#include "broker/app/front_end.h"
#include "broker/net/connection_set.h"

namespace quorate::broker {
namespace {

// A client that holds less is not worth its connection.
constexpr uint64_t kShedBytesMin = 64U << 10;

}  // namespace

void FrontEnd::reconfigure(const FrontEndOptions& options) {
    options_ = options;
    context_.limits = options.limits;
    loop_.set_limits(options.write_stall_timeout, options.handshakes_open_max);
    for (auto& listener : listeners_) {
        listener->set_limits(options.connect_limits, options.reserved_descriptors);
    }
    if (subscriptions_ != nullptr) subscriptions_->set_limits(options.subscriptions);
    if (retained_ != nullptr) retained_->set_pages_max(options.subscriptions.scans_max);
}

void FrontEnd::adopt(AcceptedSocket accepted) {
    const std::size_t index = accepted.listener;
    if (index < listeners_.size()) listeners_[index]->adopt(std::move(accepted));
}

AuthOutcome FrontEnd::authenticate(Client& client, const AuthenticateRequest& request) {
    const auto refused = [](mqtt::ReasonCode reason) {
        AuthOutcome outcome;
        outcome.kind = AuthOutcome::Kind::Refused;
        outcome.reason = reason;
        return outcome;
    };
    if (overloaded(2)) {
        metrics_.add<Metric::Throttled>(LimitLabel::Memory);
        return refused(mqtt::ReasonCode::ServerBusy);
    }
    if (options_.allow_anonymous) {
        metrics_.add<Metric::Auth>(AuthResult::Anonymous);
        return {};
    }
    const Connection* connection = client.connection();
    const PeerAddress peer = connection != nullptr ? connection->peer() : PeerAddress();
    const std::string_view user = request.username.value_or(std::string_view());
    if (status_.auth_failures.banned(user, peer, now_)) {
        metrics_.add<Metric::Throttled>(LimitLabel::AuthFailures);
        return refused(mqtt::ReasonCode::Banned);
    }
    status_.auth_failures.failed(user, peer, now_);
    metrics_.add<Metric::Auth>(AuthResult::Refused);
    return refused(mqtt::ReasonCode::NotAuthorized);
}

// The client's PUBLISH waits until a tick finds memory again; what else it sends is read on.
bool FrontEnd::memory_is_short(Client& client) {
    if (!overloaded(1)) return false;
    if (!client.busy_) {
        client.busy_ = true;
        over_memory_.push_back({client.slot(), client.generation()});
        metrics_.add<Metric::Throttled>(LimitLabel::Memory);
    }
    return true;
}

bool FrontEnd::take_rate(Client& client, std::size_t bytes) {
    if (options_.publish_rate == 0 && options_.publish_bytes_rate == 0) return true;
    // What a period (of bytes: a second) allows may come at once; of bytes, one message more, or
    // one that is larger than that would never be taken.
    const bool bytes_over = client.bytes_at_ > now_ + LoopTime(1000);
    if (bytes_over || (options_.publish_rate != 0 &&
                       !client.rate_.take(options_.publish_rate, now_, options_.publish_period))) {
        if (!client.busy_) {
            client.busy_ = true;
            over_rate_.push_back({client.slot(), client.generation()});
            metrics_.add<Metric::Throttled>(bytes_over ? LimitLabel::PublishBytes
                                                       : LimitLabel::PublishRate);
        }
        return false;
    }
    if (options_.publish_bytes_rate != 0) {
        client.bytes_at_ =
            std::max(client.bytes_at_, now_) + LoopTime(bytes * 1000 / options_.publish_bytes_rate);
    }
    return true;
}

void FrontEnd::end_over_rate() {
    for (const Waiting& each : std::exchange(over_rate_, {})) {
        Client* found = client(each.slot);
        if (found == nullptr || found->generation() != each.generation || found->closed_) continue;
        found->channel().disconnect(mqtt::ReasonCode::MessageRateTooHigh, "too many messages");
    }
}

bool FrontEnd::sessions_full() const {
    if (options_.sessions_max == 0 || status_.sessions == nullptr) return false;
    const int64_t sessions = status_.sessions->load(std::memory_order_relaxed);
    return sessions >= 0 && static_cast<uint64_t>(sessions) >= options_.sessions_max;
}

void FrontEnd::limit_expiry(mqtt::MessageView& message) const {
    if (options_.message_expiry_max_s == kExpiryNever) return;
    const bool kept =
        message.qos != mqtt::QoS::AtMostOnce || message.retain || options_.expire_qos0;
    if (!kept) return;
    message.message_expiry_s =
        std::min(message.message_expiry_s.value_or(std::numeric_limits<uint32_t>::max()),
                 options_.message_expiry_max_s);
}

void FrontEnd::note_ack(mqtt::QoS qos, LoopTime since) {
    if (qos == mqtt::QoS::AtMostOnce) return;
    metrics_.observe<Metric::PublishAck>(static_cast<QosLabel>(qos),
                                         std::chrono::nanoseconds(now_ - since));
}

void FrontEnd::note_match(std::chrono::nanoseconds took, std::size_t subscriptions) {
    metrics_.observe<Metric::Match>(took);
    metrics_.observe<Metric::RoutingFanout>(uint64_t{subscriptions});
}

void FrontEnd::note_cut_off() {
    metrics_.add<Metric::PublishDropped>(DropReason::Refused);
}

bool FrontEnd::enter_unauthenticated(Client& client) {
    const uint64_t waiting = status_.unauthenticated.fetch_add(1, std::memory_order_relaxed) + 1;
    client.counted_unauthenticated_ = true;
    if (waiting <= options_.unauthenticated_max) return true;
    metrics_.add<Metric::Throttled>(LimitLabel::Unauthenticated);
    return false;
}

void FrontEnd::hold_unauthenticated(Client& client, std::size_t bytes) {
    const uint64_t before = client.unauthenticated_bytes_;
    client.unauthenticated_bytes_ = static_cast<uint32_t>(bytes);
    // Sums of differences: unsigned numbers wrap there and back.
    const uint64_t held =
        status_.unauthenticated_bytes.fetch_add(bytes - before, std::memory_order_relaxed) + bytes -
        before;
    Connection* connection = client.connection();
    if (bytes <= before || held <= options_.unauthenticated_bytes_max || connection == nullptr) {
        return;
    }
    metrics_.add<Metric::Throttled>(LimitLabel::UnauthenticatedBytes);
    connection->abort();
}

void FrontEnd::leave_unauthenticated(Client& client) {
    if (!client.counted_unauthenticated_) return;
    client.counted_unauthenticated_ = false;
    status_.unauthenticated.fetch_sub(1, std::memory_order_relaxed);
    status_.unauthenticated_bytes.fetch_sub(client.unauthenticated_bytes_,
                                            std::memory_order_relaxed);
    client.unauthenticated_bytes_ = 0;
}

bool FrontEnd::takeover_too_fast(const Client& client) {
    if (status_.takeovers.take(client.publisher(), options_.takeovers, options_.takeover_period,
                               now_)) {
        return false;
    }
    metrics_.add<Metric::Throttled>(LimitLabel::Takeovers);
    return true;
}

void FrontEnd::shed(uint64_t bytes) {
    struct Holder {
        uint64_t bytes = 0;
        uint32_t slot = 0;
    };
    std::vector<Holder> holders;
    for (const auto& client : clients_) {
        if (client == nullptr || client->closed_) continue;
        const Connection* connection = client->connection();
        // Bodies of queued messages may be shared and are then in one of the two sums alone.
        const Channel& channel = client->channel();
        const uint64_t held = std::max(channel.queued_bytes(), channel.memory_bytes()) +
                              (connection != nullptr ? connection->buffered_bytes() : 0);
        if (held >= kShedBytesMin) holders.push_back({held, client->slot()});
    }
    std::ranges::sort(holders, std::ranges::greater(), &Holder::bytes);
    uint64_t given_up = 0;
    for (const Holder& holder : holders) {
        if (given_up >= bytes) return;
        given_up += holder.bytes;
        Client& client = *clients_[holder.slot];
        client.channel().disconnect(mqtt::ReasonCode::QuotaExceeded, "the server is out of memory");
        // Who does not read will not read the reason either, and its output is what fills memory.
        Connection* connection = client.connection();
        if (connection != nullptr && connection->pending_output() >= kShedBytesMin) {
            connection->abort();
        }
        after_event(client);
    }
}

void FrontEnd::resume_busy(std::vector<Waiting>& list) {
    std::vector<Waiting> resumed;
    resumed.swap(list);
    for (const Waiting& waiting : resumed) {
        Client* found = client(waiting.slot);
        if (found == nullptr || found->generation() != waiting.generation) continue;
        found->busy_ = false;
        found->channel().resume(now_);
        if (Connection* connection = found->connection();
            connection != nullptr && !connection->closing()) {
            present_again(*connection);
        }
        after_event(*found);
    }
}

}  // namespace quorate::broker
