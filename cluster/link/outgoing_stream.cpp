#include "cluster/link/outgoing_stream.h"

#include <algorithm>
#include <utility>

#include <grpcpp/grpcpp.h>
#include <quorate/v1/link.grpc.pb.h>

#include "cluster/link/core.h"
#include "cluster/link/transport.h"
#include "proto/base/assert.h"

namespace quorate::link {

namespace {

enum Kind : uint8_t { kStart, kRead, kWrite, kFinish };

uint64_t nanoseconds(CompletionLoop::TimePoint at) {
    return static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(at.time_since_epoch()).count());
}

}  // namespace

struct OutgoingStream::Wire {
    grpc::ClientContext context;
    std::unique_ptr<v1::Link::Stub> stub;
    std::unique_ptr<grpc::ClientAsyncReaderWriter<v1::FromDialer, v1::FromAcceptor>> stream;
    v1::FromDialer out;  // reused, so that its memory is
    v1::FromAcceptor in;
    grpc::Status status;
};

OutgoingStream::OutgoingStream(LinkCore& core, SendQueue& queue, Route route)
    : core_(core),
      queue_(queue),
      route_(std::move(route)),
      wire_(std::make_unique<Wire>()),
      start_(*this, kStart),
      read_(*this, kRead),
      write_(*this, kWrite),
      finish_(*this, kFinish) {}

OutgoingStream::~OutgoingStream() = default;

StreamId OutgoingStream::id() const {
    return {{route_.node, peer_}, route_.traffic, Direction::Out, route_.epoch};
}

void OutgoingStream::start(TimePoint now) {
    since_ = now;
    heard_ = now;
    const auto channel = core_.transport().dial(route_.address);
    if (channel == nullptr) {
        failure_ = "a plain connection to another machine is not allowed: " + route_.address;
        state_ = State::Done;
        core_.outgoing_ended(*this, LinkEnd::Unreachable);
        core_.outgoing_done(*this);
        return;
    }
    wire_->stub = v1::Link::NewStub(channel);
    wire_->stream = wire_->stub->PrepareAsyncConnect(&wire_->context, &core_.loop().queue());
    wire_->stream->StartCall(start_.tag());
}

void OutgoingStream::on_completion(uint8_t kind, bool ok) noexcept {
    switch (static_cast<Kind>(kind)) {
        case kStart:
            on_started(ok);
            break;
        case kRead:
            on_read(ok);
            break;
        case kWrite:
            // The call has ended, and what may still be read says why: a read is always open.
            broken_ = broken_ || !ok;
            pump();
            break;
        case kFinish:
            on_finished();
            return;
    }
    finish_if_quiet();
}

void OutgoingStream::on_started(bool ok) {
    if (!ok || state_ != State::Dialing) {
        ended_by_peer_ = !ok;
        end(LinkEnd::Unreachable);
        return;
    }
    connected_ = true;
    state_ = State::Greeting;
    encode(core_.hello(route_.traffic, route_.epoch), *wire_->out.mutable_greeting());
    wire_->stream->Write(wire_->out, write_.tag());
    wire_->out.Clear();
    wire_->stream->Read(&wire_->in, read_.tag());
}

void OutgoingStream::on_read(bool ok) {
    if (!ok) {
        ended_by_peer_ = true;
        end(was_up_ ? LinkEnd::Closed : LinkEnd::Unreachable);
        return;
    }
    if (state_ == State::Greeting) {
        on_greeting();
    } else if (state_ == State::Up) {
        on_receipt();
    }
    if (state_ == State::Up) wire_->stream->Read(&wire_->in, read_.tag());
}

void OutgoingStream::on_greeting() {
    const v1::FromAcceptor& in = wire_->in;
    if (in.has_refusal()) {
        const LinkRefusal reason = reason_of(in.refusal());
        core_.refused_by_peer(reason);
        failure_ = "refused by the other node (" + std::string(to_string(reason)) +
                   "): " + in.refusal().text().substr(0, 512);
        ended_by_peer_ = true;
        end(LinkEnd::Refused);
        return;
    }
    Hello hello;
    if (!in.has_greeting() || !decode(in.greeting(), hello) || hello.window_bytes == 0) {
        core_.refused(LinkRefusal::Malformed);
        failure_ = "the answer to the greeting is not one";
        end(LinkEnd::Refused);
        return;
    }
    const Proof proof = core_.transport().proof_of(wire_->context.auth_context());
    const Verdict verdict = core_.judge_acceptor(hello, route_.node, proof);
    if (verdict.refusal) {
        core_.refused(*verdict.refusal);
        failure_ = "this node refused the other (" + std::string(to_string(*verdict.refusal)) +
                   "): " + verdict.text;
        end(LinkEnd::Refused);
        return;
    }
    const TimePoint now = std::chrono::steady_clock::now();
    peer_ = hello.peer.incarnation;
    window_bytes_ = std::min<uint64_t>(hello.window_bytes, core_.window_bytes(route_.traffic));
    state_ = State::Up;
    was_up_ = true;
    since_ = now;
    heard_ = now;
    next_ping_ = now;
    queue_.open(route_.epoch);
    core_.outgoing_up(*this);
    core_.loop().schedule(now);
    pump();
}

