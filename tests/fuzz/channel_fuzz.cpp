// A channel under a hostile client and a whimsical host, long because it is one act after another.
// The input is a program: each byte an act,
// followed by its operands: whole packets of a grammar, raw bytes, answers of the host, messages to
// the client, time. Oracle beyond "no crash":
//   - the output is a sequence of whole, valid packets that a server may send;
//   - CONNACK comes first (but for AUTH) and once, nothing follows DISCONNECT or the close;
//   - PUBACK and PUBREC answer PUBLISH packets that were taken, each once and in their order;
//   - PUBCOMP, SUBACK, UNSUBACK and PINGRESP answer as many requests as were sent;
//   - never more unacknowledged messages to the client than its Receive Maximum;
//   - input that cannot be a packet closes the connection; attach and detach pair up;
//   - memory stays within the limits, whatever came.
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "broker/mqtt/channel.h"
#include "proto/mqtt/decoder.h"
#include "proto/mqtt/encoder.h"

namespace {

using namespace quorate;
using namespace quorate::broker;
using mqtt::PacketType;
using mqtt::ProtocolVersion;
using mqtt::QoS;
using mqtt::ReasonCode;

void require(bool condition, const char* what) {
    if (condition) return;
    std::fprintf(stderr, "oracle: %s\n", what);
    std::abort();
}

class Program {
  public:
    Program(const uint8_t* data, std::size_t size) : data_(data), left_(size) {}
    [[nodiscard]] bool done() const { return left_ == 0; }
    uint8_t byte() {
        if (left_ == 0) return 0;
        --left_;
        return *data_++;
    }
    uint16_t id() { return static_cast<uint16_t>(byte() % 16); }
    std::string bytes(std::size_t size) {
        size = std::min(size, left_);
        std::string out(reinterpret_cast<const char*>(data_), size);
        data_ += size;
        left_ -= size;
        return out;
    }

  private:
    const uint8_t* data_;
    std::size_t left_;
};

constexpr uint16_t kReceiveMaximum = 4;
constexpr uint16_t kWindow = 3;

class World : public ChannelHost {
  public:
    explicit World(Program& program) : program_(program) {
        ChannelLimits& limits = context_.limits;
        limits.receive_maximum = kReceiveMaximum;
        limits.max_inflight_out = kWindow;
        limits.max_packet_size = 512;
        limits.max_queued_messages = 8;
        limits.max_pending_subscribes = 2;
        limits.max_look_ahead_bytes = 64;
        limits.auth_methods = {"M"};
        const uint8_t options = program.byte();
        limits.max_qos = (options & 1) != 0 ? QoS::AtLeastOnce : QoS::ExactlyOnce;
        limits.retain_available = (options & 2) == 0;
        limits.wildcard_available = (options & 4) == 0;
        limits.shared_available = (options & 8) == 0;
        limits.validate_payload_format = (options & 16) != 0;
        limits.queue_full = static_cast<QueueFull>((options >> 5) % 3);
        channel_ = std::make_unique<Channel>(*this, context_, now_);
    }

    void run() {
        while (!program_.done()) {
            act(program_.byte());
            check();
        }
        channel_->on_transport_closed(now_);
        channel_->tick(now_ + std::chrono::hours(2));
        require(channel_->state() == Channel::State::Closed, "everything ends");
        require(attaches_ == detaches_ + refused_, "each attach has its detach");
        check();
    }

