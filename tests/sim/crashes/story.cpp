#include "tests/sim/crashes/story.h"

#include <algorithm>
#include <utility>

#include "proto/mqtt/message.h"

namespace quorate::sim::crashes {
namespace {

using cluster::AckKind;
using cluster::AnswerCode;
using cluster::LaneClass;

constexpr uint16_t kReceiveMaximum = 3;
constexpr int kRoundsMax = 200;

uint16_t packet_id(uint64_t number) {
    return static_cast<uint16_t>(1 + number % 65'535);
}

}  // namespace

std::string_view to_string(Operation operation) {
    constexpr std::array<std::string_view, kOperations> kNames = {
        "attach", "subscribe", "publish 1", "publish 2", "acknowledge", "detach"};
    return kNames[static_cast<std::size_t>(operation)];
}

bool Story::possible(Operation operation) const {
    switch (operation) {
        case Operation::Attach:
        case Operation::PublishQos1:
            return true;
        case Operation::Acknowledge:
            return link_ == Link::Here && !acks_.empty();
        case Operation::Subscribe:
        case Operation::PublishQos2:
        case Operation::Detach:
            return link_ == Link::Here;
    }
    return false;
}

void Story::begin(Operation operation) {
    switch (operation) {
        case Operation::Attach:
            return attach();
        case Operation::Subscribe: {
            cluster::Subscribe body{session_, epoch_, {}};
            body.requests.push_back({"#", mqtt::QoS::ExactlyOnce});
            return ask(LaneClass::Control, Subscribing{}, body);
        }
        case Operation::PublishQos1:
        case Operation::PublishQos2: {
            Publish& one = publishes_.emplace_back();
            one.payload = std::to_string(publishes_.size());
            if (operation == Operation::PublishQos2) {
                one.id = static_cast<uint16_t>(publishes_.size());
            }
            return send(publishes_.size() - 1);
        }
        case Operation::Acknowledge:
            return acknowledge();
        case Operation::Detach:
            link_ = Link::Away;
            ask(LaneClass::Control, Detaching{},
                cluster::Detached{session_, epoch_, cluster::DetachHow::Lost, std::nullopt,
                                  MessageNumber(written_[epoch_])});
            return;
    }
}

void Story::ask(LaneClass lane, What what, const cluster::CommandBody& body) {
    cluster::CommandHeader header;
    header.lane = {broker_.incarnation(), 0, lane};
    header.number = CommandNumber(++numbers_[lane]);
    header.token = next_token_++;
    asked_.emplace(header.token, std::move(what));
    std::string command;
    cluster::encode_command(command, header, body);
    broker_.propose(command);
}

void Story::attach() {
    link_ = Link::Attaching;
    cluster::Attach body;
    body.client_id = "c";
    body.session_expiry_s = cluster::kNeverExpires;
    body.receive_maximum = kReceiveMaximum;
    body.connection = {broker_.incarnation(), LoopId(), 0, ++connections_};
    ask(LaneClass::Control, Attaching{}, body);
}

void Story::send(std::size_t publish) {
    Publish& one = publishes_[publish];
    one.owed = one.owed || subscribed_;
    mqtt::MessageView message;
    message.topic = "t";
    message.payload = one.payload;
    message.qos = one.id == 0 ? mqtt::QoS::AtLeastOnce : mqtt::QoS::ExactlyOnce;
    std::string flat;
    mqtt::encode_message(flat, message);
    if (one.id == 0) {
        return ask(LaneClass::Publish, Publishing{publish, false},
                   cluster::Enqueue{flat, std::nullopt, std::nullopt});
    }
    ask(LaneClass::Control, Publishing{publish, false},
        cluster::OutboxPut{session_, epoch_, PacketId(one.id), flat});
}

void Story::release(std::size_t publish) {
    ask(LaneClass::Control, Publishing{publish, true},
        cluster::Release{session_, epoch_, PacketId(publishes_[publish].id)});
}

void Story::acknowledge() {
    Acknowledging what{std::exchange(acks_, {})};
    cluster::Ack body{session_, epoch_, what.items};
    ask(LaneClass::Control, std::move(what), body);
}

void Story::listen() {
    for (const cluster::Answer& answer : broker_.take_answers())
        hear(answer);
    for (const cluster::LetGo& request : broker_.take_let_gos()) {
        if (request.connection.incarnation != broker_.incarnation()) continue;
        ask(LaneClass::Control, Detaching{},
            cluster::Detached{request.session, request.epoch, cluster::DetachHow::TakenOver,
                              std::nullopt, MessageNumber(written_[request.epoch])});
    }
    receive();
}

void Story::hear(const cluster::Answer& answer) {
    const auto found = asked_.extract(answer.token);
    if (!found) return complain("R-3: answered twice");
    const What& what = found.mapped();
    const bool taken = answer.code == AnswerCode::Applied || answer.code == AnswerCode::Duplicate;
    if (!taken && answer.code != AnswerCode::StaleEpoch) {
        return complain("R-3: answered with code " + std::to_string(static_cast<int>(answer.code)));
    }
    if (std::holds_alternative<Attaching>(what)) {
        const auto* result = std::get_if<cluster::AttachResult>(&answer.result);
        if (result == nullptr) return complain("R-3: an Attach has another command's answer");
        return attached(*result);
    }
    if (!taken) return;
    if (std::holds_alternative<Subscribing>(what)) {
        subscribed_ = true;
    } else if (const auto* publishing = std::get_if<Publishing>(&what)) {
        Publish& one = publishes_[publishing->publish];
        one.answered = true;
        one.complete = one.id == 0 || publishing->release;
        if (!one.complete && link_ == Link::Here) release(publishing->publish);
    } else if (const auto* acknowledging = std::get_if<Acknowledging>(&what)) {
        for (const cluster::AckItem& item : acknowledging->items) {
            Received& one = received_[item.number.value()];
            if (item.kind != AckKind::PubrecOk) {
                one.done = true;
                continue;
            }
            one.pubrec_told = true;
            unfinished_.erase(packet_id(item.number.value()));
            if (link_ == Link::Here) acks_.push_back({item.number, AckKind::Pubcomp});
        }
        if (!acks_.empty()) acknowledge();
    }
}

void Story::attached(const cluster::AttachResult& result) {
    if (result.code != mqtt::ReasonCode::Success) return complain("G7: CONNECT is refused");
    if (existed_ && (!result.session_present || result.session != session_)) {
        complain("M8: the session is gone");
    }
    existed_ = true;
    link_ = Link::Here;
    session_ = result.session;
    epoch_ = result.epoch;
    mark_ = result.mark.value();
    next_ = result.first_unacked.value();
    acks_.clear();
    for (std::size_t i = 0; i < publishes_.size(); ++i) {
        if (publishes_[i].id == 0 || publishes_[i].complete) continue;
        if (publishes_[i].answered) release(i);
        if (!publishes_[i].answered) send(i);
    }
}

void Story::receive() {
    if (link_ != Link::Here) return;
    const auto view = broker_.state().session(session_);
    if (!view || view->epoch != epoch_) return complain("G7: the connection is not the holder");
    const uint64_t end = view->first_unacked.value() + kReceiveMaximum;
    const Status read =
        broker_.state().read_queue(session_, MessageNumber(next_), UINT32_MAX, UINT64_MAX,
                                   broker_.time(), [&](const cluster::QueueEntryView& entry) {
                                       if (entry.number.value() >= end) return false;
                                       take(entry);
                                       next_ = entry.number.value() + 1;
                                       return true;
                                   });
    if (!read) complain("a queue cannot be read: " + read.error().message);
}

void Story::take(const cluster::QueueEntryView& entry) {
    const uint64_t number = entry.number.value();
    const std::string where = "number " + std::to_string(number);
    if (entry.packet_id.value() != packet_id(number))
        complain("R-6: packet identifier of " + where);
    if (entry.dup != (number <= mark_)) complain("R-6: DUP of " + where);
    const auto [known, first] = received_.emplace(number, Received{});
    Received& one = known->second;
    if (first) {
        one.payload = entry.message.payload;
        one.twice = entry.message.qos == mqtt::QoS::ExactlyOnce;
        if (entry.pubrec_known) complain("R-6: a PUBREL for what was never sent: " + where);
    } else {
        if (one.payload != entry.message.payload) complain("R-6: another payload: " + where);
        if (one.done) complain("M2: sent again after it was completed: " + where);
        if (!entry.dup) complain("R-6: DUP=0 for what was sent before: " + where);
        if (one.pubrec_told && !entry.pubrec_known) complain("M2: a PUBREC is forgotten: " + where);
    }
    written_[epoch_] = std::max(written_[epoch_], number);
    hand_to_application(entry);
}

void Story::hand_to_application(const cluster::QueueEntryView& entry) {
    const uint16_t id = entry.packet_id.value();
    if (entry.pubrec_known) {
        unfinished_.erase(id);
        acks_.push_back({entry.number, AckKind::Pubcomp});
        return;
    }
    const bool twice = entry.message.qos == mqtt::QoS::ExactlyOnce;
    acks_.push_back({entry.number, twice ? AckKind::PubrecOk : AckKind::Puback});
    if (twice && !unfinished_.insert(id).second) return;
    const std::string payload(entry.message.payload);
    const uint32_t times = ++delivered_[payload];
    if (twice && times > 1) complain("M2: got twice: " + payload);
    if (twice || times > 1) return;
    const std::size_t publish = std::stoul(payload);
    if (publish < newest_ && publishes_[publish - 1].owed) complain("M3: out of order: " + payload);
    newest_ = std::max(newest_, publish);
}

void Story::reconnect() {
    numbers_.clear();
    asked_.clear();
    link_ = Link::Away;
    acks_.clear();
    attach();
    for (std::size_t i = 0; i < publishes_.size(); ++i) {
        if (publishes_[i].id == 0 && !publishes_[i].answered) send(i);
    }
}

bool Story::settle() {
    for (int round = 0; round < kRoundsMax && complaint_.empty(); ++round) {
        while (broker_.step())
            listen();
        listen();
        if (!acks_.empty() && link_ == Link::Here) {
            acknowledge();
        } else if (asked_.empty() && !broker_.step()) {
            return true;
        }
    }
    return false;
}

void Story::judge() {
    for (const Publish& one : publishes_) {
        if (!one.complete && link_ == Link::Here) complain("R9: not complete: " + one.payload);
        if (one.owed && !delivered_.contains(one.payload)) {
            complain("M1: acknowledged, and never delivered: " + one.payload);
        }
    }
    const auto view = broker_.state().session(session_);
    if (view && view->queued > 0) complain("M11: a queue that does not end");
    if (!broker_.state().outbox_targets().empty()) complain("M11: an outbox that does not end");
}

}  // namespace quorate::sim::crashes
