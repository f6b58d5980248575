#include "cluster/group/heartbeats.h"

#include <algorithm>

namespace quorate::cluster {

void Heartbeats::set_peers(const std::vector<NodeId>& peers) {
    std::erase_if(peers_, [&peers](const auto& entry) {
        return std::find(peers.begin(), peers.end(), entry.first) == peers.end();
    });
    for (const NodeId peer : peers) {
        peers_.try_emplace(peer);
    }
}

bool Heartbeats::add(NodeId to, GroupId group, const raft::Message& message) {
    const bool reply = std::holds_alternative<raft::HeartbeatReply>(message.body);
    if (!reply && !std::holds_alternative<raft::Heartbeat>(message.body)) return false;
    const auto peer = peers_.find(to);
    if (peer == peers_.end()) return false;
    peer->second.beats.insert_or_assign(Key{group, message.to, reply}, message);
    return true;
}

std::map<NodeId, std::vector<GroupBeat>> Heartbeats::take() {
    std::map<NodeId, std::vector<GroupBeat>> out;
    for (auto& [id, peer] : peers_) {
        if (peer.beats.empty() && peer.ticks_unsent < std::max(1U, silent_ticks_ / 4)) continue;
        std::vector<GroupBeat>& beats = out[id];
        for (auto& [key, message] : peer.beats) {
            beats.push_back(GroupBeat{key.group, std::move(message)});
        }
        peer.beats.clear();
        peer.ticks_unsent = 0;
    }
    return out;
}

void Heartbeats::heard(NodeId from) {
    const auto peer = peers_.find(from);
    if (peer != peers_.end()) peer->second.ticks_unheard = 0;
}

std::vector<NodeId> Heartbeats::tick() {
    std::vector<NodeId> fallen_silent;
    for (auto& [id, peer] : peers_) {
        ++peer.ticks_unsent;
        if (peer.ticks_unheard >= silent_ticks_) continue;
        if (++peer.ticks_unheard == silent_ticks_) fallen_silent.push_back(id);
    }
    return fallen_silent;
}

bool Heartbeats::silent(NodeId peer) const {
    const auto found = peers_.find(peer);
    return found == peers_.end() || found->second.ticks_unheard >= silent_ticks_;
}

}  // namespace quorate::cluster
