// The part of LinkCore that knows who may have a stream and when to dial.
#include <algorithm>
#include <mutex>
#include <utility>

#include "cluster/link/core.h"
#include "proto/base/assert.h"

namespace quorate::link {

namespace {

constexpr std::chrono::seconds kResolveInterval{5};  // at most so often for one peer

}  // namespace

LinkCore::Peer* LinkCore::find(NodeId node) const {
    const auto found = peers_.find(node);
    return found == peers_.end() ? nullptr : found->second.get();
}

bool LinkCore::is_member(NodeId node) const {
    const Peer* peer = find(node);
    return peer != nullptr && peer->named;
}

Known LinkCore::known(const Peer& peer, TrafficClass traffic) const {
    return {peer.member.name, peer.heard, peer.epochs_heard[index_of(traffic)]};
}

Verdict LinkCore::judge_dialer(const Hello& hello, const Proof& proof) const {
    const Peer* peer = find(hello.peer.node);
    if (peer == nullptr || !peer->named) return link::judge_dialer(hello, self_, nullptr, proof);
    const Known facts = known(*peer, hello.traffic);
    return link::judge_dialer(hello, self_, &facts, proof);
}

Verdict LinkCore::judge_acceptor(const Hello& hello, NodeId wanted, const Proof& proof) const {
    const Peer* peer = find(wanted);
    ASSERT(peer != nullptr, "a line belongs to a peer");
    return link::judge_acceptor(hello, self_, wanted, known(*peer, hello.traffic), proof);
}

Verdict LinkCore::judge_question(const Hello& hello, const Proof& proof) const {
    const Peer* peer = find(hello.peer.node);
    if (peer == nullptr || !peer->named) return link::judge_question(hello, self_, nullptr, proof);
    const Known facts = known(*peer, hello.traffic);
    return link::judge_question(hello, self_, &facts, proof);
}

void LinkCore::become(Self self) {
    if (stopping_) return;
    self_ = std::move(self);
    end_all(LinkEnd::Replaced);
    const TimePoint now = std::chrono::steady_clock::now();
    for (auto& [node, peer] : peers_)
        dial_soon(*peer, now);
}

void LinkCore::set_members(std::vector<Member> members) {
    if (stopping_) return;
    const TimePoint now = std::chrono::steady_clock::now();
    std::vector<NodeId> before;
    for (auto& [node, peer] : peers_) {
        if (std::exchange(peer->named, false)) before.push_back(node);
    }
    uint32_t named = 0;
    for (Member& member : members) {
        if (member.node == self_.node || member.node == NodeId()) continue;
        if (++named > options_.members_max) {
            log_.error("too many members, some have no links",
                       {{"members", members.size()}, {"limit", options_.members_max}});
            break;
        }
        name_member(std::move(member), now);
    }
    for (const NodeId node : before) {
        Peer& peer = *find(node);
        if (peer.named) continue;
        for (std::size_t i = 0; i < kTrafficClasses; ++i) {
            if (peer.incoming[i] != nullptr) peer.incoming[i]->end(LinkEnd::Removed);
            if (peer.lines[i].stream) peer.lines[i].stream->end(LinkEnd::Removed);
        }
    }
    loop_.schedule(now);
}

void LinkCore::name_member(Member member, TimePoint now) {
    Peer* peer = find(member.node);
    if (peer == nullptr) {
        auto fresh = std::make_unique<Peer>(options_);
        peer = fresh.get();
        const std::unique_lock lock(peers_mutex_);
        peers_.emplace(member.node, std::move(fresh));
    }
    peer->named = true;
    const bool moved = peer->member.addresses != member.addresses;
    peer->member = std::move(member);
    if (moved) {
        peer->addresses.clear();
        dial_soon(*peer, now);
    }
}

// Those that are no members any more, once their streams have ended.
void LinkCore::remove_unnamed() {
    const auto gone = [](const Peer& peer) {
        return !peer.named && !peer.resolving &&
               std::ranges::all_of(peer.lines, [](const Line& line) { return !line.stream; }) &&
               std::ranges::all_of(peer.incoming, [](const auto* each) { return each == nullptr; });
    };
    if (std::ranges::none_of(peers_, [&](const auto& entry) { return gone(*entry.second); })) {
        return;
    }
    const std::unique_lock lock(peers_mutex_);
    std::erase_if(peers_, [&](const auto& entry) { return gone(*entry.second); });
}

void LinkCore::dial_soon(Peer& peer, TimePoint now) {
    for (Line& line : peer.lines) {
        line.dial_at = now;
        line.backoff = std::chrono::milliseconds(0);
    }
    loop_.schedule(now);
}

void LinkCore::dial(Peer& peer, TrafficClass traffic, TimePoint now) {
    Line& line = peer.lines[index_of(traffic)];
    line.dial_at = now + options_.backoff_max;
    if (stopping_ || self_.node == NodeId() || self_.cluster_id.empty()) return;
    if (peer.addresses.empty()) {
        resolve(peer, now);
        return;
    }
    if (line.next_address > 0 && line.next_address % peer.addresses.size() == 0 &&
        now >= peer.resolve_at) {
        resolve(peer, now);  // all were tried; a name may have new ones
    }
    const std::string& address = peer.addresses[line.next_address++ % peer.addresses.size()];
    ++last_epoch_;
    ++line.attempts;
    metrics_.add<Metric::LinkReconnects>(traffic);
    line.stream = std::make_unique<OutgoingStream>(
        *this, line.queue, OutgoingStream::Route{peer.member.node, traffic, last_epoch_, address});
    line.stream->start(now);
}

void LinkCore::resolve(Peer& peer, TimePoint now) {
    if (std::exchange(peer.resolving, true)) return;
    peer.resolve_at = now + kResolveInterval;
    resolver_.ask(peer.member.addresses,
                  [this, node = peer.member.node](std::vector<std::string> found) {
                      on_resolved(node, std::move(found));
                  });
}

void LinkCore::on_resolved(NodeId node, std::vector<std::string> addresses) {
    Peer* peer = find(node);
    if (peer == nullptr || stopping_) return;
    peer->resolving = false;
    if (addresses.empty()) {
        log_.warn("no address of a member is known",
                  {{"node", node.value()}, {"name", peer->member.name}});
        return;
    }
    if (peer->addresses == addresses) return;
    peer->addresses = std::move(addresses);
    dial_soon(*peer, std::chrono::steady_clock::now());
}

// An incarnation that is newer than all that was heard: what belongs to the older ones ends.
void LinkCore::hear(Peer& peer, Incarnation incarnation) {
    if (incarnation <= peer.heard) return;
    peer.heard = incarnation;
    peer.epochs_heard = {};
    for (std::size_t i = 0; i < kTrafficClasses; ++i) {
        if (peer.incoming[i] != nullptr && peer.incoming[i]->id().peer.incarnation < incarnation) {
            peer.incoming[i]->end(LinkEnd::Replaced);
        }
        OutgoingStream* stream = peer.lines[i].stream.get();
        if (stream != nullptr && stream->up() && stream->incarnation() < incarnation) {
            stream->end(LinkEnd::Replaced);
        }
    }
}

bool LinkCore::incoming_arrived(IncomingStream& /*stream*/) {
    accept_next();
    loop_.schedule(std::chrono::steady_clock::now());
    const auto strangers = std::ranges::count_if(
        incoming_, [](const auto& each) { return !each->up() && !each->waits(); });
    return static_cast<std::size_t>(strangers) <= options_.strangers_max;
}

void LinkCore::incoming_up(IncomingStream& stream) {
    const StreamId& id = stream.id();
    Peer& peer = *find(id.peer.node);
    hear(peer, id.peer.incarnation);
    IncomingStream*& place = peer.incoming[index_of(id.traffic)];
    if (place != nullptr) place->end(LinkEnd::Replaced);
    place = &stream;
    // Epochs are counted within an incarnation, which a node that starts does not have yet.
    if (id.peer.incarnation == peer.heard && peer.heard != Incarnation()) {
        peer.epochs_heard[index_of(id.traffic)] = id.epoch;
    }
    metrics_.add<Metric::LinkStreamsIn>(id.traffic);
    log_.info("link up", {{"node", id.peer.node.value()},
                          {"incarnation", id.peer.incarnation.value()},
                          {"class", to_string(id.traffic)},
                          {"direction", "in"}});
    handler_.on_up(id);
    // It lives and reaches us: no reason to wait with the other direction.
    const TimePoint now = std::chrono::steady_clock::now();
    for (Line& line : peer.lines) {
        if (line.stream) continue;
        line.dial_at = now;
        line.backoff = std::chrono::milliseconds(0);
        loop_.schedule(now);
    }
}

void LinkCore::incoming_ended(IncomingStream& stream, LinkEnd reason) {
    const StreamId& id = stream.id();
    if (Peer* peer = find(id.peer.node)) {
        IncomingStream*& place = peer->incoming[index_of(id.traffic)];
        if (place == &stream) place = nullptr;
    }
    metrics_.sub<Metric::LinkStreamsIn>(id.traffic);
    metrics_.add<Metric::LinkReset>(reason);
    log_.info("link down", {{"node", id.peer.node.value()},
                            {"class", to_string(id.traffic)},
                            {"direction", "in"},
                            {"reason", to_string(reason)}});
    handler_.on_down(id, reason);
}

void LinkCore::outgoing_up(OutgoingStream& stream) {
    const StreamId id = stream.id();
    Peer& peer = *find(id.peer.node);
    Line& line = peer.lines[index_of(id.traffic)];
    line.logged_failure.clear();
    hear(peer, id.peer.incarnation);
    metrics_.add<Metric::LinkStreamsOut>(id.traffic);
    log_.info("link up", {{"node", id.peer.node.value()},
                          {"incarnation", id.peer.incarnation.value()},
                          {"class", to_string(id.traffic)},
                          {"direction", "out"},
                          {"address", stream.route().address}});
    handler_.on_up(id);
}

void LinkCore::outgoing_ended(OutgoingStream& stream, LinkEnd reason) {
    metrics_.add<Metric::LinkReset>(reason);
    const TimePoint now = std::chrono::steady_clock::now();
    Peer* peer = find(stream.route().node);
    ASSERT(peer != nullptr, "a peer outlives its streams");
    Line& line = peer->lines[index_of(stream.route().traffic)];
    // After a stream that was up the same address is tried first, at once after a restart.
    if (stream.was_up()) {
        --line.next_address;
        line.backoff = std::chrono::milliseconds(0);
    }
    line.backoff = std::clamp(2 * line.backoff, options_.backoff_min, options_.backoff_max);
    const auto all = static_cast<uint64_t>(line.backoff.count());
    const auto pause = std::chrono::milliseconds(all - random_.below(all / 2 + 1));
    line.dial_at = reason == LinkEnd::Replaced ? now : now + pause;
    loop_.schedule(line.dial_at);
    if (!stream.was_up()) return;
    metrics_.sub<Metric::LinkStreamsOut>(stream.route().traffic);
    log_.info("link down", {{"node", stream.route().node.value()},
                            {"class", to_string(stream.route().traffic)},
                            {"direction", "out"},
                            {"reason", to_string(reason)}});
    handler_.on_down(stream.id(), reason);
}

void LinkCore::outgoing_done(OutgoingStream& stream) {
    loop_.schedule(std::chrono::steady_clock::now());
    Peer* peer = find(stream.route().node);
    if (peer == nullptr || stream.was_up() || stopping_) return;
    Line& line = peer->lines[index_of(stream.route().traffic)];
    if (stream.failure() == line.logged_failure) return;
    line.logged_failure = stream.failure();
    log_.warn("cannot open a link", {{"node", stream.route().node.value()},
                                     {"class", to_string(stream.route().traffic)},
                                     {"address", stream.route().address},
                                     {"text", stream.failure()}});
}

}  // namespace quorate::link
