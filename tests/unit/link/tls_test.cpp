// Mutual TLS between hosts: whose certificate opens a link.
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "tests/unit/catch.h"
#include "tests/unit/link/certificates.h"
#include "tests/unit/link/node.h"

namespace {

using namespace quorate;
using namespace quorate::link;

constexpr auto kRefusedIdentity = static_cast<std::size_t>(LinkRefusal::Identity);
constexpr auto kUnreachable = static_cast<std::size_t>(LinkEnd::Unreachable);

std::function<void(LinkOptions&)> with(LinkTlsFiles files) {
    return [files = std::move(files)](LinkOptions& options) { options.tls = files; };
}

LinkTlsFiles good(const TestAuthority& authority, const std::string& name) {
    return authority.issue(name, {"quorate:///name/" + name});
}

// Both know each other, and no link comes up although both have tried.
void check_strangers(TestNode& one, TestNode& two) {
    REQUIRE(one.running());
    REQUIRE(two.running());
    one.knows({&two});
    two.knows({&one});
    CHECK(one.wait_count(Metric::LinkReset, kUnreachable, 3));
    CHECK(two.wait_count(Metric::LinkReset, kUnreachable, 3));
    CHECK(one.recorder.heard().up.empty());
    CHECK(two.recorder.heard().up.empty());
}

}  // namespace

TEST_CASE("nodes with certificates of one authority, made out to them, have links", "[link][tls]") {
    const TestAuthority authority;
    TestNode one(1, 1, with(good(authority, "n1")));
    TestNode two(2, 1, with(authority.issue("two", {"quorate://test-cluster/node/2"})));
    REQUIRE(one.running());
    REQUIRE(two.running());
    one.knows({&two});
    two.knows({&one});
    REQUIRE(one.wait_up(two));
    REQUIRE(two.wait_up(one));
    for (int i = 0; i < 1000; ++i)
        REQUIRE(one.push(two, TrafficClass::Publishes, "item " + std::to_string(i)));
    CHECK(two.recorder.wait([](const Recorder::Heard& heard) {
        const auto found = heard.items.find({1, TrafficClass::Publishes});
        return found != heard.items.end() && found->second.size() == 1000;
    }));
}

TEST_CASE("a certificate of another authority opens no link", "[link][tls]") {
    const TestAuthority authority;
    const TestAuthority other;
    TestNode one(1, 1, with(good(authority, "n1")));
    TestNode two(2, 1, with(good(other, "n2")));
    check_strangers(one, two);
}

TEST_CASE("a certificate out of its time opens no link", "[link][tls]") {
    const TestAuthority authority;
    TestNode one(1, 1, with(good(authority, "n1")));
    TestNode two(2, 1, with(authority.issue("n2", {"quorate:///name/n2", 3600, 7200})));
    check_strangers(one, two);
}

TEST_CASE("a node without TLS has no link to one with it", "[link][tls]") {
    const TestAuthority authority;
    TestNode one(1, 1, with(good(authority, "n1")));
    TestNode two(2);
    check_strangers(one, two);
}

TEST_CASE("a certificate made out to another node is refused on both sides", "[link][tls]") {
    const TestAuthority authority;
    TestNode one(1, 1, with(good(authority, "n1")));
    TestNode two(2, 1, with(good(authority, "n3")));
    one.knows({&two});
    two.knows({&one});
    CHECK(one.wait_count(Metric::LinkRefused, kRefusedIdentity, 1));
    CHECK(two.wait_count(Metric::LinkRefusedByPeer, kRefusedIdentity, 1));
    CHECK(one.recorder.heard().up.empty());
}

TEST_CASE("new certificate files count without a restart, and open streams stay", "[link][tls]") {
    const TestAuthority authority;
    const LinkTlsFiles files = authority.issue("two", {"quorate:///name/n3"});
    TestNode one(1, 1, with(good(authority, "n1")));
    TestNode two(2, 1, with(files));
    TestNode three(3, 1, with(good(authority, "n3")));
    one.knows({&two, &three});
    three.knows({&one});
    two.knows({&one});
    REQUIRE(one.wait_up(three));
    CHECK(one.wait_count(Metric::LinkRefused, kRefusedIdentity, 1));
    CHECK(authority.issue("two", {"quorate:///name/n2"}).cert == files.cert);
    CHECK(two.wait_up(one));
    CHECK(one.wait_up(two));
    for (const Recorder::Ended& each : one.recorder.heard().down)
        CHECK(each.stream.peer.node != NodeId(3));
}

TEST_CASE("wrong files stop the start and are named", "[link][tls]") {
    const TestAuthority authority;
    const LinkTlsFiles one = good(authority, "n1");
    const LinkTlsFiles two = good(authority, "n2");
    const auto error = [](const LinkTlsFiles& files) {
        const TestNode node(1, 1, with(files));
        CHECK_FALSE(node.running());
        return node.error();
    };
    CHECK(error({one.cert, two.key, one.ca}).find(two.key) != std::string::npos);
    CHECK(error({"/nonexistent", one.key, one.ca}).find("/nonexistent") != std::string::npos);
    CHECK(error({one.cert, one.key, one.key}).find(one.key) != std::string::npos);
    const LinkTlsFiles old = authority.issue("old", {"quorate:///name/n1", -7200, -3600});
    CHECK(error(old).find("expired") != std::string::npos);
    const LinkTlsFiles device = authority.issue("device", {});
    CHECK(error(device).find("subject alternative name") != std::string::npos);
    const LinkTlsFiles foreign = authority.issue("foreign", {"quorate://other/name/n1"});
    CHECK(error(foreign).find("subject alternative name") != std::string::npos);
    const LinkTlsFiles number = authority.issue("number", {"quorate:///node/2"});
    CHECK(error(number).find("subject alternative name") != std::string::npos);
}

TEST_CASE("a question needs a certificate of the authority too", "[link][tls]") {
    const TestAuthority authority;
    const TestAuthority other;
    TestNode one(1, 1, with(good(authority, "n1")));
    const auto blank = [](LinkTlsFiles files) {
        return [files = std::move(files)](LinkOptions& options) {
            options.tls = files;
            options.self = {};
        };
    };
    TestNode fresh(9, 1, blank(good(authority, "n9")));
    TestNode foreign(9, 1, blank(good(other, "n9")));
    std::atomic<int> answers{0};
    std::atomic<int> errors{0};
    for (TestNode* from : {&fresh, &foreign}) {
        CHECK(from->host().ask(
            {one.address(), QuestionKind(1), std::chrono::seconds(10)}, "x",
            [&](const Result<std::string>& result) { ++(result.ok() ? answers : errors); }));
    }
    CHECK(eventually([&] { return answers == 1 && errors == 1; }));
}
