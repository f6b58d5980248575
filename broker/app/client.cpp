#include "broker/app/client.h"

#include "broker/app/front_end.h"
#include "cluster/router/loop_port.h"

namespace quorate::broker {

Client::Client(FrontEnd& front_end, Connection& connection, uint32_t slot, uint32_t generation,
               LoopTime now)
    : front_end_(front_end),
      connection_(&connection),
      slot_(slot),
      generation_(generation),
      opened_at_(now),
      channel_(*this, front_end.channel_context(), now) {}

Client::~Client() = default;

ConnectionRef Client::ref() const {
    return {front_end_.port().incarnation(), front_end_.port().loop(), slot_, generation_};
}

uint32_t Client::shared_subscription_id(uint64_t group_hash) const {
    if (extras_ == nullptr) return 0;
    for (const SharedMembership& membership : extras_->memberships) {
        if (membership.group_hash == group_hash) return membership.subscription_id;
    }
    return 0;
}

Client::Extras& Client::extras() {
    if (extras_ == nullptr) extras_ = std::make_unique<Extras>();
    return *extras_;
}

std::byte* Client::prepare(std::size_t size) {
    return connection_ != nullptr ? connection_->prepare(size) : front_end_.scratch(size);
}

void Client::commit(std::size_t size) {
    if (connection_ != nullptr) connection_->commit(size);
}

std::size_t Client::output_bytes() const {
    return connection_ != nullptr ? connection_->pending_output() : 0;
}

// A subscriber without publishes of its own mostly sends PUBACKs, and none of those is urgent: its
// window is far from full, and no one else waits for it. Not so for a durable session or a member
// of a shared group, where an acknowledgement that nobody has read is a repetition when the client
// or the broker dies.
void Client::weigh_input(ByteView input) {
    constexpr std::size_t kPubackBytes = 4;
    constexpr uint8_t kEnough = 8;
    constexpr uint32_t kCreditMin = 4;
    const bool pubacks = static_cast<uint8_t>(input[0]) == 0x40;
    if (!pubacks || connection_ == nullptr) {
        lone_pubacks_ = 0;
        if (connection_ != nullptr) connection_->gather_input(false);
        return;
    }
    if (connection_->gathers_input() || input.size() != kPubackBytes) return;
    if (lone_pubacks_ > kEnough) lone_pubacks_ = 0;  // was gathering until it fell silent
    if (++lone_pubacks_ <= kEnough || durable_ || channel_.credit() < kCreditMin) return;
    if (extras_ != nullptr && !extras_->memberships.empty()) return;
    connection_->gather_input(true);
}

void Client::answer_awaited() {
    if (connection_ != nullptr) connection_->gather_input(false);
}

void Client::await_drain() {
    if (connection_ != nullptr && !connection_->closing()) connection_->notify_when_writable();
}

void Client::close(const CloseCause& cause) {
    front_end_.close(*this, cause);
}

std::string Client::make_client_id() {
    return front_end_.make_client_id();
}

AuthOutcome Client::authenticate(const AuthenticateRequest& request) {
    return front_end_.authenticate(*this, request);
}

void Client::attach(const AttachRequest& request) {
    front_end_.sessions().attach(*this, request);
}

void Client::detach(DetachHow how, std::optional<uint32_t> new_expiry_seconds,
                    MessageNumber highest_written) {
    front_end_.publishes().gone(*this);
    front_end_.subscriptions().drop_all(*this);
    front_end_.sessions().detach(*this, how, new_expiry_seconds, highest_written);
}

PublishVerdict Client::publish(const InboundPublish& publish) {
    return front_end_.publish(*this, publish);
}

void Client::release(PacketId packet_id) {
    front_end_.sessions().release(*this, packet_id);
}

void Client::subscribe(SubscribeRequest&& request) {
    front_end_.subscriptions().subscribe(*this, std::move(request));
}

void Client::unsubscribe(UnsubscribeRequest&& request) {
    front_end_.subscriptions().unsubscribe(*this, request);
}

void Client::acknowledge(MessageNumber number, AckKind kind, uint64_t shared_ticket) {
    if (shared_ticket != 0) {
        front_end_.shared_settled(shared_ticket, kind);
    } else if (durable_) {
        front_end_.sessions().acknowledge(*this, number, kind);
    }
}

void Client::window_open() {
    front_end_.sessions().window_open(*this);
}

}  // namespace quorate::broker
