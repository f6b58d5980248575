// Framing, states and time. The packet families are in the sources named after them.
#include "broker/mqtt/channel.h"

#include <algorithm>

#include "broker/mqtt/operations.h"
#include "broker/mqtt/pending_queue.h"
#include "broker/mqtt/received_ids.h"
#include "broker/mqtt/topic_alias.h"

namespace quorate::broker {
namespace {

using mqtt::FrameScan;
using mqtt::PacketType;

// Bytes of a large packet that show, as a whole packet does, that the client is alive.
constexpr std::size_t kSignOfLife = 1000;

bool is_acknowledgement(PacketType type) {
    return type == PacketType::Puback || type == PacketType::Pubrec || type == PacketType::Pubrel ||
           type == PacketType::Pubcomp || type == PacketType::Pingreq;
}

bool may_be_passed_over(PacketType type) {
    return type == PacketType::Publish || type == PacketType::Subscribe ||
           type == PacketType::Unsubscribe;
}

}  // namespace

Channel::Channel(ChannelHost& host, ChannelContext& context, LoopTime now)
    : host_(host), context_(context), last_packet_(now) {}

Channel::~Channel() {
    context_.counters.in_flight -= window_.in_flight();
}

bool Channel::reading() const {
    switch (state_) {
        case State::WaitingConnect:
        case State::Connected:
            return true;
        case State::Authenticating:
            return awaiting_client_;
        case State::Attaching:
        case State::LettingGo:
        case State::Closed:
            return false;
    }
    return false;
}

// A client that sends and does not read: its answers may not pile up without end.
bool Channel::output_stuck() const {
    return host_.output_bytes() > 2 * context_.limits.max_output_bytes;
}

uint32_t Channel::packet_limit() const {
    return state_ == State::Connected ? context_.limits.max_packet_size
                                      : context_.limits.max_connect_size;
}

std::size_t Channel::on_bytes(LoopTime now, ByteView in) {
    if (ended()) return in.size();
    if (in.size() >= unread_ + kSignOfLife && state_ == State::Connected) last_packet_ = now;
    std::size_t done = 0;
    stalled_ = true;
    const bool stuck = output_stuck();
    while (reading() && !blocked_ && !stuck) {
        const ByteView rest = in.subspan(done);
        if (state_ == State::WaitingConnect && !starts_with_connect(rest)) break;
        const FrameScan scan = mqtt::scan_frame(rest, packet_limit());
        if (scan.state == FrameScan::State::NeedMore) {
            stalled_ = false;
            break;
        }
        if (scan.state == FrameScan::State::Error) {
            fail(scan.error);
            break;
        }
        const bool done_before = looked_at_ != 0 && is_acknowledgement(scan.type);
        if (!done_before && take(mqtt::frame_of(rest, scan)) == Step::Wait) {
            waiting_size_ = scan.total_size;
            break;
        }
        if (state_ == State::Connected) last_packet_ = now;
        looked_at_ -= std::min(looked_at_, scan.total_size);
        done += scan.total_size;
    }
    if (blocked_ && !stuck) look_ahead(now, in.subspan(done));
    after_acks(now);
    if (ended()) done = in.size();
    if (output_stuck()) host_.await_drain();
    unread_ = static_cast<uint32_t>(in.size() - done);
    return done;
}

// What is not MQTT is sent away at its first byte, unanswered. [MQTT-3.1.0-1]
bool Channel::starts_with_connect(ByteView in) {
    if (in.empty() || (in[0] >> 4) == std::byte{1}) return true;
    end({CloseKind::FirstPacketNotConnect, mqtt::ReasonCode::ProtocolError,
         "the first packet is not CONNECT"},
        DetachHow::Lost);
    return false;
}

// `in` begins with the packet that waits. R-9: who may not publish may still acknowledge. An
// acknowledgement that waits is passed by nothing, also when more bytes come while it does.
void Channel::look_ahead(LoopTime now, ByteView in) {
    if (in.empty() || !may_be_passed_over(static_cast<PacketType>(in[0] >> 4))) return;
    std::size_t at = std::max(waiting_size_, looked_at_);
    while (state_ == State::Connected && at < in.size() &&
           at - waiting_size_ < context_.limits.max_look_ahead_bytes) {
        const ByteView rest = in.subspan(at);
        const FrameScan scan = mqtt::scan_frame(rest, packet_limit());
        if (scan.state != FrameScan::State::Complete) break;
        if (is_acknowledgement(scan.type)) {
            if (take_connected(mqtt::frame_of(rest, scan)) == Step::Wait) break;
            last_packet_ = now;
        } else if (!may_be_passed_over(scan.type)) {
            break;
        }
        at += scan.total_size;
    }
    looked_at_ = static_cast<uint32_t>(at);
}

Channel::Step Channel::take(const mqtt::Frame& frame) {
    if (state_ == State::Connected) return take_connected(frame);
    ++context_.counters.packets_in[static_cast<std::size_t>(frame.type)];
    if (state_ == State::WaitingConnect) {
        on_connect(frame);
    } else if (frame.type == PacketType::Auth) {
        on_auth(frame);
    } else if (frame.type == PacketType::Disconnect) {
        on_disconnect(frame);
    } else {  // [MQTT-3.1.2-30]
        fail(CloseKind::ProtocolError, mqtt::ReasonCode::ProtocolError,
             "only AUTH or DISCONNECT may come before CONNACK");
    }
    return Step::Done;
}

Channel::Step Channel::take_connected(const mqtt::Frame& frame) {
    Step step = Step::Done;
    switch (frame.type) {
        case PacketType::Publish:
            step = on_publish(frame);
            break;
        case PacketType::Puback:
        case PacketType::Pubrec:
        case PacketType::Pubrel:
        case PacketType::Pubcomp:
            step = on_ack(frame);
            break;
        case PacketType::Subscribe:
            step = on_subscribe(frame);
            break;
        case PacketType::Unsubscribe:
            step = on_unsubscribe(frame);
            break;
        case PacketType::Pingreq:
            if (const mqtt::DecodeResult result = mqtt::decode_ping(frame); !result.ok()) {
                fail(result);
            } else {
                constexpr char kPingresp[] = {'\xD0', '\0'};
                send(PacketType::Pingresp, {kPingresp, sizeof(kPingresp)});
            }
            break;
        case PacketType::Disconnect:
            on_disconnect(frame);
            break;
        case PacketType::Auth:
            on_auth(frame);
            break;
        case PacketType::Connect:  // [MQTT-3.1.0-2]
            fail(CloseKind::ProtocolError, mqtt::ReasonCode::ProtocolError, "a second CONNECT");
            break;
        case PacketType::Connack:
        case PacketType::Suback:
        case PacketType::Unsuback:
        case PacketType::Pingresp:
            fail(CloseKind::ProtocolError, mqtt::ReasonCode::ProtocolError,
                 "a packet that only servers send");
            break;
    }
    if (step == Step::Done) {
        ++context_.counters.packets_in[static_cast<std::size_t>(frame.type)];
    }
    return step;
}

Channel::Step Channel::wait() {
    if (!blocked_) ++context_.counters.paused;
    blocked_ = true;
    return Step::Wait;
}

bool Channel::wants_read() const {
    const uint32_t ahead = context_.limits.max_look_ahead_bytes;
    switch (state_) {
        case State::WaitingConnect:
            return true;
        case State::Authenticating:
        case State::Attaching:
            return unread_ < ahead;
        case State::Connected:
            return !output_stuck() && (!blocked_ || unread_ < waiting_size_ + ahead);
        case State::LettingGo:
        case State::Closed:
            return false;
    }
    return false;
}

bool Channel::ready_for_bytes() const {
    return stalled_ && unread_ != 0 && reading() && !blocked_ && !output_stuck();
}

void Channel::on_transport_closed(LoopTime /*now*/) {
    end({CloseKind::TransportClosed, mqtt::ReasonCode::UnspecifiedError, "transport closed"},
        DetachHow::Lost);
}

void Channel::on_output_drained(LoopTime now) {
    if (state_ != State::Connected) return;
    if (durable_) {
        host_.window_open();
    } else {
        pump(now);
    }
}

void Channel::resume(LoopTime now) {
    if (state_ == State::Connected && blocked_) last_packet_ = now;
    blocked_ = false;
}

std::optional<LoopTime> Channel::deadline() const {
    switch (state_) {
        case State::WaitingConnect:
        case State::Authenticating:
            return last_packet_ + context_.limits.connect_timeout;
        case State::Connected:
            if (keep_alive_s_ == 0) return std::nullopt;
            return last_packet_ + LoopTime(1500 * int64_t{keep_alive_s_});
        case State::LettingGo:
            return last_packet_ + context_.limits.let_go_timeout;
        case State::Attaching:
        case State::Closed:
            return std::nullopt;
    }
    return std::nullopt;
}

void Channel::tick(LoopTime now) {
    // Keep-alive stands still while we do not read.
    if (state_ == State::Connected && (blocked_ || output_stuck())) last_packet_ = now;
    const std::optional<LoopTime> due = deadline();
    if (due && now >= *due) {
        switch (state_) {
            case State::WaitingConnect:
            case State::Authenticating:
                end({CloseKind::ConnectTimeout, mqtt::ReasonCode::MaximumConnectTime,
                     "no connection in time"},
                    DetachHow::Lost);
                break;
            case State::Connected:  // [MQTT-3.1.2-22]
                fail(CloseKind::KeepAliveTimeout, mqtt::ReasonCode::KeepAliveTimeout,
                     "silent for 1.5 times the keep-alive");
                break;
            case State::LettingGo:
                finish_letting_go();
                break;
            case State::Attaching:
            case State::Closed:
                break;
        }
    }
    shrink();
}

void Channel::shrink() {
    window_.shrink();
    answers_qos1_.shrink();
    answers_qos2_.shrink();
    if (received_ && received_->size() == 0) received_.reset();
    if (pending_ && pending_->empty()) pending_.reset();
    if (operations_ && operations_->waiting.empty() && operations_->releases == 0) {
        operations_.reset();
    }
}

uint32_t Channel::unanswered_publishes() const {
    return answers_qos1_.size() + answers_qos2_.size();
}

std::size_t Channel::queued_messages() const {
    return pending_ ? pending_->size() : 0;
}

std::size_t Channel::queued_bytes() const {
    return pending_ ? pending_->bytes() : 0;
}

std::size_t Channel::memory_bytes() const {
    std::size_t sum = sizeof(Channel) + window_.heap_bytes() + answers_qos1_.heap_bytes() +
                      answers_qos2_.heap_bytes();
    if (client_id_.capacity() > 15) sum += client_id_.capacity() + 1;
    if (pending_) sum += sizeof(PendingQueue) + pending_->heap_bytes();
    if (received_) sum += sizeof(ReceivedIds) + received_->heap_bytes();
    if (aliases_in_) sum += sizeof(TopicAliasesIn) + aliases_in_->heap_bytes();
    if (aliases_out_) sum += sizeof(TopicAliasesOut) + aliases_out_->heap_bytes();
    if (handshake_) {
        sum += sizeof(Handshake) + handshake_->connect.capacity() + handshake_->method.capacity() +
               handshake_->data.capacity();
    }
    if (operations_) {
        sum += sizeof(Operations);
        for (const Operations::Operation& operation : operations_->waiting) {
            sum += sizeof(operation) + operation.codes.capacity();
        }
    }
    return sum;
}

}  // namespace quorate::broker
