#include "cluster/link/core.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "proto/base/assert.h"

namespace quorate::link {

namespace {

constexpr std::chrono::seconds kMetricsInterval{1};

}  // namespace

LinkCore::Peer::Peer(const LinkOptions& options)
    : lines{Line(options.queues[0]), Line(options.queues[1]), Line(options.queues[2])} {}

LinkCore::LinkCore(const Parts& parts)
    : options_(parts.options),
      handler_(parts.handler),
      metrics_(parts.metrics),
      log_(parts.log),
      transport_(parts.transport),
      loop_(parts.loop),
      random_(options_.seed != 0 ? options_.seed : system_seed()),
      self_(options_.self),
      calls_(*this),
      resolver_(loop_.door()) {}

LinkCore::~LinkCore() = default;

SendQueue::Outcome LinkCore::offer(const Target& target, ByteView first, ByteView second) {
    const std::shared_lock lock(peers_mutex_);
    const auto found = peers_.find(target.node);
    if (found == peers_.end()) return {};
    return found->second->lines[index_of(target.traffic)].queue.offer(target.epoch, first, second);
}

void LinkCore::start() {
    accept_next();
    calls_.offer_next();
    loop_.schedule(std::chrono::steady_clock::now());
}

void LinkCore::accept_next() {
    if (stopping_) return;
    incoming_.push_back(std::make_unique<IncomingStream>(*this));
    incoming_.back()->offer();
}

void LinkCore::next_question() {
    if (!stopping_) calls_.offer_next();
}

void LinkCore::answer(uint64_t number, Result<std::string> result) {
    calls_.answer(number, std::move(result));
}

void LinkCore::resolve(std::vector<std::string> addresses, Resolver::Reply reply) {
    resolver_.ask(std::move(addresses), std::move(reply));
}

void LinkCore::ask(Question question, std::string bytes, Asking::Reply reply) {
    if (stopping_) {
        reply(Error{ErrorCode::Unavailable, "this node stops"});
        return;
    }
    ++lookups_;
    std::vector<std::string> addresses{question.address};
    resolver_.ask(std::move(addresses), [this, question = std::move(question),
                                         bytes = std::move(bytes), reply = std::move(reply)](
                                            const std::vector<std::string>& found) mutable {
        --lookups_;
        if (stopping_) {
            reply(Error{ErrorCode::Unavailable, "this node stops"});
        } else if (found.empty()) {
            reply(Error{ErrorCode::NotFound, "no such address: " + question.address});
        } else {
            calls_.ask(found.front(), std::move(question), std::move(bytes), std::move(reply));
        }
    });
}

void LinkCore::stop() {
    if (std::exchange(stopping_, true)) return;
    end_all(LinkEnd::Stopped);
    calls_.stop();
}

void LinkCore::server_closed() {
    server_closed_ = true;
}

void LinkCore::end_all(LinkEnd reason) {
    for (const auto& each : incoming_)
        each->end(reason);
    for (auto& [node, peer] : peers_) {
        for (Line& line : peer->lines) {
            if (line.stream) line.stream->end(reason);
        }
    }
}

void LinkCore::on_wake() {
    for (auto& [node, peer] : peers_) {
        for (Line& line : peer->lines) {
            if (line.stream) line.stream->pump();
        }
    }
    for (const auto& each : incoming_)
        each->pump();
}

void LinkCore::on_time(TimePoint now) {
    TimePoint next = now + std::chrono::hours(1);
    for (auto& [node, peer] : peers_) {
        for (std::size_t i = 0; i < kTrafficClasses; ++i) {
            Line& line = peer->lines[i];
            if (!line.stream && peer->named && now >= line.dial_at) {
                dial(*peer, static_cast<TrafficClass>(i), now);
            }
            if (line.stream) {
                next = std::min(next, line.stream->on_time(now));
            } else if (peer->named) {
                next = std::min(next, line.dial_at);
            }
        }
    }
    for (const auto& each : incoming_)
        next = std::min(next, each->on_time(now));
    if (now >= metrics_at_) {
        metrics_at_ = now + kMetricsInterval;
        refresh_metrics();
    }
    if (!peers_.empty()) next = std::min(next, metrics_at_);
    loop_.schedule(next);
}

void LinkCore::on_turn_end() {
    std::erase_if(incoming_, [](const auto& each) { return each->done(); });
    calls_.reap();
    for (auto& [node, peer] : peers_) {
        for (Line& line : peer->lines) {
            if (line.stream && line.stream->done()) line.stream.reset();
        }
    }
    if (!stopping_) {
        remove_unnamed();
        return;
    }
    const bool streams = std::ranges::any_of(peers_, [](const auto& entry) {
        return std::ranges::any_of(entry.second->lines,
                                   [](const Line& line) { return line.stream != nullptr; });
    });
    // The server goes first: it still has calls to end in this queue.
    if (server_closed_ && !streams && incoming_.empty() && calls_.empty() && lookups_ == 0) {
        loop_.finish();
    }
}

std::size_t LinkCore::window_bytes(TrafficClass traffic) const {
    return options_.window_bytes[index_of(traffic)];
}

Hello LinkCore::hello(TrafficClass traffic, StreamEpoch epoch) const {
    Hello out;
    out.version_min = kVersionMin;
    out.version_max = kVersionMax;
    out.cluster_id = self_.cluster_id;
    out.peer = {self_.node, self_.incarnation};
    out.traffic = traffic;
    out.epoch = epoch;
    return out;
}

void LinkCore::sent(TrafficClass traffic, uint32_t items, std::size_t bytes) {
    metrics_.add<Metric::LinkItemsSent>(traffic, items);
    metrics_.add<Metric::LinkBytesSent>(traffic, bytes);
    metrics_.add<Metric::LinkBatchesSent>(traffic);
}

void LinkCore::lost(TrafficClass traffic, uint32_t items) {
    metrics_.add<Metric::LinkLost>(traffic, items);
}

void LinkCore::received(const StreamId& from, ReceivedBatch batch, std::size_t bytes) {
    metrics_.add<Metric::LinkItemsReceived>(from.traffic, batch.count());
    metrics_.add<Metric::LinkBytesReceived>(from.traffic, bytes);
    metrics_.add<Metric::LinkBatchesReceived>(from.traffic);
    handler_.on_batch(from, std::move(batch));
}

void LinkCore::round_trip(const OutgoingStream& stream, std::chrono::nanoseconds time) {
    metrics_.observe<Metric::LinkRtt>(stream.route().traffic, time);
    if (Peer* peer = find(stream.route().node)) {
        peer->lines[index_of(stream.route().traffic)].rtt = time;
    }
}

void LinkCore::refused(LinkRefusal reason) {
    metrics_.add<Metric::LinkRefused>(reason);
}
void LinkCore::refused_by_peer(LinkRefusal reason) {
    metrics_.add<Metric::LinkRefusedByPeer>(reason);
}

void LinkCore::refresh_metrics() {
    std::array<uint64_t, kTrafficClasses> queued{};
    for (auto& [node, peer] : peers_) {
        for (std::size_t i = 0; i < kTrafficClasses; ++i) {
            const SendQueue::Figures figures = peer->lines[i].queue.figures();
            queued[i] += figures.bytes;
            metrics_.add<Metric::LinkFull>(static_cast<TrafficClass>(i), figures.full);
        }
    }
    std::array<uint64_t, kTrafficClasses> unread{};
    for (const auto& each : incoming_) {
        if (each->up()) unread[index_of(each->id().traffic)] += each->unread_bytes();
    }
    for (std::size_t i = 0; i < kTrafficClasses; ++i) {
        metrics_.set<Metric::LinkQueueBytes>(static_cast<TrafficClass>(i), queued[i]);
        metrics_.set<Metric::LinkUnread>(static_cast<TrafficClass>(i), unread[i]);
    }
}

std::vector<LinkState> LinkCore::states() const {
    std::vector<LinkState> out;
    for (const auto& [node, peer] : peers_) {
        if (!peer->named) continue;
        for (std::size_t i = 0; i < kTrafficClasses; ++i) {
            const Line& line = peer->lines[i];
            LinkState state;
            state.node = node;
            state.traffic = static_cast<TrafficClass>(i);
            state.up_out = line.stream != nullptr && line.stream->up();
            state.up_in = peer->incoming[i] != nullptr;
            state.heard = peer->heard;
            state.queue_bytes = line.queue.bytes();
            state.attempts = line.attempts;
            state.rtt = line.rtt;
            out.push_back(state);
        }
    }
    return out;
}

}  // namespace quorate::link
