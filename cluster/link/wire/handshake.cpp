#include "cluster/link/wire/handshake.h"

#include <algorithm>

#include <quorate/v1/link.pb.h>

namespace quorate::link {

namespace {

constexpr std::size_t kClusterIdBytesMax = 64;
constexpr std::size_t kTextBytesMax = 512;

Verdict refused(LinkRefusal refusal, std::string text) {
    Verdict verdict;
    verdict.refusal = refusal;
    verdict.text = std::move(text);
    return verdict;
}

std::string range(uint32_t low, uint32_t high) {
    return std::to_string(low) + " to " + std::to_string(high);
}

// What every greeting must fulfil.
Verdict judge_basics(const Hello& hello, const Self& self) {
    if (hello.version_min > hello.version_max || hello.version_min > kVersionMax ||
        hello.version_max < kVersionMin) {
        return refused(LinkRefusal::Version,
                       "protocol versions " + range(hello.version_min, hello.version_max) +
                           " are offered, " + range(kVersionMin, kVersionMax) + " are spoken here");
    }
    Verdict verdict;
    verdict.version = std::min(kVersionMax, hello.version_max);
    const bool both = !hello.cluster_id.empty() && !self.cluster_id.empty();
    if (both && hello.cluster_id != self.cluster_id) {
        return refused(LinkRefusal::Cluster, "node of cluster " + hello.cluster_id +
                                                 ", this one is of cluster " + self.cluster_id);
    }
    if (self.node != NodeId() && hello.peer.node == self.node) {
        return refused(LinkRefusal::OwnNode,
                       "node id " + std::to_string(self.node.value()) +
                           " is this node's own; two processes use it, or an address leads back");
    }
    return verdict;
}

Verdict judge_identity(const Hello& hello, const Self& self, std::string_view name,
                       const Proof& proof) {
    if (proof.tls && !certifies(proof.uris, self.cluster_id, hello.peer.node, name)) {
        return refused(LinkRefusal::Identity, "certificate is not made out to node " +
                                                  std::to_string(hello.peer.node.value()) +
                                                  " of cluster " + self.cluster_id + " (" +
                                                  std::to_string(proof.uris.size()) + " URIs)");
    }
    return {};
}

Verdict judge_member(const Hello& hello, const Self& self, const Known& known, const Proof& proof) {
    Verdict verdict = judge_basics(hello, self);
    if (verdict.refusal) return verdict;
    if (self.node == NodeId() || self.cluster_id.empty() || hello.cluster_id.empty()) {
        return refused(LinkRefusal::NotMember, "only members of a cluster have streams");
    }
    Verdict identity = judge_identity(hello, self, known.name, proof);
    if (identity.refusal) return identity;
    // Who starts has no incarnation before `meta` gives it one, and `meta` may have no quorum
    // without it: its streams are opened anew when it has.
    if (hello.peer.incarnation == Incarnation()) return verdict;
    if (hello.peer.incarnation < known.heard) {
        return refused(LinkRefusal::OldIncarnation,
                       "incarnation " + std::to_string(hello.peer.incarnation.value()) +
                           " is older than " + std::to_string(known.heard.value()) +
                           ", which was heard of; another process has this node id");
    }
    return verdict;
}

struct NodeUri {
    std::string_view cluster;
    std::string_view kind;
    std::string_view value;
};

std::optional<NodeUri> parse_uri(std::string_view uri) {
    constexpr std::string_view kScheme = "quorate://";
    if (!uri.starts_with(kScheme)) return std::nullopt;
    uri.remove_prefix(kScheme.size());
    const std::size_t first = uri.find('/');
    if (first == std::string_view::npos) return std::nullopt;
    const std::size_t second = uri.find('/', first + 1);
    if (second == std::string_view::npos) return std::nullopt;
    NodeUri out{uri.substr(0, first), uri.substr(first + 1, second - first - 1),
                uri.substr(second + 1)};
    const bool known = out.kind == "node" || out.kind == "name";
    if (!known || out.value.empty() || out.value.find('/') != std::string_view::npos) {
        return std::nullopt;
    }
    return out;
}

}  // namespace

bool decode(const v1::Greeting& message, Hello& hello) {
    if (message.traffic_class() >= kTrafficClasses ||
        message.cluster_id().size() > kClusterIdBytesMax) {
        return false;
    }
    hello.version_min = message.version_min();
    hello.version_max = message.version_max();
    hello.cluster_id = message.cluster_id();
    hello.peer = {NodeId(message.node()), Incarnation(message.incarnation())};
    hello.traffic = static_cast<TrafficClass>(message.traffic_class());
    hello.epoch = StreamEpoch(message.epoch());
    hello.window_bytes = message.window_bytes();
    return true;
}

void encode(const Hello& hello, v1::Greeting& message) {
    message.set_version_min(hello.version_min);
    message.set_version_max(hello.version_max);
    message.set_cluster_id(hello.cluster_id);
    message.set_node(hello.peer.node.value());
    message.set_incarnation(hello.peer.incarnation.value());
    message.set_traffic_class(static_cast<uint32_t>(hello.traffic));
    message.set_epoch(hello.epoch.value());
    message.set_window_bytes(hello.window_bytes);
}

void encode(const Verdict& verdict, v1::Refusal& message) {
    const LinkRefusal reason = verdict.refusal.value_or(LinkRefusal::Malformed);
    message.set_reason(static_cast<uint32_t>(reason) + 1);
    message.set_text(verdict.text.substr(0, kTextBytesMax));
}

LinkRefusal reason_of(const v1::Refusal& message) {
    const std::size_t count = LabelInfo<LinkRefusal>::values.size();
    if (message.reason() == 0 || message.reason() > count) return LinkRefusal::Malformed;
    return static_cast<LinkRefusal>(message.reason() - 1);
}

Verdict judge_dialer(const Hello& hello, const Self& self, const Known* known, const Proof& proof) {
    // What the greeting says is judged before whether its node is known: an own node id or a
    // foreign cluster is the better answer.
    Verdict basics = judge_basics(hello, self);
    if (basics.refusal) return basics;
    if (known == nullptr) {
        return refused(LinkRefusal::UnknownNode, "node id " +
                                                     std::to_string(hello.peer.node.value()) +
                                                     " is not a member of the cluster");
    }
    Verdict verdict = judge_member(hello, self, *known, proof);
    if (verdict.refusal) return verdict;
    const bool starts = hello.peer.incarnation == Incarnation();
    if (!starts && hello.peer.incarnation == known->heard && hello.epoch <= known->epoch_heard) {
        return refused(LinkRefusal::OldEpoch, "stream " + std::to_string(hello.epoch.value()) +
                                                  " is not newer than " +
                                                  std::to_string(known->epoch_heard.value()));
    }
    if (hello.epoch == StreamEpoch())
        return refused(LinkRefusal::Malformed, "stream without epoch");
    return verdict;
}

Verdict judge_acceptor(const Hello& hello, const Self& self, NodeId wanted, const Known& known,
                       const Proof& proof) {
    Verdict basics = judge_basics(hello, self);
    if (basics.refusal) return basics;
    if (hello.peer.node != wanted) {
        return refused(LinkRefusal::UnknownNode,
                       "node " + std::to_string(wanted.value()) + " was dialed, node " +
                           std::to_string(hello.peer.node.value()) + " answered");
    }
    return judge_member(hello, self, known, proof);
}

Verdict judge_question(const Hello& hello, const Self& self, const Known* known,
                       const Proof& proof) {
    // A node may ask itself: probing its own address is how it learns that a seed is itself.
    Self anybody = self;
    if (hello.peer == PeerId{self.node, self.incarnation}) anybody.node = NodeId();
    Verdict verdict = judge_basics(hello, anybody);
    if (verdict.refusal) return verdict;
    Hello claimed = hello;
    if (known == nullptr) claimed.peer.node = NodeId();
    Verdict identity =
        judge_identity(claimed, self, known != nullptr ? known->name : std::string_view(), proof);
    return identity.refusal ? identity : verdict;
}

bool certifies(const std::vector<std::string>& uris, std::string_view cluster_id, NodeId node,
               std::string_view name) {
    return std::ranges::any_of(uris, [&](const std::string& uri) {
        const std::optional<NodeUri> parsed = parse_uri(uri);
        if (!parsed) return false;
        if (!parsed->cluster.empty() && !cluster_id.empty() && parsed->cluster != cluster_id) {
            return false;
        }
        if (parsed->kind == "node" && node != NodeId()) {
            return parsed->value == std::to_string(node.value());
        }
        if (parsed->kind == "name" && !name.empty()) return parsed->value == name;
        return node == NodeId() && name.empty();
    });
}

}  // namespace quorate::link