    std::byte* prepare(std::size_t size) override {
        require(!closed_, "no output after the close");
        room_.resize(size);
        return reinterpret_cast<std::byte*>(room_.data());
    }
    void commit(std::size_t size) override {
        require(size <= room_.size(), "no more than was prepared");
        output_.append(room_, 0, size);
    }
    [[nodiscard]] std::size_t output_bytes() const override { return stuck_; }
    void answer_awaited() override {}
    void await_drain() override {}
    void close(const CloseCause&) override {
        require(!closed_, "closed once");
        closed_ = true;
    }
    [[nodiscard]] std::string make_client_id() override { return "made"; }
    [[nodiscard]] AuthOutcome authenticate(const AuthenticateRequest& request) override {
        AuthOutcome outcome;
        const uint8_t choice = program_.byte() % 8;
        if (choice == 1) outcome.kind = AuthOutcome::Kind::Pending;
        if (choice == 2 && !request.method.empty()) outcome.kind = AuthOutcome::Kind::Continue;
        if (choice == 3) outcome = {AuthOutcome::Kind::Refused, ReasonCode::NotAuthorized, {}};
        return outcome;
    }
    void attach(const AttachRequest& request) override {
        require(request.window >= 1 && request.window <= kWindow, "a window within the maximum");
        window_ = request.window;
        ++attaches_;
        attaching_ = true;
    }
    void detach(DetachHow, std::optional<uint32_t>, MessageNumber) override { ++detaches_; }
    [[nodiscard]] PublishVerdict publish(const InboundPublish& publish) override {
        require(!publish.message.topic.empty(), "a topic");
        const uint8_t choice = program_.byte() % 8;
        if (choice == 0) return {PublishVerdict::Kind::Busy, {}};
        if (publish.message.qos == QoS::AtMostOnce) return {};
        const bool exactly = publish.message.qos == QoS::ExactlyOnce;
        if (!exactly) owed_pubacks_.push_back(publish.packet_id.value());
        if (choice < 4) return {};
        if (choice == 4) return {PublishVerdict::Kind::Done, ReasonCode::QuotaExceeded};
        tickets_.push_back(publish.ticket);
        return {PublishVerdict::Kind::Pending, {}};
    }
    void release(PacketId id) override { releases_.push_back(id.value()); }
    void subscribe(SubscribeRequest&& request) override {
        require(!request.entries.empty(), "something to subscribe");
        asked_.push_back({request.packet_id, request.entries.size(), true});
    }
    void unsubscribe(UnsubscribeRequest&& request) override {
        asked_.push_back({request.packet_id, request.entries.size(), false});
    }
    void acknowledge(MessageNumber number, AckKind kind, uint64_t) override {
        if (kind == AckKind::Pubrec && channel_->durable()) commits_.push_back(number);
    }
    void window_open() override {}

  private:
    struct Asked {
        PacketId id;
        std::size_t entries;
        bool subscribe;
    };

    void act(uint8_t what) {
        switch (what % 16) {
            case 0:
                input_ += program_.bytes(program_.byte() % 32);
                requests_ += 32;  // as many SUBSCRIBEs may be in these
                give_input();
                break;
            case 1:
                send_connect();
                break;
            case 2:
            case 3:
                send_publish();
                break;
            case 4:
            case 5:
                send_ack();
                break;
            case 6:
                send_subscribe();
                break;
            case 7:
                send_other();
                break;
            case 8:
            case 9:
                answer_setup();
                break;
            case 10:
                answer_publish();
                break;
            case 11:
                answer_rest();
                break;
            case 12:
            case 13:
                message();
                break;
            case 14:
                time();
                break;
            default:
                server();
                break;
        }
        if (channel_->ready_for_bytes()) give_input();
    }

    void give_input() {
        const std::size_t consumed = channel_->on_bytes(now_, as_bytes(input_));
        require(consumed <= input_.size(), "consumed what there was");
        input_.erase(0, consumed);
        if (channel_->state() == Channel::State::Connected && !channel_->ready_for_bytes() &&
            !closed_ && stuck_ == 0 && !input_.empty()) {
            const auto scan = mqtt::scan_frame(as_bytes(input_), context_.limits.max_packet_size);
            require(scan.state != mqtt::FrameScan::State::Error, "what cannot be a packet closes");
        }
        if (closed_) require(input_.empty(), "a closed channel swallows its input");
    }

    void send(const std::string& packet) {
        input_ += packet;
        give_input();
    }

