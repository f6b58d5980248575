#include "bench/load/client/dialer.h"

#include <algorithm>

#include <fmt/format.h>

namespace quorate::bench {
namespace {

constexpr std::uint32_t kFiltersPerSubscribe = 100;

}  // namespace

Dialer::Dialer(EventLoop& loop, FrameSink& next, DialLimits limits)
    : loop_(loop), next_(next), limits_(limits) {}

Failure Dialer::run(std::span<const DialPlan> plans) {
    plans_ = plans;
    dialed_.assign(plans.size(), Dialed{});
    opened_.assign(plans.size(), nullptr);
    filters_sent_.assign(plans.size(), 0);
    filters_granted_.assign(plans.size(), 0);
    started_ = finished_ = failed_ = 0;
    begin_ = last_progress_ = monotonic_now();
    while (finished_ < plans_.size()) {
        start_more();
        loop_.turn(std::chrono::milliseconds(limits_.connects_per_s > 0 ? 1 : 100), *this);
        if (failed_ > 0 && !limits_.failures_allowed) return first_failure_;
        if (monotonic_now() - last_progress_ <= limits_.timeout) continue;
        const std::size_t left = plans_.size() - finished_;
        if (!limits_.failures_allowed) {
            return fmt::format(
                "{} of {} connections not up: no answer for {} s", left, plans_.size(),
                std::chrono::duration_cast<std::chrono::seconds>(limits_.timeout).count());
        }
        abandon();
    }
    return std::nullopt;
}

void Dialer::abandon() {
    for (std::uint32_t slot = 0; slot < started_; ++slot) {
        Connection* connection = opened_[slot];
        if (connection == nullptr || connection->dial_slot != slot) continue;
        fail(connection, slot, "no answer within the timeout");
    }
}

bool Dialer::too_fast() const {
    if (limits_.connects_per_s == 0) return false;
    const double elapsed_s = std::chrono::duration<double>(monotonic_now() - begin_).count();
    return static_cast<double>(started_) > elapsed_s * static_cast<double>(limits_.connects_per_s);
}

void Dialer::start_more() {
    while (started_ < plans_.size() && started_ - finished_ < limits_.in_progress_max &&
           !too_fast()) {
        const auto slot = static_cast<std::uint32_t>(started_++);
        const DialPlan& plan = plans_[slot];
        std::string error;
        Connection* connection = loop_.open(*plan.endpoint, plan.source_host, error);
        if (connection == nullptr) {
            fail(nullptr, slot, error);
            continue;
        }
        connection->version = plan.fields.version;
        connection->role = plan.role;
        connection->index = plan.index;
        connection->dial_slot = slot;
        opened_[slot] = connection;
    }
}

void Dialer::fail(Connection* connection, std::uint32_t slot, std::string why) {
    if (first_failure_.empty()) {
        first_failure_ = fmt::format("{}: client '{}': {}", plans_[slot].endpoint->text,
                                     plans_[slot].fields.client_id, why);
    }
    if (connection != nullptr) {
        connection->dial_slot = Connection::kNotDialing;
        loop_.close(*connection);
    }
    dialed_[slot].connection = nullptr;
    ++failed_;
    ++finished_;
    last_progress_ = monotonic_now();
}

void Dialer::on_connected(Connection& connection) {
    append_connect(connection.output(), plans_[connection.dial_slot].fields);
    loop_.touch(connection);
}

void Dialer::on_frame(Connection& connection, const Frame& frame, Nanos now) {
    if (connection.dial_slot == Connection::kNotDialing) {
        next_.on_frame(connection, frame, now);
        return;
    }
    last_progress_ = now;
    if (dialed_[connection.dial_slot].connection == nullptr) {
        take_connack(connection, frame);
    } else if (frame.type() == PacketType::suback) {
        take_suback(connection, frame);
    } else if (frame.type() == PacketType::disconnect) {
        fail(&connection, connection.dial_slot,
             fmt::format("DISCONNECT with reason 0x{:02X}", disconnect_reason(frame)));
    } else {
        next_.on_frame(connection, frame, now);  // a PUBLISH may overtake the SUBACK
    }
}

void Dialer::take_connack(Connection& connection, const Frame& frame) {
    const std::uint32_t slot = connection.dial_slot;
    const std::optional<Connack> connack = parse_connack(frame, connection.version);
    if (!connack) {
        fail(&connection, slot, "the first packet is not a well-formed CONNACK");
    } else if (connack->code != 0) {
        fail(&connection, slot, fmt::format("CONNACK with code 0x{:02X}", connack->code));
    } else {
        dialed_[slot] = Dialed{&connection, *connack};
        connection.keep_alive_s = connack->server_keep_alive_s != 0
                                      ? connack->server_keep_alive_s
                                      : plans_[slot].fields.keep_alive_s;
        go_on(connection);
    }
}

void Dialer::take_suback(Connection& connection, const Frame& frame) {
    const std::uint32_t slot = connection.dial_slot;
    const std::optional<Suback> suback = parse_suback(frame, connection.version);
    if (!suback || suback->reasons.size() != filters_sent_[slot] - filters_granted_[slot]) {
        fail(&connection, slot, "malformed SUBACK");
        return;
    }
    for (const std::uint8_t reason : suback->reasons) {
        if (reason == plans_[slot].qos) continue;
        fail(&connection, slot,
             fmt::format("SUBACK 0x{:02X} for '{}', asked for QoS {}", reason,
                         plans_[slot].filters[filters_granted_[slot]], plans_[slot].qos));
        return;
    }
    filters_granted_[slot] = filters_sent_[slot];
    go_on(connection);
}

void Dialer::go_on(Connection& connection) {
    const std::uint32_t slot = connection.dial_slot;
    const DialPlan& plan = plans_[slot];
    const auto filters = static_cast<std::uint32_t>(plan.filters.size());
    const std::uint32_t sent = filters_sent_[slot];
    if (sent == filters) {
        connection.dial_slot = Connection::kNotDialing;
        ++finished_;
        return;
    }
    const std::uint32_t count = std::min(kFiltersPerSubscribe, filters - sent);
    const auto packet_id = static_cast<std::uint16_t>(1 + sent / kFiltersPerSubscribe);
    append_subscribe(connection.output(), connection.version, packet_id,
                     std::span(plan.filters).subspan(sent, count), plan.qos);
    filters_sent_[slot] = sent + count;
    loop_.touch(connection);
}

void Dialer::on_closed(Connection& connection, std::string_view why) {
    if (connection.dial_slot == Connection::kNotDialing) {
        next_.on_closed(connection, why);
        return;
    }
    const std::uint32_t slot = connection.dial_slot;
    connection.dial_slot = Connection::kNotDialing;
    fail(nullptr, slot, std::string(why));
}

void Dialer::on_drained(Connection& connection) {
    if (connection.dial_slot == Connection::kNotDialing) next_.on_drained(connection);
}

void Dialer::on_turn_read() {
    next_.on_turn_read();
}

}  // namespace quorate::bench
