// Long, because it is two lists: a line for each call of the host, a branch for each command.
#include "tests/unit/channel/recorder.h"

#include <fmt/format.h>

#include "tests/unit/catch.h"

namespace quorate::broker::test {
namespace {

using mqtt::ProtocolVersion;
using mqtt::QoS;
using mqtt::ReasonCode;

const char* name_of(AckKind kind) {
    switch (kind) {
        case AckKind::Puback:
            return "puback";
        case AckKind::Pubrec:
            return "pubrec";
        case AckKind::Pubcomp:
            return "pubcomp";
        case AckKind::Refused:
            return "refused";
        case AckKind::TooLarge:
            return "too_large";
        case AckKind::Dropped:
            return "dropped";
        case AckKind::Unsent:
            return "unsent";
        case AckKind::UnackedQos1:
            return "unacked_qos1";
        case AckKind::UnackedQos2:
            return "unacked_qos2";
    }
    return "?";
}

const char* name_of(DetachHow how) {
    switch (how) {
        case DetachHow::Disconnected:
            return "disconnected";
        case DetachHow::DisconnectedWithWill:
            return "disconnected_with_will";
        case DetachHow::Lost:
            return "lost";
        case DetachHow::LetGo:
            return "let_go";
        case DetachHow::ServerClosed:
            return "server_closed";
    }
    return "?";
}

const char* name_of(AuthenticateRequest::Step step) {
    switch (step) {
        case AuthenticateRequest::Step::Connect:
            return "connect";
        case AuthenticateRequest::Step::Continue:
            return "continue";
        case AuthenticateRequest::Step::Reauthenticate:
            return "reauthenticate";
    }
    return "?";
}

std::string text_of(const mqtt::MessageView& message) {
    std::string out = fmt::format("{} ", message.topic);
    for (const char c : message.payload.substr(0, 40)) {
        out += c > ' ' && c <= '~' ? std::string(1, c)
                                   : fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
    out += fmt::format(" qos={}", static_cast<int>(message.qos));
    if (message.retain) out += " retain";
    if (message.message_expiry_s) out += fmt::format(" expiry={}", *message.message_expiry_s);
    return out;
}

ReasonCode reason_of(const std::vector<std::string>& words, std::string_view key = "reason") {
    return static_cast<ReasonCode>(number_of(value_of(words, key, "0")));
}

}  // namespace

const char* name_of(Channel::State state) {
    switch (state) {
        case Channel::State::WaitingConnect:
            return "waiting_connect";
        case Channel::State::Authenticating:
            return "authenticating";
        case Channel::State::Attaching:
            return "attaching";
        case Channel::State::Connected:
            return "connected";
        case Channel::State::LettingGo:
            return "letting_go";
        case Channel::State::Closed:
            return "closed";
    }
    return "?";
}

std::vector<std::string> Recorder::take_log() {
    read_output();
    return std::exchange(log_, {});
}

void Recorder::read_output() {
    for (const std::string& packet : test::text_of(version, std::exchange(output, {}))) {
        log_.push_back("<- " + packet);
    }
}

void Recorder::note(std::string line) {
    read_output();
    log_.push_back(std::move(line));
}

std::byte* Recorder::prepare(std::size_t size) {
    room_.resize(size);
    return reinterpret_cast<std::byte*>(room_.data());
}

void Recorder::commit(std::size_t size) {
    REQUIRE(size <= room_.size());
    CHECK(!closed());
    output.append(room_, 0, size);
}

void Recorder::close(const CloseCause& cause) {
    CHECK(!closed());
    close_cause = cause;
    note(fmt::format("close {} {}", hex(cause.reason), cause.text));
}

AuthOutcome Recorder::authenticate(const AuthenticateRequest& request) {
    std::string line = fmt::format("authenticate {}", name_of(request.step));
    if (!request.client_id.empty()) line += fmt::format(" id={}", request.client_id);
    if (request.username) line += fmt::format(" user={}", *request.username);
    if (request.password) line += fmt::format(" pass={}", *request.password);
    if (!request.method.empty()) line += fmt::format(" method={}", request.method);
    if (!request.data.empty()) line += fmt::format(" data={}", request.data);
    note(line);
    return auth;
}

void Recorder::attach(const AttachRequest& request) {
    std::string line = fmt::format("attach id={}", request.client_id);
    if (request.client_id_assigned) line += " assigned";
    if (request.clean_start) line += " clean";
    line += request.session_expiry_seconds == kExpiryNever
                ? " expiry=never"
                : fmt::format(" expiry={}", request.session_expiry_seconds);
    line += fmt::format(" ka={} window={}", request.keep_alive_seconds, request.window);
    if (!request.identity.empty()) line += fmt::format(" identity={}", request.identity);
    if (request.will) {
        line += fmt::format(" will=({}) delay={}", text_of(request.will->message),
                            request.will->delay_seconds);
    }
    note(line);
    attach_waits = true;
}

void Recorder::detach(DetachHow how, std::optional<uint32_t> new_expiry_seconds,
                      MessageNumber highest_written) {
    ++detaches;
    CHECK(detaches == 1);
    std::string line = fmt::format("detach {}", name_of(how));
    if (new_expiry_seconds) line += fmt::format(" expiry={}", *new_expiry_seconds);
    note(line + fmt::format(" highest={}", highest_written.value()));
}

PublishVerdict Recorder::publish(const InboundPublish& publish) {
    std::string line = fmt::format("publish {}", text_of(publish.message));
    if (publish.packet_id.value() != 0) {
        line += fmt::format(" id={} ticket={}", publish.packet_id.value(), publish.ticket);
    }
    if (publish.dup) line += " dup";
    if (verdict.kind == PublishVerdict::Kind::Busy) line += " (busy)";
    note(line);
    return verdict;
}

void Recorder::release(PacketId packet_id) {
    note(fmt::format("release {}", packet_id.value()));
}

void Recorder::subscribe(SubscribeRequest&& request) {
    std::string line = fmt::format("subscribe {}", request.packet_id.value());
    for (const SubscribeEntry& entry : request.entries) {
        line += fmt::format(" {}:{}", entry.filter, static_cast<int>(entry.qos));
        if (!entry.share_name.empty()) line += ":share=" + entry.share_name;
        if (entry.no_local) line += ":nl";
        if (entry.retain_as_published) line += ":rap";
        if (entry.retain_handling != mqtt::RetainHandling::Send) {
            line += fmt::format(":rh={}", static_cast<int>(entry.retain_handling));
        }
    }
    if (request.subscription_id != 0) line += fmt::format(" sub-id={}", request.subscription_id);
    note(line);
}

void Recorder::unsubscribe(UnsubscribeRequest&& request) {
    std::string line = fmt::format("unsubscribe {}", request.packet_id.value());
    for (const UnsubscribeEntry& entry : request.entries) {
        line += " " + entry.filter;
        if (!entry.share_name.empty()) line += ":share=" + entry.share_name;
    }
    note(line);
}

void Recorder::acknowledge(MessageNumber number, AckKind kind, uint64_t shared_ticket) {
    std::string line = fmt::format("acknowledge {} {}", number.value(), name_of(kind));
    if (shared_ticket != 0) line += fmt::format(" shared={}", shared_ticket);
    note(line);
}

Bench::Bench(const ChannelLimits& limits) {
    context.limits = limits;
    channel = std::make_unique<Channel>(recorder, context, now);
}

Bench& Bench::send(std::string_view lines) {
    std::string bytes;
    while (!lines.empty()) {
        const std::size_t end = std::min(lines.find('\n'), lines.size());
        const std::string_view line = lines.substr(0, end);
        lines.remove_prefix(std::min(end + 1, lines.size()));
        if (words_of(line).empty()) continue;
        if (words_of(line)[0] == "CONNECT" && channel->state() == Channel::State::WaitingConnect) {
            recorder.version = has_word(words_of(line), "v5")    ? ProtocolVersion::V5
                               : has_word(words_of(line), "v31") ? ProtocolVersion::V31
                                                                 : ProtocolVersion::V311;
        }
        bytes += bytes_of(recorder.version, line);
    }
    return send_bytes(bytes);
}

Bench& Bench::send_bytes(std::string_view bytes) {
    input += bytes;
    give_input();
    return *this;
}

void Bench::give_input() {
    while (true) {
        const std::size_t consumed = channel->on_bytes(now, as_bytes(input));
        REQUIRE(consumed <= input.size());
        input.erase(0, consumed);
        if (std::exchange(recorder.attach_waits, false) && recorder.attach_outcome) {
            channel->on_attached(now, *recorder.attach_outcome);
        }
        if (!channel->ready_for_bytes()) return;
    }
}

Bench& Bench::connect(std::string_view line, const AttachOutcome& outcome) {
    recorder.attach_outcome = outcome;
    send(line);
    REQUIRE(channel->state() == Channel::State::Connected);
    (void)recorder.take_log();
    return *this;
}

std::string Bench::log() {
    return fmt::format("{}", fmt::join(recorder.take_log(), "\n"));
}

OfferResult Bench::offer(std::string_view topic, QoS qos, std::string_view payload) {
    mqtt::MessageView message;
    message.topic = topic;
    message.payload = payload;
    message.qos = qos;
    Offer offered;
    offered.message = &message;
    offered.qos = qos;
    return channel->offer(now, offered);
}

void Bench::command(std::string_view line) {
    const std::vector<std::string> words = words_of(line);
    const std::string& verb = words.at(0);
    if (verb == "send") {
        send(line.substr(line.find(' ') + 1));
    } else if (verb == "connect") {
        connect("CONNECT " + std::string(line.substr(line.find(' ') + 1)));
    } else if (verb == "offer") {
        command_offer(words);
    } else if (verb == "deliver") {
        command_deliver(words);
    } else if (verb == "host") {
        command_host(words);
    } else if (verb == "limits") {
        command_limits(words);
    } else if (verb == "tick") {
        now += LoopTime(number_of(words.at(1)));
        channel->tick(now);
    } else if (verb == "lost") {
        channel->on_transport_closed(now);
    } else if (verb == "state") {
        recorder.note(fmt::format("state {}", name_of(channel->state())));
    } else if (verb == "let_go") {
        channel->let_go(now, ReasonCode::SessionTakenOver);
    } else if (verb == "disconnect") {
        channel->disconnect(static_cast<ReasonCode>(number_of(words.at(1))), "by the server");
    } else {
        command_answer(words);
    }
    if (channel->ready_for_bytes()) give_input();
}

void Bench::command_answer(const std::vector<std::string>& words) {
    const std::string& verb = words.at(0);
    const std::vector<std::string> plain = plain_words(words);
    std::vector<ReasonCode> codes;
    for (std::size_t i = 1; i < plain.size(); ++i) {
        if (plain[i].starts_with("0x"))
            codes.push_back(static_cast<ReasonCode>(number_of(plain[i])));
    }
    if (verb == "attached") {
        AttachOutcome outcome;
        outcome.reason = reason_of(words);
        outcome.durable = has_word(words, "durable");
        outcome.session_present = has_word(words, "present");
        outcome.first_unacked = MessageNumber(number_of(value_of(words, "first", "1")));
        recorder.attach_waits = false;
        channel->on_attached(now, outcome);
    } else if (verb == "authenticated") {
        AuthOutcome outcome;
        outcome.reason = reason_of(words);
        outcome.data = value_of(words, "data");
        outcome.kind = has_word(words, "continue")        ? AuthOutcome::Kind::Continue
                       : mqtt::is_failure(outcome.reason) ? AuthOutcome::Kind::Refused
                                                          : AuthOutcome::Kind::Accepted;
        channel->on_authenticated(now, outcome);
    } else if (verb == "published") {
        channel->on_published(number_of(plain.at(0)), reason_of(words));
    } else if (verb == "released") {
        channel->on_released(PacketId(static_cast<uint16_t>(number_of(plain.at(0)))),
                             !has_word(words, "missing"));
    } else if (verb == "subscribed") {
        channel->on_subscribed(PacketId(static_cast<uint16_t>(number_of(plain.at(0)))), codes);
    } else if (verb == "unsubscribed") {
        channel->on_unsubscribed(PacketId(static_cast<uint16_t>(number_of(plain.at(0)))), codes);
    } else if (verb == "committed") {
        channel->on_ack_committed(MessageNumber(number_of(plain.at(0))));
    } else if (verb == "drained") {
        channel->on_output_drained(now);
    } else {
        INFO("unknown command " << verb);
        REQUIRE(verb == "resume");
        channel->resume(now);
    }
}

void Bench::command_offer(const std::vector<std::string>& words) {
    const std::vector<std::string> plain = plain_words(words);
    mqtt::MessageView message;
    message.topic = plain.at(0);
    message.payload = plain.at(1);
    if (!value_of(words, "expiry").empty()) {
        message.message_expiry_s = number_of(value_of(words, "expiry"));
    }
    Offer offered;
    offered.message = &message;
    offered.qos = static_cast<QoS>(number_of(value_of(words, "qos", "0")));
    offered.retain = has_word(words, "retain");
    offered.shared_ticket = number_of(value_of(words, "shared", "0"));
    const uint32_t subscription_id = number_of(value_of(words, "sub-id", "0"));
    if (subscription_id != 0) offered.subscription_ids = {&subscription_id, 1};
    switch (channel->offer(now, offered)) {
        case OfferResult::Sent:
            break;
        case OfferResult::Queued:
            recorder.note("queued");
            break;
        case OfferResult::Dropped:
            recorder.note("dropped");
            break;
    }
}

void Bench::command_deliver(const std::vector<std::string>& words) {
    const std::vector<std::string> plain = plain_words(words);
    mqtt::MessageView message;
    message.qos = static_cast<QoS>(number_of(value_of(words, "qos", "1")));
    message.retain = has_word(words, "retain");
    Delivery delivery;
    delivery.number = MessageNumber(number_of(plain.at(0)));
    delivery.dup = has_word(words, "dup");
    delivery.pubrec_known = has_word(words, "pubrec");
    if (!delivery.pubrec_known) {
        message.topic = plain.at(1);
        message.payload = plain.at(2);
    }
    delivery.message = &message;
    switch (channel->deliver(delivery)) {
        case DeliverResult::Sent:
            break;
        case DeliverResult::Settled:
            recorder.note("settled");
            break;
        case DeliverResult::OutOfWindow:
            recorder.note("out_of_window");
            break;
        case DeliverResult::NotConnected:
            recorder.note("not_connected");
            break;
    }
}

void Bench::command_host(const std::vector<std::string>& words) {
    const std::string publish = value_of(words, "publish");
    if (publish == "pending") recorder.verdict = {PublishVerdict::Kind::Pending, {}};
    if (publish == "busy") recorder.verdict = {PublishVerdict::Kind::Busy, {}};
    if (publish == "done") recorder.verdict = {PublishVerdict::Kind::Done, reason_of(words)};
    const std::string auth = value_of(words, "auth");
    if (auth == "pending") recorder.auth.kind = AuthOutcome::Kind::Pending;
    if (auth == "continue") recorder.auth.kind = AuthOutcome::Kind::Continue;
    if (auth == "accepted") recorder.auth.kind = AuthOutcome::Kind::Accepted;
    if (auth == "refused") recorder.auth.kind = AuthOutcome::Kind::Refused;
    if (!auth.empty()) {
        recorder.auth.reason = reason_of(words);
        recorder.auth.data = value_of(words, "data");
    }
    if (!value_of(words, "output").empty()) {
        recorder.stuck_output = number_of(value_of(words, "output"));
    }
}

void Bench::command_limits(const std::vector<std::string>& words) {
    ChannelLimits& limits = context.limits;
    const auto number = [&](const char* key, uint32_t otherwise) {
        return number_of(value_of(words, key, std::to_string(otherwise)));
    };
    limits.max_qos = static_cast<QoS>(number("max_qos", static_cast<uint32_t>(limits.max_qos)));
    limits.retain_available = number("retain", limits.retain_available) != 0;
    limits.wildcard_available = number("wildcard", limits.wildcard_available) != 0;
    limits.shared_available = number("shared", limits.shared_available) != 0;
    limits.subscription_ids_available = number("sub_ids", limits.subscription_ids_available) != 0;
    limits.validate_payload_format = number("validate", limits.validate_payload_format) != 0;
    limits.receive_maximum =
        static_cast<uint16_t>(number("receive_maximum", limits.receive_maximum));
    limits.max_inflight_out = static_cast<uint16_t>(number("inflight", limits.max_inflight_out));
    limits.max_packet_size = number("max_packet_size", limits.max_packet_size);
    limits.max_queued_messages = number("queue", limits.max_queued_messages);
    limits.session_expiry_max = number("expiry_max", limits.session_expiry_max);
    limits.max_keep_alive = std::chrono::seconds(
        number("keep_alive", static_cast<uint32_t>(limits.max_keep_alive.count())));
    limits.max_pending_subscribes =
        static_cast<uint16_t>(number("subscribes", limits.max_pending_subscribes));
    limits.topic_alias_maximum_out =
        static_cast<uint16_t>(number("aliases_out", limits.topic_alias_maximum_out));
    limits.response_topic_prefix = value_of(words, "response", limits.response_topic_prefix);
    if (!value_of(words, "auth_method").empty()) {
        limits.auth_methods.push_back(value_of(words, "auth_method"));
    }
    const std::string full = value_of(words, "full");
    if (full == "drop_newest") limits.queue_full = QueueFull::DropNewest;
    if (full == "disconnect") limits.queue_full = QueueFull::Disconnect;
}

}  // namespace quorate::broker::test