    void send_connect() {
        const uint8_t how = program_.byte();
        mqtt::Connect connect;
        connect.version = how % 4 == 0   ? ProtocolVersion::V311
                          : how % 4 == 1 ? ProtocolVersion::V31
                                         : ProtocolVersion::V5;
        connect.clean_start = (how & 4) != 0;
        connect.keep_alive_s = how & 8;
        connect.client_id = (how & 16) != 0 ? "c" : "";
        std::string properties;
        mqtt::PropertyWriter writer(properties);
        const uint8_t extra = program_.byte();
        if ((extra & 1) != 0) writer.two_byte(mqtt::PropertyId::ReceiveMaximum, 2);
        if ((extra & 2) != 0) writer.two_byte(mqtt::PropertyId::TopicAliasMaximum, 2);
        if ((extra & 4) != 0) writer.four_byte(mqtt::PropertyId::MaximumPacketSize, 40);
        if ((extra & 8) != 0) writer.four_byte(mqtt::PropertyId::SessionExpiryInterval, 10);
        if ((extra & 16) != 0) writer.text(mqtt::PropertyId::AuthenticationMethod, "M");
        if ((extra & 32) != 0) writer.byte(mqtt::PropertyId::RequestResponseInformation, 1);
        connect.properties = mqtt::PropertyView(properties);
        std::string packet;
        if (mqtt::append_connect(packet, connect)) send(packet);
    }

    void send_publish() {
        mqtt::PublishFields fields;
        const uint8_t how = program_.byte();
        const std::string topic = (how & 1) != 0 ? "a/b" : "topic";
        const std::string payload = program_.bytes(program_.byte() % 40);
        if ((how & 64) == 0) fields.topic = topic;
        fields.payload = payload;
        fields.qos = static_cast<QoS>((how >> 1) % 3);
        fields.packet_id = PacketId(program_.id());
        fields.retain = (how & 8) != 0;
        fields.dup = (how & 16) != 0;
        fields.topic_alias = (how & 32) != 0 ? program_.id() : 0;
        std::string packet;
        if (mqtt::append_publish(packet, channel_->version(), fields)) send(packet);
    }

    void send_ack() {
        static constexpr PacketType kTypes[] = {PacketType::Puback, PacketType::Pubrec,
                                                PacketType::Pubrel, PacketType::Pubcomp};
        const uint8_t how = program_.byte();
        std::string packet(mqtt::kShortAckBytesMax, '\0');
        const auto reason = (how & 4) != 0 ? ReasonCode::UnspecifiedError : ReasonCode::Success;
        packet.resize(mqtt::write_ack(reinterpret_cast<std::byte*>(packet.data()),
                                      channel_->version(), kTypes[how % 4], PacketId(program_.id()),
                                      reason));
        send(packet);
    }

    void send_subscribe() {
        static constexpr const char* kFilters[] = {"a",          "a/#",       "+",
                                                   "$share/g/x", "$share//x", "a/b"};
        const uint8_t how = program_.byte();
        mqtt::Subscribe packet;
        packet.packet_id = PacketId(program_.id());
        for (int i = 0; i <= how % 3; ++i) {
            mqtt::SubscriptionRequest request;
            request.filter = kFilters[program_.byte() % std::size(kFilters)];
            request.qos = static_cast<QoS>(how / 4 % 3);
            request.no_local = (how & 64) != 0;
            packet.requests.push_back(request);
        }
        std::string bytes;
        if ((how & 128) != 0) {
            mqtt::Unsubscribe unsubscribe;
            unsubscribe.packet_id = packet.packet_id;
            for (const auto& request : packet.requests) {
                unsubscribe.filters.push_back(request.filter);
            }
            mqtt::append_unsubscribe(bytes, channel_->version(), unsubscribe);
        } else {
            mqtt::append_subscribe(bytes, channel_->version(), packet);
        }
        ++requests_;
        send(bytes);
    }

    void send_other() {
        const uint8_t how = program_.byte();
        std::string properties;
        mqtt::PropertyWriter writer(properties);
        std::string packet;
        if (how % 8 < 5) {
            mqtt::append_pingreq(packet);
        } else if (how % 8 == 5) {
            mqtt::Disconnect disconnect;
            disconnect.reason =
                (how & 8) != 0 ? ReasonCode::DisconnectWithWill : ReasonCode::NormalDisconnection;
            if ((how & 16) != 0) {
                writer.four_byte(mqtt::PropertyId::SessionExpiryInterval, how);
            }
            disconnect.properties = mqtt::PropertyView(properties);
            mqtt::append_disconnect(packet, channel_->version(), disconnect);
        } else {
            mqtt::Auth auth;
            auth.reason =
                (how & 8) != 0 ? ReasonCode::Reauthenticate : ReasonCode::ContinueAuthentication;
            writer.text(mqtt::PropertyId::AuthenticationMethod, (how & 16) != 0 ? "N" : "M");
            auth.properties = mqtt::PropertyView(properties);
            mqtt::append_auth(packet, ProtocolVersion::V5, auth);
        }
        send(packet);
    }

