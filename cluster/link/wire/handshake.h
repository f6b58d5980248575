// The greeting of both sides of a stream, and the verdict on it. Pure.
//
// Whoever is refused is told why in a word and a sentence; the side that refuses logs the same and
// counts it. Nothing of a stream counts before its greeting was judged: items, incarnations,
// epochs.
//
// Identity: with TLS, the certificate must carry a URI as subject alternative name
//
//     quorate://<cluster id>/node/<node id>     or    quorate://<cluster id>/name/<node name>
//
// whose node is the one that greets. Without a cluster id (quorate:///name/n1) it is good for
// every cluster of its authority: a name can be certified before there is a cluster. Any one of
// several such URIs suffices; a certificate without any opens no link, whoever signed it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/link/wire/peer.h"

namespace quorate::v1 {
class Greeting;
class Refusal;
}  // namespace quorate::v1

namespace quorate::link {

// Incarnations only rise: an older one than was heard is refused. A node that starts says 0 until
// it has been given one, and has streams all the same.

// What one side says first.
struct Hello {
    uint32_t version_min = 0;
    uint32_t version_max = 0;
    std::string cluster_id;
    PeerId peer;
    TrafficClass traffic = TrafficClass::Consensus;
    StreamEpoch epoch;
    uint64_t window_bytes = 0;
};

// Who the other side proved to be.
struct Proof {
    bool tls = false;               // false: a plain connection, nothing is proven
    std::vector<std::string> uris;  // of the certificate
};

// What this node knows of the node that greets, when it is a member.
struct Known {
    std::string_view name;
    Incarnation heard;        // the highest incarnation it has greeted with
    StreamEpoch epoch_heard;  // of that incarnation, in the class of the greeting
};

struct Verdict {
    std::optional<LinkRefusal> refusal;
    std::string text;      // of the refusal, for people on both sides
    uint32_t version = 0;  // what will be spoken
};

// False where the message says what no node says, such as a class there is none of.
[[nodiscard]] bool decode(const v1::Greeting& message, Hello& hello);
void encode(const Hello& hello, v1::Greeting& message);
void encode(const Verdict& verdict, v1::Refusal& message);
// Unknown reasons, of a later version, read as Malformed; the text says more.
[[nodiscard]] LinkRefusal reason_of(const v1::Refusal& message);

// An acceptor on a dialer's greeting. `known` is null when its node is not a member.
[[nodiscard]] Verdict judge_dialer(const Hello& hello, const Self& self, const Known* known,
                                   const Proof& proof);
// A dialer on the answer of the node it wanted: the same, and it must be that node.
[[nodiscard]] Verdict judge_acceptor(const Hello& hello, const Self& self, NodeId wanted,
                                     const Known& known, const Proof& proof);
// Either side of a question: neither needs to be a member yet, but two clusters do not mix, and who
// says the number of a member must prove it. Of others any node's certificate will do.
[[nodiscard]] Verdict judge_question(const Hello& hello, const Self& self, const Known* known,
                                     const Proof& proof);

// Whether one of the URIs names this node (by number, or by name if that is not empty), in this
// cluster or in any. Node 0 without a name: any node.
[[nodiscard]] bool certifies(const std::vector<std::string>& uris, std::string_view cluster_id,
                             NodeId node, std::string_view name);

}  // namespace quorate::link
