#include "tests/unit/rules/owner_node.h"

#include <utility>

#include "proto/base/assert.h"
#include "proto/mqtt/message.h"

namespace quorate::cluster::rules {

namespace {
constexpr BootTime kNow(1);
constexpr BootTime kLeased(2);
}  // namespace

OwnerNode::OwnerNode(uint32_t node, ReplicatedShard& topics)
    : node_(node), incarnation_(make_incarnation(node_, 1)), topics_(topics) {
    follow();
}

void OwnerNode::lead(Term term, bool ready) {
    follow();
    term_ = term;
    gate_.lead(term);
    acceptor_.lead(term);
    if (ready) first_entry_applied();
}

void OwnerNode::follow() {
    gate_.follow();
    acceptor_.follow();
    owner_ = std::make_unique<Owner>(*this, ShardLayout{1, 0});
    asked_.clear();
}

bool OwnerNode::ready() const {
    return gate_.may_act(tables_, kLeased, kLeased, kNow);
}

Replies OwnerNode::receive(const PublishStream::Output& output) {
    Replies out;
    tables_.read();
    tables_.loaded(1);
    const StreamName name = FrontEndLoop::name();
    const auto refuse = [&out](uint32_t attempt) { out.push_back({attempt, true, 0, {}, 0}); };
    if (output.begin && acceptor_.begin(name, *output.begin, ready()) == Acceptance::Refuse) {
        refuse(output.begin->attempt);
    }
    for (const StreamItem& item : output.items) {
        const Acceptance acceptance = acceptor_.item(name, item, ready());
        if (acceptance == Acceptance::Refuse) refuse(item.attempt);
        if (acceptance != Acceptance::Accept) continue;
        const auto view = mqtt::decode_message(item.message.text());
        ASSERT(view.has_value(), "a schedule sends messages");
        const Ticket ticket = item.number == 0 ? 0 : ++next_ticket_;
        if (ticket != 0) {
            asked_[ticket] = {item.attempt, item.number, {}};
            if (!gate_.open(ticket)) {
                refuse(item.attempt);
                continue;
            }
        }
        if (view->retain) numbers_[std::string(view->payload)] = item.number;
        const OutboxSource source = source_of(name, topics_.id(), item);
        const bool twice_matters = view->qos == mqtt::QoS::ExactlyOnce;
        owner_->publish(local_port(PortId(0)), ticket, *view, false,
                        twice_matters ? &source : nullptr);
    }
    const Replies answered = take_replies();
    out.insert(out.end(), answered.begin(), answered.end());
    return out;
}

Replies OwnerNode::read(ShardId shard, const std::vector<Answer>& answers) {
    for (const Answer& answer : answers) {
        if (answer.code == AnswerCode::Gap) {
            wires_[shard] = lane(shard).resend();
            continue;
        }
        const auto done = lane(shard).read({answer});
        if (done.empty()) continue;
        if (answer.code == AnswerCode::StaleSource) {
            follow();
            return {};
        }
        owner_->on_command(done.front(), answer);
    }
    return take_replies();
}

Replies OwnerNode::copy_answered(uint64_t number, CopyVerdict verdict) {
    std::vector<CopySender::Done> done;
    copies_.answered(number, verdict, done);
    for (const CopySender::Done& each : done) {
        if (each.stale) {
            follow();
            return {};
        }
        owner_->on_taken({each.token, 1, mqtt::ReasonCode::Success});
    }
    return take_replies();
}

Replies OwnerNode::confirm_round(uint64_t id) {
    gate_.round_confirmed(id, answers_);
    return take_replies();
}

Replies OwnerNode::confirm() {
    begin_round(++next_round_);
    return confirm_round(next_round_);
}

Replies OwnerNode::take_replies() {
    Replies out;
    for (const uint64_t ticket : std::exchange(answers_, {})) {
        const Asked& asked = asked_[ticket];
        out.push_back(
            {asked.attempt, false, asked.number, asked.taken.code, asked.taken.receivers});
    }
    return out;
}

LaneEnd& OwnerNode::lane(ShardId shard) {
    auto& found = lanes_[shard];
    if (!found) found = std::make_unique<LaneEnd>(node_, shard, LaneClass::Publish);
    return *found;
}

bool OwnerNode::match(std::string_view /*topic*/, Destinations& out, bool /*accepted*/) {
    out = destinations;
    return true;
}

bool OwnerNode::may_retain(std::string_view /*topic*/, bool /*accepted*/) {
    return true;
}

void OwnerNode::enqueue(ShardId shard, uint64_t token, const Enqueue& body, ShardId /*of*/) {
    const Wire wire = lane(shard).send(body, SourceFence{topics_.id(), term_}, token);
    wires_[shard].insert(wires_[shard].end(), wire.begin(), wire.end());
}

void OwnerNode::retain(ShardId /*shard*/, uint64_t token, const Retain& body) {
    Retain numbered = body;
    numbered.stream = FrontEndLoop::name();
    numbered.stream_number = numbers_[payload_of(body.message)];
    const Wire wire = lane(topics_.id()).send(numbered, std::nullopt, token);
    auto& wires = wires_[topics_.id()];
    wires.insert(wires.end(), wire.begin(), wire.end());
}

void OwnerNode::to_group(const GroupRoute& /*group*/, Ticket /*ticket*/,
                         const SharedBytes& /*flat*/, const OutboxSource* /*source*/) {}

void OwnerNode::to_loop(LoopId /*loop*/, Ticket ticket, const mqtt::MessageView& message,
                        const OutboxSource* source) {
    if (ticket == 0) return;
    std::string flat;
    mqtt::encode_message(flat, message);
    Copy copy;
    copy.fence = {topics_.id(), term_};
    if (source != nullptr) copy.source = *source;
    copy.message = SharedBytes(as_bytes(flat));
    const bool sent = copies_.send(ticket, std::move(copy));
    ASSERT(sent, "a schedule's window has room");
}

void OwnerNode::to_live(ShardId /*shard*/, const mqtt::MessageView& /*message*/) {}

void OwnerNode::answer(PortRef /*asker*/, const TakenBatch::Taken& taken) {
    const auto found = asked_.find(taken.ticket);
    if (found == asked_.end()) return;
    found->second.taken = taken;
    gate_.complete(taken.ticket, answers_);
}

void OwnerNode::answer(const HandOverDone& /*done*/) {}

// FrontEndLoop.

void FrontEndLoop::publish(const std::string& payload, int qos, bool retain, uint64_t connection) {
    PublishStream::Publish publish;
    publish.connection = connection;
    publish.ticket = ++next_ticket_;
    publish.deadline = BootTime(next_ticket_);
    const std::string flat = message("t", payload, qos, retain);
    publish.message = SharedBytes(as_bytes(flat));
    payloads_[publish.ticket] = payload;
    const auto number = stream_.add(std::move(publish));
    ASSERT(number.has_value(), "a schedule's window has room");
}

bool FrontEndLoop::read(const Replies& replies) {
    bool again = false;
    for (const OwnerReply& reply : replies) {
        if (reply.refused) {
            again = stream_.refused(reply.attempt) || again;
        } else {
            stream_.answered(reply.attempt, reply.number, reply.code, reply.receivers);
        }
    }
    for (const PublishStream::Settled& each : stream_.take_settled()) {
        const bool success = !each.timed_out && !mqtt::is_failure(each.code);
        if (success) acknowledged_.push_back(payloads_[each.ticket]);
    }
    return again;
}

void FrontEndLoop::give_up(const std::string& payload) {
    for (const auto& [ticket, text] : payloads_) {
        if (text == payload) stream_.expire(BootTime(ticket));
    }
    (void)stream_.take_settled();
}

}  // namespace quorate::cluster::rules
