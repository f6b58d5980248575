// The second half of Connection: output, and the ways it ends.
#include <cerrno>

#include <sys/socket.h>

#include "broker/net/connection.h"
#include "broker/net/connection_set.h"
#include "broker/net/stages/transport_stack.h"

namespace quorate::broker {

namespace {

constexpr std::size_t kPiecesPerWrite = 64;
// A peer that makes the layers answer (pings, key updates) and does not read is not read either.
constexpr std::size_t kUnreadAnswersMax = 512U << 10;

}  // namespace

void Connection::notify_when_writable() {
    want_writable_ = true;
    mark_dirty();
}

void Connection::flush() {
    if (present_again_) present_kept();
    if (state_ == State::Closed || state_ == State::Lingering) return;
    if (transport_) {
        flush_through_stack();
    } else if (!blocked_) {
        write_wire(output_);
    }
    if (state_ == State::Flushing && !blocked_) finish_flushing();
    if (state_ == State::Open && want_writable_) tell_writable();
    update_watch();
}

// What needs the loop's own thread stays on the list of dirty connections.
void Connection::flush_borrowed() {
    if (state_ == State::Open && !present_again_ && !want_writable_) {
        if (transport_) {
            flush_through_stack();
        } else if (!blocked_) {
            write_wire(output_);
        }
        if (state_ == State::Open && !blocked_) return;
    }
    mark_dirty();
}

void Connection::flush_through_stack() {
    bool all_wrapped = false;
    while (!blocked_ && !all_wrapped && state_ != State::Closed) {
        if (transport_->state() == TransportStack::State::Open) {
            all_wrapped = transport_->write(output_);
            if (all_wrapped && state_ == State::Flushing) transport_->close();
        } else {
            if (state_ == State::Flushing) output_.clear();  // nothing can carry it any more
            all_wrapped = true;
        }
        write_wire(transport_->output());
    }
}

void Connection::write_wire(OutputBuffer& wire) {
    while (!wire.empty()) {
        iovec pieces[kPiecesPerWrite];
        std::size_t count = wire.pieces(pieces);
        std::size_t size = 0;
        for (std::size_t i = 0; i < count; ++i)
            size += pieces[i].iov_len;
        ssize_t sent = 0;
        if (count == 1) {
            sent = ::send(socket_.get(), pieces[0].iov_base, size, MSG_NOSIGNAL);
        } else {
            msghdr message{};
            message.msg_iov = pieces;
            message.msg_iovlen = count;
            sent = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
        }
        set_.counters_.writes += 1;
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM) {
            end(EndCause::PeerReset);
            return;
        }
        if (sent > 0) {
            wire.consume(static_cast<std::size_t>(sent));
            set_.counters_.bytes_out[static_cast<std::size_t>(kind_)] +=
                static_cast<uint64_t>(sent);
            write_progress_ = set_.loop().now();
        }
        if (sent < static_cast<ssize_t>(size)) {
            // Waits since now at the latest; the deadline list is looked through once a second.
            if (!watched_) write_progress_ = set_.loop().now();
            blocked_ = true;
            want_writable_ = true;
            set_.watch(*this);
            return;
        }
    }
}

void Connection::tell_writable() {
    if (pending_output() > set_.loop().options().output_low_water_bytes) return;
    want_writable_ = false;
    handler_->on_writable(*this);
}

void Connection::close_after_flush(EndCause cause) {
    if (state_ == State::Open) begin_flushing(cause);
}

void Connection::abort(EndCause cause) {
    if (state_ == State::Closed || handler_ == nullptr) return;
    reset_ = true;
    end(cause);
}

void Connection::begin_flushing(EndCause cause) {
    state_ = State::Flushing;
    cause_ = cause;
    phase_started_ = set_.loop().now();
    std::vector<std::byte>().swap(input_);
    set_.watch(*this);
    mark_dirty();
}

// Everything the peer shall get is written: the handler is told now, the socket waits for the FIN.
void Connection::finish_flushing() {
    ::shutdown(socket_.get(), SHUT_WR);
    state_ = State::Lingering;
    mark_dirty();
    update_watch();
}

void Connection::end(EndCause cause) {
    if (state_ == State::Closed) return;
    if (state_ == State::Open) cause_ = cause;
    state_ = State::Closed;
    if (!set_.borrowed_) poll_.watch(PollHandle::kNone);
    mark_dirty();
}

void Connection::stop() {
    if (state_ == State::Open) {
        begin_flushing(EndCause::LoopStopped);
        present_again_ = false;
        flush();
    }
    state_ = State::Closed;
}

bool Connection::tells_end() const {
    return state_ == State::Closed || (state_ == State::Lingering && handler_ != nullptr);
}

void Connection::check_deadlines(std::chrono::nanoseconds now) {
    const EventLoopOptions& options = set_.loop().options();
    if (state_ == State::Flushing || state_ == State::Lingering) {
        if (now - phase_started_ > options.close_timeout) {
            reset_ = true;
            end(cause_);
        }
    } else if (state_ == State::Open && blocked_) {
        if (now - write_progress_ > options.write_stall_timeout) {
            write_progress_ = now;  // a handler that lets it live is asked again
            handler_->on_write_stalled(*this);
        }
    } else if (state_ == State::Open) {
        set_.unwatch(*this);
    }
}

void Connection::update_watch() {
    if (set_.borrowed_) {
        mark_dirty();
        return;
    }
    unsigned events = PollHandle::kNone;
    switch (state_) {
        case State::Open: {
            bool overdue = blocked_ && transport_ && transport_->pending() > kUnreadAnswersMax;
            if (!paused_ && !overdue) events |= PollHandle::kReadable;
            if (blocked_) events |= PollHandle::kWritable;
            break;
        }
        case State::Flushing:
            if (blocked_) events |= PollHandle::kWritable;
            break;
        case State::Lingering:
            events |= PollHandle::kReadable;
            break;
        case State::Closed:
            break;
    }
    poll_.watch(events);
}

}  // namespace quorate::broker
