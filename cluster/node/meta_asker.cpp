#include "cluster/node/meta_asker.h"

#include <future>
#include <memory>
#include <utility>

#include "cluster/group/group_ids.h"
#include "cluster/meta/replica_id.h"
#include "cluster/node/bootstrap_driver.h"
#include "proto/base/bytes.h"

namespace quorate::cluster {
namespace {

constexpr uint8_t kVersion = 1;
constexpr std::chrono::milliseconds kPoll{20};
constexpr std::chrono::milliseconds kAskEvery{200};
constexpr std::chrono::seconds kProposeEvery{1};
constexpr std::chrono::milliseconds kQuestionDeadline{2000};
constexpr std::chrono::seconds kAnswerWithin{5};
constexpr uint32_t kHopsMax = 3;

}  // namespace

std::string encode(const MetaReply& reply) {
    std::string bytes;
    RecordWriter out(bytes);
    out.u8(kVersion);
    out.u8(reply.answer ? 1 : 0);
    out.text(reply.leader_at);
    if (!reply.answer) return bytes;
    out.u64(reply.answer->token);
    out.u8(static_cast<uint8_t>(reply.answer->code));
    out.u64(reply.answer->cluster_id);
    out.id(reply.answer->node);
    out.id(reply.answer->incarnation);
    out.id(reply.answer->replica);
    return bytes;
}

Result<MetaReply> decode_meta_reply(std::string_view bytes) {
    RecordReader in(bytes);
    MetaReply reply;
    const uint8_t version = in.u8();
    const uint8_t answered = in.u8();
    reply.leader_at = std::string(in.text());
    uint8_t code = 0;
    if (answered == 1) {
        MetaAnswer& answer = reply.answer.emplace();
        answer.token = in.u64();
        code = in.u8();
        answer.code = static_cast<MetaCode>(code);
        answer.cluster_id = in.u64();
        answer.node = in.id<NodeId>();
        answer.incarnation = in.id<Incarnation>();
        answer.replica = in.id<ReplicaId>();
    }
    if (version == kVersion && answered <= 1 && in.finished() &&
        code <= static_cast<uint8_t>(MetaCode::LimitExceeded) &&
        reply.leader_at.size() <= MetaState::kTextMax) {
        return reply;
    }
    return Error{ErrorCode::Corrupt, "not an answer to a command to meta"};
}

void MetaAsker::connect(link::LinkHost& links, NodeId self, std::vector<std::string> elsewhere) {
    links_ = &links;
    self_ = self;
    elsewhere_ = std::move(elsewhere);
}

Worker& MetaAsker::worker() {
    return host_.worker(WorkerId(static_cast<uint16_t>(kMetaGroup.value() % host_.workers())));
}

void MetaAsker::ask(const MetaCommandBody& body, std::chrono::nanoseconds limit, Done done) {
    ask(new_token(), body, limit, std::move(done));
}

void MetaAsker::ask(uint64_t token, const MetaCommandBody& body, std::chrono::nanoseconds limit,
                    Done done) {
    std::string command;
    encode_meta_command(command, token, body);
    // Its place is looked for where the requests are; the mailbox itself refuses nothing.
    worker().post_reserved(
        [this, token, command = std::move(command), limit, done = std::move(done)]() mutable {
            add(token, std::move(command), limit, std::move(done));
        });
}

Result<MetaAnswer> MetaAsker::ask_and_wait(uint64_t token, const MetaCommandBody& body,
                                           std::chrono::nanoseconds limit) {
    std::promise<Result<MetaAnswer>> answered;
    ask(token, body, limit,
        [&answered](Result<MetaAnswer> answer) { answered.set_value(std::move(answer)); });
    return answered.get_future().get();
}

void MetaAsker::add(uint64_t token, std::string command, Time limit, Done done) {
    if (requests_.size() >= kAsksMax || requests_.contains(token)) {
        return done(Error{ErrorCode::LimitExceeded, "too many commands to meta at once"});
    }
    Request& request = requests_[token];
    request.command = std::move(command);
    request.deadline = worker().clock().now() + limit;
    request.done = std::move(done);
    work();
}

void MetaAsker::on_question(const link::QuestionView& question, link::AnswerDoor door) {
    if (!question.from.member) {
        return door.answer(
            Error{ErrorCode::NotAuthorized, "only members of the cluster command meta"});
    }
    Task task([this, command = std::string(as_text(question.bytes)),
               held = std::move(door)]() mutable { answer_other(command, std::move(held)); });
    // Without room it is destroyed, and the asker comes again.
    if (!worker().post(task)) return;
}

void MetaAsker::answer_other(const std::string& command, link::AnswerDoor door) {
    const auto decoded = decode_meta_command(command);
    if (!decoded.ok()) return door.answer(decoded.error());
    const Group* group = meta_.group();
    const bool leads = group != nullptr && group->leading() && waiting_.size() < kAsksMax;
    if (!leads || !meta_.propose(command).ok()) {
        return door.answer(encode(MetaReply{std::nullopt, leaders_address()}));
    }
    const Time deadline = worker().clock().now() + kAnswerWithin;
    waiting_.insert_or_assign(decoded->token, Waiting{std::move(door), deadline});
    arm();
}

void MetaAsker::answered(const MetaAnswer& answer) {
    if (auto other = waiting_.extract(answer.token)) {
        other.mapped().door.answer(encode(MetaReply{answer, {}}));
    }
    finish(answer.token, answer);
}

void MetaAsker::finish(uint64_t token, const Result<MetaAnswer>& answer) {
    if (auto request = requests_.extract(token)) request.mapped().done(answer);
}

void MetaAsker::work() {
    const Time now = worker().clock().now();
    std::erase_if(waiting_, [now](const auto& entry) { return entry.second.deadline <= now; });
    std::vector<uint64_t> late;
    for (auto& [token, request] : requests_) {
        if (request.deadline <= now) {
            late.push_back(token);
        } else {
            try_one(token, request, now);
        }
    }
    for (const uint64_t token : late)
        finish(token, Error{ErrorCode::Unavailable, "no leader of meta answered in time"});
    arm();
}

void MetaAsker::try_one(uint64_t token, Request& request, Time now) {
    const Group* group = meta_.group();
    if (group != nullptr && group->leading()) {
        if (request.proposed && now < request.again) return;
        request.proposed = meta_.propose(request.command).ok();
        request.again = now + kProposeEvery;
        return;
    }
    if (request.proposed) request.again = now;
    request.proposed = false;
    if (links_ != nullptr && !request.under_way && now >= request.again) send(token, request, now);
}

void MetaAsker::send(uint64_t token, Request& request, Time now) {
    request.again = now + kAskEvery;
    const std::string address = next_address(request);
    if (address.empty()) return;
    const Status asked =
        links_->ask({address, kMetaQuestion, kQuestionDeadline}, request.command,
                    [this, token](Result<std::string> reply) {
                        worker().post_reserved(
                            [this, token, reply = std::move(reply)] { replied(token, reply); });
                    });
    request.under_way = asked.ok();
}

void MetaAsker::replied(uint64_t token, const Result<std::string>& reply) {
    const auto found = requests_.find(token);
    if (found == requests_.end()) return;
    Request& request = found->second;
    request.under_way = false;
    const Result<MetaReply> said = reply.ok() ? decode_meta_reply(*reply) : reply.error();
    if (!said.ok()) return;
    if (said->answer && said->answer->token == token) return finish(token, *said->answer);
    if (said->leader_at.empty() || request.hops >= kHopsMax) {
        request.hops = 0;
        return;
    }
    ++request.hops;
    request.redirect = said->leader_at;
    request.again = {};
    work();
}

std::string MetaAsker::leaders_address() const {
    const Group* group = meta_.group();
    if (group == nullptr || group->leader().value() == 0) return {};
    const NodeId leader = node_of(group->leader());
    const MetaView view = meta_.view();
    const MetaNode* node = view.state->node(leader);
    return leader == self_ || node == nullptr ? std::string() : node->address;
}

// Whom it was sent to, then by turns the leader as far as it is known here, and any other node.
std::string MetaAsker::next_address(Request& request) const {
    if (!request.redirect.empty()) return std::exchange(request.redirect, {});
    const uint32_t turn = request.tries++;
    if (turn % 2 == 0) {
        if (std::string leader = leaders_address(); !leader.empty()) return leader;
    }
    std::vector<std::string> others = elsewhere_;
    const MetaView view = meta_.view();
    for (const auto& [id, node] : view.state->nodes()) {
        if (id != self_ && node.state != NodeState::Gone && !node.address.empty()) {
            others.push_back(node.address);
        }
    }
    if (others.empty()) return {};
    return others[turn % others.size()];
}

void MetaAsker::arm() {
    if (armed_ || (requests_.empty() && waiting_.empty())) return;
    const auto timer = worker().call_later(kPoll, [this] {
        armed_ = false;
        work();
    });
    armed_ = timer.ok();
}

}  // namespace quorate::cluster
