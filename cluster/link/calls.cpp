#include "cluster/link/calls.h"

#include <algorithm>
#include <utility>

#include <grpcpp/grpcpp.h>
#include <quorate/v1/link.grpc.pb.h>

#include "cluster/link/core.h"
#include "cluster/link/transport.h"
#include "cluster/link/wire/batch.h"

namespace quorate::link {

namespace {

enum Kind : uint8_t { kArrival, kFinish };

}  // namespace

struct Asking::Wire {
    grpc::ClientContext context;
    std::unique_ptr<v1::Link::Stub> stub;
    std::unique_ptr<grpc::ClientAsyncResponseReader<v1::Answer>> reader;
    v1::Question question;
    v1::Answer answer;
    grpc::Status status;
};

Asking::Asking(LinkCore& core, std::string address, Question question, std::string bytes,
               Reply reply)
    : core_(core),
      address_(std::move(address)),
      wire_(std::make_unique<Wire>()),
      reply_(std::move(reply)),
      finish_(*this, kFinish) {
    encode(core_.hello(TrafficClass::Bulk, {}), *wire_->question.mutable_greeting());
    wire_->question.set_kind(question.kind.value());
    wire_->question.set_data(std::move(bytes));
    wire_->context.set_deadline(std::chrono::system_clock::now() + question.deadline);
}

Asking::~Asking() = default;

void Asking::start() {
    const auto channel = core_.transport().dial(address_);
    if (channel == nullptr) {
        done_ = true;
        reply_(Error{ErrorCode::InvalidArgument,
                     "not an address this node may ask without TLS: " + address_});
        return;
    }
    wire_->stub = v1::Link::NewStub(channel);
    wire_->reader =
        wire_->stub->PrepareAsyncAsk(&wire_->context, wire_->question, &core_.loop().queue());
    wire_->reader->StartCall();
    wire_->reader->Finish(&wire_->answer, &wire_->status, finish_.tag());
}

void Asking::cancel() {
    wire_->context.TryCancel();
}

Result<std::string> Asking::judge() {
    if (!wire_->status.ok()) {
        return Error{ErrorCode::Unavailable, wire_->status.error_message()};
    }
    v1::Answer& answer = wire_->answer;
    if (answer.has_refusal()) {
        core_.refused_by_peer(reason_of(answer.refusal()));
        return Error{ErrorCode::NotAuthorized, answer.refusal().text()};
    }
    Hello hello;
    if (!decode(answer.greeting(), hello)) {
        core_.refused(LinkRefusal::Malformed);
        return Error{ErrorCode::Corrupt, "the answer is not one"};
    }
    const Verdict verdict =
        core_.judge_question(hello, core_.transport().proof_of(wire_->context.auth_context()));
    if (verdict.refusal) {
        core_.refused(*verdict.refusal);
        core_.log().warn(
            "answer refused",
            {{"from", address_}, {"reason", to_string(*verdict.refusal)}, {"text", verdict.text}});
        return Error{ErrorCode::NotAuthorized, verdict.text};
    }
    if (answer.error() != 0) {
        const uint32_t last = static_cast<uint32_t>(ErrorCode::Locked) + 1;
        const uint32_t code = answer.error() <= last ? answer.error() - 1 : 0;
        return Error{static_cast<ErrorCode>(code), answer.error_text()};
    }
    return std::move(*answer.mutable_data());
}

void Asking::on_completion(uint8_t /*kind*/, bool /*ok*/) noexcept {
    done_ = true;
    Result<std::string> result = judge();
    core_.metrics().add<Metric::LinkCalls>(result.ok() ? ResultLabel::Ok : ResultLabel::Failed);
    reply_(std::move(result));
}

struct Answering::Wire {
    grpc::ServerContext context;
    grpc::ServerAsyncResponseWriter<v1::Answer> writer{&context};
    v1::Question question;
    v1::Answer answer;
};

Answering::Answering(LinkCore& core, uint64_t number)
    : core_(core),
      number_(number),
      wire_(std::make_unique<Wire>()),
      arrival_(*this, kArrival),
      finish_(*this, kFinish) {}

Answering::~Answering() = default;

void Answering::offer() {
    core_.transport().request_question({wire_->context, wire_->question, wire_->writer},
                                       core_.loop().queue(), arrival_.tag());
}

void Answering::on_completion(uint8_t kind, bool ok) noexcept {
    if (static_cast<Kind>(kind) == kFinish || !ok) {
        done_ = true;
        return;
    }
    on_arrived();
}

void Answering::on_arrived() {
    core_.next_question();
    Hello hello;
    Verdict verdict;
    Asker asker;
    const Proof proof = core_.transport().proof_of(wire_->context.auth_context());
    if (!decode(wire_->question.greeting(), hello)) {
        verdict.refusal = LinkRefusal::Malformed;
        verdict.text = "the question has no greeting";
    } else if (core_.questions_under_way() > core_.options().questions_max) {
        verdict.refusal = LinkRefusal::Limit;
        verdict.text = "too many questions at once";
    } else {
        verdict = core_.judge_question(hello, proof);
    }
    if (verdict.refusal) {
        core_.refused(*verdict.refusal);
        core_.log().warn("question refused", {{"from", wire_->context.peer()},
                                              {"node", hello.peer.node.value()},
                                              {"reason", to_string(*verdict.refusal)},
                                              {"text", verdict.text}});
        encode(verdict, *wire_->answer.mutable_refusal());
        answered_ = true;
        core_.metrics().add<Metric::LinkCallsServed>(ResultLabel::Failed);
        wire_->writer.Finish(wire_->answer, grpc::Status::OK, finish_.tag());
        return;
    }
    asker = {hello.cluster_id, hello.peer, core_.is_member(hello.peer.node), proof.uris};
    AnswerDoor door(core_.loop().door(), [&core = core_, number = number_](Result<std::string> r) {
        core.answer(number, std::move(r));
    });
    core_.handler().on_question(
        {QuestionKind(wire_->question.kind()), as_bytes(wire_->question.data()), asker},
        std::move(door));
}

void Answering::answer(Result<std::string> result) {
    if (std::exchange(answered_, true)) return;
    if (result.ok() && result.value().size() > kItemBytesMax) {
        result = Error{ErrorCode::LimitExceeded, "the answer is too large for a message"};
    }
    v1::Answer& out = wire_->answer;
    encode(core_.hello(TrafficClass::Bulk, {}), *out.mutable_greeting());
    core_.metrics().add<Metric::LinkCallsServed>(result.ok() ? ResultLabel::Ok
                                                             : ResultLabel::Failed);
    if (result.ok()) {
        out.set_data(std::move(result).value());
    } else {
        out.set_error(static_cast<uint32_t>(result.error().code) + 1);
        out.set_error_text(result.error().message);
    }
    wire_->writer.Finish(out, grpc::Status::OK, finish_.tag());
}

void Calls::ask(std::string address, Question question, std::string bytes, Asking::Reply reply) {
    asking_.push_back(std::make_unique<Asking>(core_, std::move(address), std::move(question),
                                               std::move(bytes), std::move(reply)));
    asking_.back()->start();
}

void Calls::offer_next() {
    answering_.push_back(std::make_unique<Answering>(core_, ++last_number_));
    answering_.back()->offer();
}

void Calls::answer(uint64_t number, Result<std::string> result) {
    const auto found = std::ranges::find_if(
        answering_, [number](const auto& each) { return each->number() == number; });
    if (found != answering_.end()) (*found)->answer(std::move(result));
}

std::size_t Calls::answering() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(answering_, [](const auto& each) { return !each->waits(); }));
}

void Calls::stop() {
    for (const auto& each : asking_)
        each->cancel();
    for (const auto& each : answering_) {
        if (!each->waits() && !each->done()) {
            each->answer(Error{ErrorCode::Unavailable, "this node stops"});
        }
    }
}

void Calls::reap() {
    std::erase_if(asking_, [](const auto& each) { return each->done(); });
    std::erase_if(answering_, [](const auto& each) { return each->done(); });
}

}  // namespace quorate::link
