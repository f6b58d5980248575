#include "cluster/link/wire/handshake.h"

#include <string>
#include <vector>

#include <quorate/v1/link.pb.h>

#include "tests/unit/catch.h"

namespace {

using namespace quorate;
using namespace quorate::link;

const Self kSelf{"c1", NodeId(1), make_incarnation(NodeId(1), 4)};

Hello good_hello() {
    Hello hello;
    hello.version_min = kVersionMin;
    hello.version_max = kVersionMax;
    hello.cluster_id = "c1";
    hello.peer = {NodeId(2), make_incarnation(NodeId(2), 5)};
    hello.traffic = TrafficClass::Publishes;
    hello.epoch = StreamEpoch(9);
    return hello;
}

Known known_two() {
    return {"n2", make_incarnation(NodeId(2), 5), StreamEpoch(8)};
}

std::optional<LinkRefusal> refusal_of(const Hello& hello, const Proof& proof = {}) {
    const Known known = known_two();
    return judge_dialer(hello, kSelf, &known, proof).refusal;
}

}  // namespace

TEST_CASE("a greeting reads back as it was written", "[link]") {
    v1::Greeting message;
    const Hello hello = good_hello();
    encode(hello, message);
    Hello again;
    REQUIRE(decode(message, again));
    CHECK(again.cluster_id == hello.cluster_id);
    CHECK(again.peer == hello.peer);
    CHECK(again.traffic == hello.traffic);
    CHECK(again.epoch == hello.epoch);
    message.set_traffic_class(kTrafficClasses);
    CHECK_FALSE(decode(message, again));
    message.set_traffic_class(0);
    message.set_cluster_id(std::string(100, 'c'));
    CHECK_FALSE(decode(message, again));
}

TEST_CASE("a member's greeting is accepted, each fault in it is refused by its name", "[link]") {
    CHECK_FALSE(refusal_of(good_hello()));
    Hello hello = good_hello();
    hello.version_min = hello.version_max = kVersionMax + 1;
    CHECK(refusal_of(hello) == LinkRefusal::Version);
    hello.version_min = kVersionMax + 2;  // a range that ends before it begins
    CHECK(refusal_of(hello) == LinkRefusal::Version);
    hello.version_min = hello.version_max = 0;
    CHECK(refusal_of(hello) == LinkRefusal::Version);
    hello = good_hello();
    hello.cluster_id = "c2";
    CHECK(refusal_of(hello) == LinkRefusal::Cluster);
    hello.cluster_id = "";
    CHECK(refusal_of(hello) == LinkRefusal::NotMember);
    hello = good_hello();
    hello.peer.node = NodeId(1);
    CHECK(refusal_of(hello) == LinkRefusal::OwnNode);
    hello = good_hello();
    hello.peer.incarnation = make_incarnation(NodeId(2), 4);
    CHECK(refusal_of(hello) == LinkRefusal::OldIncarnation);
    hello = good_hello();
    hello.epoch = StreamEpoch(8);
    CHECK(refusal_of(hello) == LinkRefusal::OldEpoch);
    hello.peer.incarnation = make_incarnation(NodeId(2), 6);  // a new start counts from 1
    CHECK_FALSE(refusal_of(hello));
    hello.epoch = StreamEpoch(0);
    CHECK(refusal_of(hello) == LinkRefusal::Malformed);
    CHECK(judge_dialer(good_hello(), kSelf, nullptr, {}).refusal == LinkRefusal::UnknownNode);
}

TEST_CASE("a node that was not given an incarnation yet is heard, whatever was heard of it before",
          "[link]") {
    Hello hello = good_hello();
    hello.peer.incarnation = Incarnation();
    CHECK_FALSE(refusal_of(hello));
    hello.epoch = StreamEpoch(1);
    CHECK_FALSE(refusal_of(hello));
    CHECK_FALSE(judge_acceptor(hello, kSelf, NodeId(2), known_two(), {}).refusal);
    hello.cluster_id = "c2";
    CHECK(refusal_of(hello) == LinkRefusal::Cluster);
}

TEST_CASE("a later version that also speaks this one is spoken to in this one", "[link]") {
    Hello hello = good_hello();
    hello.version_max = kVersionMax + 5;
    const Known known = known_two();
    const Verdict verdict = judge_dialer(hello, kSelf, &known, {});
    CHECK_FALSE(verdict.refusal);
    CHECK(verdict.version == kVersionMax);
}

TEST_CASE("the acceptor must be the node that was dialed", "[link]") {
    const Known known = known_two();
    CHECK_FALSE(judge_acceptor(good_hello(), kSelf, NodeId(2), known, {}).refusal);
    CHECK(judge_acceptor(good_hello(), kSelf, NodeId(3), known, {}).refusal ==
          LinkRefusal::UnknownNode);
}

TEST_CASE("with TLS the certificate must name the node that greets", "[link]") {
    const auto with = [](std::vector<std::string> uris) {
        return refusal_of(good_hello(), Proof{true, std::move(uris)});
    };
    CHECK_FALSE(with({"quorate:///name/n2"}));
    CHECK_FALSE(with({"quorate://c1/name/n2"}));
    CHECK_FALSE(with({"quorate:///node/2"}));
    CHECK_FALSE(with({"https://example.org", "quorate://c1/node/2"}));
    for (const char* uri :
         {"", "quorate:///name/n1", "quorate:///node/1", "quorate://c2/name/n2", "quorate:///name/",
          "quorate:///name/n2/x", "quorate:///device/n2", "quorate:///node/02", "quorate:n2",
          "spiffe:///name/n2", "quorate://name/n2"}) {
        CAPTURE(uri);
        CHECK(with({uri}) == LinkRefusal::Identity);
    }
    CHECK(with({}) == LinkRefusal::Identity);
}

TEST_CASE("whoever has no number may ask, but with TLS only with some node's certificate",
          "[link]") {
    Hello hello = good_hello();
    hello.cluster_id = "";
    hello.peer = {};
    CHECK_FALSE(judge_question(hello, kSelf, nullptr, {}).refusal);
    CHECK_FALSE(judge_question(hello, kSelf, nullptr, {true, {"quorate:///name/new"}}).refusal);
    CHECK(judge_question(hello, kSelf, nullptr, {true, {}}).refusal == LinkRefusal::Identity);
    hello.cluster_id = "c2";
    CHECK(judge_question(hello, kSelf, nullptr, {}).refusal == LinkRefusal::Cluster);
    // A known number must be proven.
    const Known known = known_two();
    CHECK(judge_question(good_hello(), kSelf, &known, {true, {"quorate:///name/n3"}}).refusal ==
          LinkRefusal::Identity);
    // A node may find that a seed is itself.
    hello = good_hello();
    hello.peer = {kSelf.node, kSelf.incarnation};
    CHECK_FALSE(judge_question(hello, kSelf, nullptr, {}).refusal);
    hello.peer.incarnation = make_incarnation(NodeId(1), 3);
    CHECK(judge_question(hello, kSelf, nullptr, {}).refusal == LinkRefusal::OwnNode);
}

TEST_CASE("a refusal keeps its reason on the way, also an unknown one", "[link]") {
    v1::Refusal message;
    Verdict verdict;
    verdict.refusal = LinkRefusal::Identity;
    verdict.text = std::string(5000, 'x');
    encode(verdict, message);
    CHECK(reason_of(message) == LinkRefusal::Identity);
    CHECK(message.text().size() <= 512);
    message.set_reason(4711);
    CHECK(reason_of(message) == LinkRefusal::Malformed);
}
