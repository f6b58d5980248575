#include "broker/net/connection_set.h"

#include <algorithm>
#include <utility>

#include "broker/net/stages/transport_stack.h"

namespace quorate::broker {

namespace {

constexpr std::chrono::nanoseconds kCheckInterval = std::chrono::seconds(1);
// Answers to answers (on_writable that writes) are followed so often in one flush; then others get
// their turn.
constexpr int kFlushRounds = 4;
// Gathered input is read in a few microseconds a turn, and within so many turns.
constexpr std::size_t kSliceMin = 4;
constexpr std::size_t kSlicesMax = 64;

}  // namespace

ConnectionSet::ConnectionSet(EventLoop& loop)
    : loop_(loop),
      pool_(loop.options().chunk_pool_bytes_max),
      wire_(loop.options().read_buffer_bytes),
      plain_(loop.options().read_buffer_bytes) {
    ASSERT(plain_.size() >= TransportStack::kReadBytesMin, "read_buffer_bytes is too small");
}

// Says nothing to the handlers: they may be gone. EventLoop::run() has ended all connections.
ConnectionSet::~ConnectionSet() = default;

Connection& ConnectionSet::add(Connection::Origin origin, ConnectionHandler& handler) {
    connections_.push_back(std::make_unique<Connection>(*this, std::move(origin), handler));
    Connection& connection = *connections_.back();
    connection.set_index_ = static_cast<uint32_t>(connections_.size() - 1);
    if (connection.transport_ && connection.transport_->in_tls_handshake()) {
        connection.handshaking_ = true;
        connection.phase_started_ = loop_.now();
        open_handshakes_ += 1;
    }
    connection.update_watch();
    handler.on_open(connection);
    if (!connection.poll_.valid()) connection.end(EndCause::PeerReset);
    return connection;
}

bool ConnectionSet::flush() {
    for (int round = 0; round < kFlushRounds && !dirty_.empty(); ++round) {
        flushing_.swap(dirty_);
        for (Connection* connection : flushing_) {
            connection->dirty_ = false;
            connection->flush();
            if (connection->tells_end()) tell_end(*connection);
        }
        flushing_.clear();
    }
    return dirty_.empty();
}

bool ConnectionSet::flush_borrowed() {
    flushing_.swap(dirty_);
    for (Connection* connection : flushing_) {
        connection->dirty_ = false;
        connection->flush_borrowed();
    }
    flushing_.clear();
    return dirty_.empty();
}

void ConnectionSet::tell_end(Connection& connection) {
    // What the handler does to it in its last call must not put it on the list.
    bool listed = connection.dirty_;
    connection.dirty_ = true;
    if (ConnectionHandler* handler = std::exchange(connection.handler_, nullptr)) {
        handler->on_closed(connection, connection.cause_);
    }
    connection.dirty_ = listed;
    if (connection.state_ == Connection::State::Closed) remove(connection);
}

void ConnectionSet::start_turn() {
    handshake_steps_left_ = loop_.options().handshakes_per_turn;
}

bool ConnectionSet::take_handshake_step() {
    if (handshake_steps_left_ == 0) return false;
    handshake_steps_left_ -= 1;
    return true;
}

void ConnectionSet::end_handshake(Connection& connection) {
    if (!connection.handshaking_) return;
    connection.handshaking_ = false;
    open_handshakes_ -= 1;
}

void ConnectionSet::tick(std::chrono::nanoseconds now) {
    if (due_ == 0) {
        due_ = gathering_.size();
        slice_ = std::max(kSliceMin, due_ / kSlicesMax + 1);
    }
    if (now - last_check_ < kCheckInterval) return;
    last_check_ = now;
    // Backwards: check_deadlines() may take its connection off the list, and handlers may add some.
    for (std::size_t i = watched_.size(); i-- > 0;) {
        if (i < watched_.size()) watched_[i]->check_deadlines(now);
    }
}

bool ConnectionSet::read_due() {
    if (due_ == 0) return false;
    // Backwards: what leaves the list is replaced by the last one, which has been read.
    for (std::size_t read = 0; read < slice_ && due_ > 0; ++read) {
        due_ = std::min(due_, gathering_.size());
        if (due_ > 0) gathering_[--due_]->read_gathered();
    }
    return true;
}

void ConnectionSet::stop() {
    while (!connections_.empty()) {
        Connection& connection = *connections_.back();
        connection.stop();
        tell_end(connection);
    }
}

std::size_t ConnectionSet::waiting_output() const {
    std::size_t bytes = 0;
    for (const Connection* connection : watched_)
        bytes += connection->pending_output();
    return bytes;
}

void ConnectionSet::watch(Connection& connection) {
    if (connection.watched_) return;
    connection.watched_ = true;
    connection.watch_index_ = static_cast<uint32_t>(watched_.size());
    watched_.push_back(&connection);
}

void ConnectionSet::unwatch(Connection& connection) {
    if (!connection.watched_) return;
    connection.watched_ = false;
    Connection* last = watched_.back();
    watched_[connection.watch_index_] = last;
    last->watch_index_ = connection.watch_index_;
    watched_.pop_back();
}

void ConnectionSet::start_gathering(Connection& connection) {
    connection.gathers_ = true;
    connection.gather_index_ = static_cast<uint32_t>(gathering_.size());
    gathering_.push_back(&connection);
}

void ConnectionSet::end_gathering(Connection& connection) {
    if (!connection.gathers_) return;
    connection.gathers_ = false;
    Connection* last = gathering_.back();
    gathering_[connection.gather_index_] = last;
    last->gather_index_ = connection.gather_index_;
    gathering_.pop_back();
}

void ConnectionSet::remove(Connection& connection) {
    unwatch(connection);
    end_gathering(connection);
    end_handshake(connection);
    // It is there when it ended while it was flushed, and then it is the last one.
    if (connection.dirty_ && dirty_.back() == &connection) {
        dirty_.pop_back();
    } else if (connection.dirty_) {
        std::erase(dirty_, &connection);
    }
    uint32_t index = connection.set_index_;
    connections_.back()->set_index_ = index;
    std::swap(connections_[index], connections_.back());
    connections_.pop_back();
}

}  // namespace quorate::broker
