#include "broker/net/connection.h"

#include <cerrno>
#include <cstring>

#include <sys/socket.h>

#include "broker/net/connection_set.h"
#include "broker/net/stages/transport_stack.h"
#include "proto/base/assert.h"

namespace quorate::broker {

namespace {

EndCause cause_of(TransportStack::Layer layer) {
    switch (layer) {
        case TransportStack::Layer::Proxy:
            return EndCause::ProxyFailed;
        case TransportStack::Layer::Tls:
            return EndCause::TlsFailed;
        case TransportStack::Layer::WebSocket:
            return EndCause::WebSocketFailed;
    }
    return EndCause::PeerReset;
}

}  // namespace

const char* to_string(EndCause cause) {
    switch (cause) {
        case EndCause::Server:
            return "closed by the server";
        case EndCause::PeerClosed:
            return "closed by the peer";
        case EndCause::PeerReset:
            return "connection reset";
        case EndCause::WriteStalled:
            return "the peer does not read";
        case EndCause::InputLimit:
            return "too much unconsumed input";
        case EndCause::TlsFailed:
            return "TLS failed";
        case EndCause::WebSocketFailed:
            return "WebSocket failed";
        case EndCause::ProxyFailed:
            return "no valid PROXY header";
        case EndCause::LoopStopped:
            return "the server stops";
    }
    return "?";
}

void ConnectionHandler::on_write_stalled(Connection& connection) {
    connection.abort(EndCause::WriteStalled);
}

Connection::Connection(ConnectionSet& set, Origin origin, ConnectionHandler& handler)
    : set_(set),
      handler_(&handler),
      transport_(std::move(origin.transport)),
      count_(std::move(origin.count)),
      output_(set.pool()),
      socket_(std::move(origin.socket)),
      peer_(origin.peer),
      listener_(origin.listener),
      kind_(origin.kind),
      poll_(set.loop(), socket_.get(), *this) {}

Connection::~Connection() {
    poll_.close();  // before the descriptor
    if (reset_) {
        linger reset{1, 0};
        setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    }
}

EventLoop& Connection::loop() const {
    return set_.loop();
}

const TlsPeer* Connection::tls() const {
    return transport_ ? transport_->tls() : nullptr;
}

std::string Connection::close_detail() const {
    if (!transport_ || transport_->state() != TransportStack::State::Failed) return {};
    return transport_->error();
}

std::size_t Connection::pending_output() const {
    return output_.size() + (transport_ ? transport_->pending() : 0);
}

void Connection::set_send_buffer(std::size_t bytes) {
    int size = static_cast<int>(bytes);
    setsockopt(socket_.get(), SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

void Connection::on_events(unsigned events) {
    bool failed = (events & PollHandle::kError) != 0;
    if ((events & PollHandle::kWritable) != 0 && blocked_) {
        blocked_ = false;
        mark_dirty();
    }
    if ((events & PollHandle::kReadable) != 0) {
        if (state_ == State::Lingering) {
            discard_input();
        } else if (state_ == State::Open && !paused_) {
            if (handshaking_ && !set_.take_handshake_step()) return;  // reported again next turn
            read_socket();
        } else if (failed) {
            end(EndCause::PeerReset);
        }
    }
    if (!dirty_) update_watch();  // else flush() does it, when it knows whether output still waits
}

void Connection::read_socket() {
    if (present_again_) present_kept();
    if (state_ != State::Open || paused_) return;
    ReadBuffer& buffer = set_.wire_;
    std::byte* bytes = buffer.data();
    ssize_t got = ::recv(socket_.get(), bytes, buffer.size(), 0);
    set_.counters_.reads += 1;
    if (got > 0) {
        heard_ = true;
        set_.counters_.bytes_in[static_cast<std::size_t>(kind_)] += static_cast<uint64_t>(got);
        if (transport_) {
            receive_through_stack({bytes, static_cast<std::size_t>(got)});
        } else {
            deliver(bytes, static_cast<std::size_t>(got));
        }
    } else if (got == 0) {
        end(EndCause::PeerClosed);
    } else if (errno != EAGAIN && errno != EINTR) {
        end(EndCause::PeerReset);
    }
}

void Connection::receive_through_stack(ByteView wire) {
    TransportStack& stack = *transport_;
    stack.feed(wire);
    std::byte* plain = set_.plain_.data();
    while (state_ == State::Open) {
        std::size_t size = stack.read({plain, set_.plain_.size()});
        if (stack.proxied() != nullptr) peer_ = *stack.proxied();
        if (size == 0) break;
        deliver(plain, size);
    }
    if (!stack.output().empty()) mark_dirty();
    settle_stack();
}

void Connection::settle_stack() {
    if (handshaking_ && !transport_->in_tls_handshake()) {
        set_.end_handshake(*this);
        if (transport_->tls() != nullptr && handler_ != nullptr) {
            handler_->on_secured(*this, set_.loop().now() - phase_started_);
        }
    }
    if (state_ != State::Open) return;
    switch (transport_->state()) {
        case TransportStack::State::Handshake:
            return;
        case TransportStack::State::Open:
            if (!output_.empty()) mark_dirty();  // written before the handshake was done
            if (transport_->passes_through()) transport_.reset();
            return;
        case TransportStack::State::Ended:
            begin_flushing(EndCause::PeerClosed);
            return;
        case TransportStack::State::Failed:
            begin_flushing(cause_of(transport_->layer()));
            return;
    }
}

// `bytes` has ReadBuffer::kHeadroom writable bytes before it.
void Connection::deliver(std::byte* bytes, std::size_t size) {
    if (paused_) {
        keep_behind({bytes, size});
        return;
    }
    ByteView view(bytes, size);
    if (!input_.empty()) {
        if (input_.size() <= ReadBuffer::kHeadroom) {
            std::memcpy(bytes - input_.size(), input_.data(), input_.size());
            view = {bytes - input_.size(), input_.size() + size};
        } else {
            keep_behind(view);
            if (state_ != State::Open) return;
            view = input_;
        }
    }
    std::size_t consumed = handler_->on_bytes(*this, view);
    if (state_ != State::Open) return;
    ASSERT(consumed <= view.size(), "on_bytes() consumed more than it was given");
    keep(view.subspan(consumed));
}

// Makes `unconsumed`, which may be the end of input_ itself, all that is kept.
void Connection::keep(ByteView unconsumed) {
    if (unconsumed.empty()) {
        if (input_.capacity() > 0) std::vector<std::byte>().swap(input_);
        return;
    }
    if (unconsumed.size() > set_.loop().options().input_bytes_max) {
        end(EndCause::InputLimit);
        return;
    }
    bool roomy = input_.capacity() > 4 * unconsumed.size() + 4'096;
    bool own = !input_.empty() && unconsumed.data() >= input_.data() &&
               unconsumed.data() < input_.data() + input_.size();
    if (own && !roomy) {
        if (unconsumed.size() < input_.size())
            input_.erase(input_.begin(), input_.end() - std::ssize(unconsumed));
        return;
    }
    if (!own && !roomy) {
        input_.assign(unconsumed.begin(), unconsumed.end());
        return;
    }
    std::vector<std::byte> rest(unconsumed.begin(), unconsumed.end());
    input_.swap(rest);
}

void Connection::keep_behind(ByteView bytes) {
    if (input_.size() + bytes.size() > set_.loop().options().input_bytes_max) {
        end(EndCause::InputLimit);
        return;
    }
    input_.insert(input_.end(), bytes.begin(), bytes.end());
}

void Connection::present_kept() {
    present_again_ = false;
    if (state_ != State::Open || paused_ || input_.empty()) return;
    std::size_t consumed = handler_->on_bytes(*this, input_);
    if (state_ != State::Open) return;
    ASSERT(consumed <= input_.size(), "on_bytes() consumed more than it was given");
    keep(ByteView(input_).subspan(consumed));
}

void Connection::pause_reading() {
    // The watch stays until it reports something: pausing and resuming in between costs nothing.
    paused_ = true;
}

void Connection::resume_reading() {
    if (!paused_) return;
    paused_ = false;
    if (state_ != State::Open) return;
    if (!input_.empty()) {
        present_again_ = true;
        mark_dirty();
    }
    update_watch();
}

void Connection::discard_input() {
    ReadBuffer& buffer = set_.wire_;
    ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) end(cause_);
}

void Connection::gather_input(bool on) {
    if (on == gathers_ || (on && (kind_ != TransportKind::Tcp || transport_ || closing()))) return;
    // Two packets of four bytes wake the loop, and so does every MQTT packet that is longer.
    constexpr int kLoneBytes = 4;
    const int least = on ? kLoneBytes + 1 : 1;
    // The socket is ready at once if what it has is enough now.
    if (setsockopt(socket_.get(), SOL_SOCKET, SO_RCVLOWAT, &least, sizeof(least)) != 0) return;
    heard_ = true;
    on ? set_.start_gathering(*this) : set_.end_gathering(*this);
}

void Connection::read_gathered() {
    const bool heard = heard_;
    heard_ = false;
    if (state_ == State::Open && !paused_) read_socket();
    if (!heard && !heard_) gather_input(false);
    if (!dirty_) update_watch();
}

void Connection::mark_dirty() {
    if (dirty_) return;
    dirty_ = true;
    set_.mark_dirty(*this);
}

}  // namespace quorate::broker