    void answer_setup() {
        const uint8_t how = program_.byte();
        AuthOutcome auth;
        if (how % 8 == 7) auth = {AuthOutcome::Kind::Refused, ReasonCode::Banned, {}};
        channel_->on_authenticated(now_, auth);
        if (!attaching_) return;
        attaching_ = false;
        AttachOutcome outcome;
        outcome.durable = (how & 8) != 0;
        outcome.session_present = (how & 16) != 0;
        outcome.first_unacked = MessageNumber(how >> 5);
        if (how % 8 == 6) outcome.reason = ReasonCode::ServerBusy;
        const bool awaited = channel_->state() == Channel::State::Attaching;
        channel_->on_attached(now_, outcome);
        if (awaited && how % 8 == 6) ++refused_;
    }

    void answer_publish() {
        const uint8_t how = program_.byte();
        if (tickets_.empty()) {
            channel_->on_published(how, ReasonCode::Success);  // nobody asked
            return;
        }
        const auto at = tickets_.begin() + how % static_cast<int>(tickets_.size());
        const uint32_t ticket = *at;
        tickets_.erase(at);
        channel_->on_published(ticket, how > 200 ? ReasonCode::QuotaExceeded : ReasonCode::Success);
    }

    void answer_rest() {
        if (!releases_.empty()) {
            channel_->on_released(PacketId(releases_.front()), program_.byte() % 2 == 0);
            releases_.pop_front();
        }
        if (!commits_.empty()) {
            channel_->on_ack_committed(commits_.front());
            commits_.pop_front();
        }
        channel_->on_ack_committed(MessageNumber(program_.byte()));
        if (!asked_.empty()) {
            const Asked asked = asked_.front();
            asked_.pop_front();
            const std::vector<ReasonCode> codes(asked.entries, ReasonCode::Success);
            if (asked.subscribe) {
                channel_->on_subscribed(asked.id, codes);
            } else {
                channel_->on_unsubscribed(asked.id, codes);
            }
        }
    }

    void message() {
        const uint8_t how = program_.byte();
        mqtt::MessageView view;
        const std::string payload(how % 64, 'm');
        view.topic = (how & 1) != 0 ? "to/client" : "other/topic";
        view.payload = payload;
        view.qos = static_cast<QoS>((how >> 1) % 3);
        if ((how & 8) != 0) view.message_expiry_s = 2;
        if (channel_->durable() && view.qos != QoS::AtMostOnce) {
            Delivery delivery;
            delivery.number = MessageNumber(channel_->next_number().value() + (how >> 6));
            delivery.message = &view;
            delivery.dup = (how & 16) != 0;
            delivery.pubrec_known = (how & 32) != 0;
            channel_->deliver(delivery);
            return;
        }
        Offer offer;
        offer.message = &view;
        offer.qos = view.qos;
        offer.retain = (how & 16) != 0;
        offer.shared_ticket = how & 32;
        cache_.begin(view);
        if ((how & 64) != 0) offer.cache = &cache_;
        channel_->offer(now_, offer);
    }

    void time() {
        const uint8_t how = program_.byte();
        now_ += std::chrono::milliseconds(how * 20);
        if (how % 8 == 0) stuck_ = how % 3 * context_.limits.max_output_bytes + 1;
        if (how % 8 == 1) stuck_ = 0;
        if (how % 8 == 2) channel_->on_output_drained(now_);
        if (how % 8 == 3) channel_->resume(now_);
        channel_->tick(now_);
    }

    void server() {
        const uint8_t how = program_.byte();
        if (how < 8) channel_->let_go(now_, ReasonCode::SessionTakenOver);
        if (how == 8) channel_->disconnect(ReasonCode::ServerShuttingDown, "shutdown");
        if (how == 9) channel_->on_transport_closed(now_);
        if (how > 64) channel_->resume(now_);
    }

