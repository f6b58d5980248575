#include "cluster/link/incoming_stream.h"

#include <algorithm>
#include <string>
#include <utility>

#include <grpcpp/grpcpp.h>
#include <quorate/v1/link.grpc.pb.h>

#include "cluster/link/core.h"
#include "cluster/link/transport.h"
#include "cluster/link/wire/batch.h"

namespace quorate::link {

namespace {

enum Kind : uint8_t { kArrival, kClosing, kRead, kWrite };

// Receipts are sent in steps of this part of the window.
constexpr uint64_t kReceiptsPerWindow = 8;

}  // namespace

struct IncomingStream::Wire {
    grpc::ServerContext context;
    grpc::ServerAsyncReaderWriter<v1::FromAcceptor, v1::FromDialer> stream{&context};
    v1::FromDialer in;
    v1::FromAcceptor out;
};

IncomingStream::IncomingStream(LinkCore& core)
    : core_(core),
      wire_(std::make_unique<Wire>()),
      arrival_(*this, kArrival),
      closing_(*this, kClosing),
      read_(*this, kRead),
      write_(*this, kWrite) {}

IncomingStream::~IncomingStream() = default;

void IncomingStream::offer() {
    // gRPC completes this one only for a stream that has arrived: on_arrived() says so.
    wire_->context.AsyncNotifyWhenDone(closing_.tag());
    core_.transport().request_stream(wire_->context, wire_->stream, core_.loop().queue(),
                                     arrival_.tag());
}

bool IncomingStream::done() const {
    if (state_ != State::Ending) return false;
    return !arrived_ || (closed_ && !read_.open() && !write_.open());
}

uint64_t IncomingStream::unread_bytes() const {
    return received_bytes_ - account_.taken_bytes();
}

void IncomingStream::on_completion(uint8_t kind, bool ok) noexcept {
    switch (static_cast<Kind>(kind)) {
        case kArrival:
            on_arrived(ok);
            break;
        case kClosing:
            closed_ = true;
            end(LinkEnd::Closed);
            break;
        case kRead:
            on_read(ok);
            break;
        case kWrite:
            if (!ok) end(LinkEnd::Closed);
            pump();
            break;
    }
}

void IncomingStream::on_arrived(bool ok) {
    if (!ok) {
        state_ = State::Ending;  // the server stops
        return;
    }
    arrived_ = true;
    since_ = std::chrono::steady_clock::now();
    heard_ = since_;
    state_ = State::Greeting;
    if (!core_.incoming_arrived(*this)) {
        Verdict verdict;
        verdict.refusal = LinkRefusal::Limit;
        verdict.text = "too many streams that have not greeted";
        refuse(verdict, {});
        return;
    }
    wire_->stream.Read(&wire_->in, read_.tag());
}

void IncomingStream::on_read(bool ok) {
    if (!ok) {
        end(LinkEnd::Closed);
        return;
    }
    heard_ = std::chrono::steady_clock::now();
    if (state_ == State::Greeting) {
        on_greeting();
    } else if (state_ == State::Up && !on_message()) {
        return;
    }
    if (state_ != State::Up) return;
    wire_->stream.Read(&wire_->in, read_.tag());
    pump();
}

void IncomingStream::on_greeting() {
    Hello hello;
    const v1::FromDialer& in = wire_->in;
    if (!in.has_greeting() || in.sequence() != 0 || !in.data().empty() ||
        !decode(in.greeting(), hello)) {
        Verdict verdict;
        verdict.refusal = LinkRefusal::Malformed;
        verdict.text = "the first message is not a greeting";
        refuse(verdict, hello);
        return;
    }
    const Proof proof = core_.transport().proof_of(wire_->context.auth_context());
    const Verdict verdict = core_.judge_dialer(hello, proof);
    if (verdict.refusal) {
        refuse(verdict, hello);
        return;
    }
    id_ = {hello.peer, hello.traffic, Direction::In, hello.epoch};
    const std::size_t window = core_.window_bytes(hello.traffic);
    receipt_step_ = std::max<uint64_t>(1, window / kReceiptsPerWindow);
    account_ = ReceiptAccount(core_.loop().door(), receipt_step_);
    Hello answer = core_.hello(hello.traffic, hello.epoch);
    answer.window_bytes = window;
    encode(answer, *wire_->out.mutable_greeting());
    wire_->stream.Write(wire_->out, write_.tag());
    wire_->out.Clear();
    state_ = State::Up;
    core_.incoming_up(*this);
}

bool IncomingStream::on_message() {
    v1::FromDialer& in = wire_->in;
    if (in.ping() != 0) pong_ = in.ping();
    if (in.sequence() == 0 && in.ping() != 0 && in.data().empty()) return true;
    const std::size_t bytes = in.data().size();
    const std::optional<uint32_t> items = count_items(in.data());
    if (in.has_greeting() || in.sequence() != sequence_ + 1 || !items || *items != in.items()) {
        end(LinkEnd::Malformed);
        return false;
    }
    // A sender looks before it sends, so it may be beyond by one message.
    if (unread_bytes() >= core_.window_bytes(id_.traffic)) {
        end(LinkEnd::Window);
        return false;
    }
    ++sequence_;
    received_bytes_ += bytes;
    std::string data;
    data.swap(*in.mutable_data());
    core_.received(id_, ReceivedBatch(std::move(data), *items, account_), bytes);
    return true;
}

void IncomingStream::pump() {
    if (state_ != State::Up || write_.open()) return;
    const uint64_t taken = account_.taken_bytes();
    if (pong_ == 0 && taken - told_bytes_ < receipt_step_) return;
    v1::FromAcceptor& out = wire_->out;
    out.set_taken_bytes(taken);
    out.set_pong(std::exchange(pong_, 0));
    told_bytes_ = taken;
    wire_->stream.Write(out, write_.tag());
}

void IncomingStream::refuse(const Verdict& verdict, const Hello& hello) {
    core_.refused(*verdict.refusal);
    core_.log().warn("link refused", {{"from", wire_->context.peer()},
                                      {"node", hello.peer.node.value()},
                                      {"reason", to_string(*verdict.refusal)},
                                      {"text", verdict.text}});
    encode(verdict, *wire_->out.mutable_refusal());
    const grpc::Status status(grpc::StatusCode::FAILED_PRECONDITION, verdict.text);
    wire_->stream.WriteAndFinish(wire_->out, grpc::WriteOptions(), status, write_.tag());
    state_ = State::Ending;
}

IncomingStream::TimePoint IncomingStream::on_time(TimePoint now) {
    switch (state_) {
        case State::Greeting: {
            const TimePoint limit = since_ + core_.options().greeting_timeout;
            if (now < limit) return limit;
            core_.refused(LinkRefusal::Timeout);
            core_.log().warn("link refused", {{"from", wire_->context.peer()},
                                              {"reason", to_string(LinkRefusal::Timeout)},
                                              {"text", "no greeting came"}});
            end(LinkEnd::Refused);
            return TimePoint::max();
        }
        case State::Up: {
            const TimePoint limit = heard_ + core_.options().silence_max;
            if (now < limit) return limit;
            end(LinkEnd::Silent);
            return TimePoint::max();
        }
        case State::Ending: {
            // A refusal that the other side does not take.
            const TimePoint limit = since_ + 2 * core_.options().greeting_timeout;
            if (!arrived_ || closed_ || cancelled_) break;
            if (now < limit) return limit;
            cancel();
            break;
        }
        case State::Offered:
            break;
    }
    return TimePoint::max();
}

void IncomingStream::cancel() {
    if (closed_ || cancelled_) return;
    cancelled_ = true;
    wire_->context.TryCancel();
}

void IncomingStream::end(LinkEnd reason) {
    if (state_ == State::Ending || state_ == State::Offered) return;
    const bool was_up = state_ == State::Up;
    state_ = State::Ending;
    cancel();
    if (was_up) core_.incoming_ended(*this, reason);
}

}  // namespace quorate::link