void OutgoingStream::on_receipt() {
    const v1::FromAcceptor& in = wire_->in;
    const bool nonsense = in.has_greeting() || in.has_refusal() ||
                          in.taken_bytes() < taken_bytes_ || in.taken_bytes() > sent_bytes_;
    if (nonsense) {
        failure_ = "a receipt for what was not sent";
        end(LinkEnd::Malformed);
        return;
    }
    heard_ = std::chrono::steady_clock::now();
    taken_bytes_ = in.taken_bytes();
    const uint64_t now = nanoseconds(heard_);
    if (in.pong() != 0 && in.pong() <= now) {
        core_.round_trip(*this, std::chrono::nanoseconds(now - in.pong()));
    }
    pump();
}

void OutgoingStream::pump() {
    if (state_ != State::Up || broken_ || write_.open()) return;
    v1::FromDialer& out = wire_->out;
    out.Clear();
    if (ping_due_) {
        ping_due_ = false;
        out.set_ping(nanoseconds(std::chrono::steady_clock::now()));
    }
    uint32_t items = 0;
    if (unreceipted() < window_bytes_) items = queue_.take(*out.mutable_data());
    if (items == 0 && out.ping() == 0) return;
    grpc::WriteOptions options;
    if (items > 0) {
        out.set_sequence(++sequence_);
        out.set_items(items);
        sent_bytes_ += out.data().size();
        core_.sent(route_.traffic, items, out.data().size());
        if (unreceipted() < window_bytes_ && !queue_.empty()) options.set_buffer_hint();
    }
    wire_->stream->Write(out, options, write_.tag());
}

OutgoingStream::TimePoint OutgoingStream::on_time(TimePoint now) {
    const LinkOptions& options = core_.options();
    switch (state_) {
        case State::Dialing:
        case State::Greeting: {
            const TimePoint limit = since_ + options.greeting_timeout;
            if (now < limit) return limit;
            failure_ = connected_ ? "no answer to the greeting" : "no connection";
            end(LinkEnd::Unreachable);
            finish_if_quiet();
            return TimePoint::max();
        }
        case State::Up: {
            const TimePoint limit = heard_ + options.silence_max;
            if (now >= limit) {
                failure_ = "nothing heard";
                end(LinkEnd::Silent);
                finish_if_quiet();
                return TimePoint::max();
            }
            if (now >= next_ping_) {
                next_ping_ = now + options.ping_interval;
                ping_due_ = true;
                pump();
            }
            return std::min(limit, next_ping_);
        }
        case State::Ending:
        case State::Finishing: {
            // The status of a side that ended the call and then fell silent.
            const TimePoint limit = since_ + options.silence_max;
            if (now < limit) return limit;
            wire_->context.TryCancel();
            return TimePoint::max();
        }
        case State::Done:
            return TimePoint::max();
    }
    return TimePoint::max();
}

void OutgoingStream::end(LinkEnd reason) {
    if (state_ >= State::Ending) return;
    const bool was_up = state_ == State::Up;
    state_ = State::Ending;
    if (was_up) core_.lost(route_.traffic, queue_.close());
    since_ = std::chrono::steady_clock::now();
    // A call that the other side ended has a status, which says why.
    if (!ended_by_peer_) wire_->context.TryCancel();
    core_.outgoing_ended(*this, reason);
}

void OutgoingStream::finish_if_quiet() {
    if (state_ != State::Ending || start_.open() || read_.open() || write_.open()) return;
    state_ = State::Finishing;
    wire_->stream->Finish(&wire_->status, finish_.tag());
}

void OutgoingStream::on_finished() {
    state_ = State::Done;
    if (failure_.empty() && !wire_->status.ok()) failure_ = wire_->status.error_message();
    core_.outgoing_done(*this);
}

}  // namespace quorate::link