    void check() {
        read_output();
        require(channel_->inflight_out() <= std::max<std::size_t>(window_, 1), "the window holds");
        require(channel_->queued_messages() <= context_.limits.max_queued_messages, "queue limit");
        require(channel_->memory_bytes() <= 64 * 1024, "memory is bounded");
        require(channel_->unanswered_publishes() <= 4U * kReceiveMaximum, "answers are bounded");
    }

    void read_output() {
        mqtt::DecodeLimits limits;
        limits.sender = mqtt::Sender::Server;
        std::string_view rest = output_;
        while (!rest.empty()) {
            const auto scan = mqtt::scan_frame(as_bytes(rest), mqtt::kPacketSizeMax);
            require(scan.state == mqtt::FrameScan::State::Complete, "whole packets only");
            read_packet(mqtt::frame_of(as_bytes(rest), scan), limits);
            rest.remove_prefix(scan.total_size);
        }
        output_.clear();
    }

    void read_packet(const mqtt::Frame& frame, const mqtt::DecodeLimits& limits) {
        const ProtocolVersion version = channel_->version();
        require(!said_goodbye_, "nothing after DISCONNECT");
        require(connacked_ || frame.type == PacketType::Connack || frame.type == PacketType::Auth,
                "CONNACK comes first");
        mqtt::Ack ack;
        mqtt::PublishView publish;
        std::string scratch;
        mqtt::Connack connack;
        mqtt::Suback suback;
        mqtt::Unsuback unsuback;
        mqtt::Disconnect disconnect;
        mqtt::Auth auth;
        bool valid = false;
        if (frame.type == PacketType::Connack) {
            require(!connacked_, "one CONNACK");
            connacked_ = true;
            valid = mqtt::decode_connack(version, frame, limits, connack).ok();
        } else if (frame.type == PacketType::Publish) {
            valid = mqtt::decode_publish(version, frame, limits, scratch, publish).ok();
        } else if (frame.type == PacketType::Suback) {
            valid = mqtt::decode_suback(version, frame, limits, suback).ok() && requests_-- > 0;
        } else if (frame.type == PacketType::Unsuback) {
            valid = mqtt::decode_unsuback(version, frame, limits, unsuback).ok() && requests_-- > 0;
        } else if (frame.type == PacketType::Pingresp) {
            valid = mqtt::decode_ping(frame).ok();
        } else if (frame.type == PacketType::Disconnect) {
            said_goodbye_ = true;
            valid = version == ProtocolVersion::V5 &&
                    mqtt::decode_disconnect(version, frame, limits, disconnect).ok();
        } else if (frame.type == PacketType::Auth) {
            valid = mqtt::decode_auth(version, frame, limits, auth).ok();
        } else {
            valid = mqtt::decode_ack(version, frame, limits, ack).ok();
            if (frame.type == PacketType::Puback &&
                ack.reason != ReasonCode::PayloadFormatInvalid) {
                require(!owed_pubacks_.empty() && owed_pubacks_.front() == ack.packet_id.value(),
                        "PUBACK in the order of PUBLISH");
                owed_pubacks_.pop_front();
            }
        }
        require(valid, "a valid packet that a server may send now");
    }

    Program& program_;
    ChannelContext context_;
    EncodedPublishCache cache_;
    LoopTime now_{0};
    std::string input_;
    std::string output_;
    std::string room_;
    std::size_t stuck_ = 0;
    std::size_t window_ = 0;
    bool closed_ = false;
    bool connacked_ = false;
    bool said_goodbye_ = false;
    bool attaching_ = false;
    int attaches_ = 0;
    int detaches_ = 0;
    int refused_ = 0;
    int64_t requests_ = 0;
    std::deque<uint16_t> owed_pubacks_;
    std::vector<uint32_t> tickets_;
    std::deque<uint16_t> releases_;
    std::deque<MessageNumber> commits_;
    std::deque<Asked> asked_;
    std::unique_ptr<Channel> channel_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
    Program program(data, size);
    World(program).run();
    return 0;
}
