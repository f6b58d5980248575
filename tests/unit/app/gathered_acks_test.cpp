// Client::weigh_input(): whose acknowledgements may be gathered, and how that ends.
#include "tests/unit/app/front_end_rig.h"
#include "tests/unit/catch.h"

namespace quorate::broker::test {
namespace {

struct Pair {
    explicit Pair(const std::string& connect) {
        writer = rig.memory_client("w");
        reader = rig.open();
        reader->send(connect);
        rig.answer(rig.command("attach").token, FrontEndRig::attached(false, 2));
        REQUIRE(reader->receive(1).size() == 1);
        rig.subscribe(*reader, "a:2");
    }
    // A message, and its PUBACK in a packet of its own. `false`: nothing came.
    void exchange() {
        writer->send("PUBLISH a x qos=1 id=1");
        REQUIRE(writer->receive(1).size() == 1);
        const std::vector<std::string> got = reader->receive(1);
        REQUIRE(got.size() == 1);
        const uint64_t before = rig.loop.connections().counters().reads;
        reader->send("PUBACK " + got[0].substr(got[0].rfind('=') + 1));
        if (gathering() == 0) {
            REQUIRE(rig.until([&] { return rig.loop.connections().counters().reads > before; }));
        }
    }
    [[nodiscard]] std::size_t gathering() { return rig.loop.connections().gathering(); }
    // Long enough for a reader that may gather.
    void exchange_often() {
        for (int i = 0; i < 20; ++i)
            exchange();
    }

    FrontEndRig rig;
    std::unique_ptr<FrontEndRig::Mqtt> writer;
    std::unique_ptr<FrontEndRig::Mqtt> reader;
};

TEST_CASE("A reader that only acknowledges gathers, and loses no message or window by it") {
    Pair pair("CONNECT v5 id=r clean rm=6");
    for (int i = 0; i < 200 && pair.gathering() == 0; ++i)
        pair.exchange();
    REQUIRE(pair.gathering() == 1);
    pair.exchange_often();
}

TEST_CASE("What is no PUBACK is answered and ends the gathering") {
    Pair pair("CONNECT v5 id=r clean");
    for (int i = 0; i < 200 && pair.gathering() == 0; ++i)
        pair.exchange();
    REQUIRE(pair.gathering() == 1);
    pair.reader->send("PINGREQ");
    CHECK(pair.reader->receive(1) == std::vector<std::string>{"PINGRESP"});
    CHECK(pair.gathering() == 0);
}

TEST_CASE("A message of QoS 2 ends the gathering when it is sent") {
    Pair pair("CONNECT v5 id=r clean");
    for (int i = 0; i < 200 && pair.gathering() == 0; ++i)
        pair.exchange();
    REQUIRE(pair.gathering() == 1);
    pair.writer->send("PUBLISH a x qos=2 id=9");
    REQUIRE(pair.reader->receive(1).size() == 1);
    CHECK(pair.gathering() == 0);
}

TEST_CASE("A window of few messages is never gathered for") {
    Pair pair("CONNECT v5 id=r clean rm=3");
    pair.exchange_often();
    CHECK(pair.gathering() == 0);
}

TEST_CASE("A durable session never gathers: what it acknowledged must not be repeated", "[R-6]") {
    FrontEndRig rig;
    const auto reader = rig.durable_client("r");
    for (uint64_t number = 1; number <= 20; ++number) {
        rig.deliver(number, mqtt::QoS::AtLeastOnce);
        REQUIRE(reader->receive(1).size() == 1);
        reader->send("PUBACK " + std::to_string(number + 1));
        rig.command("ack");
    }
    CHECK(rig.loop.connections().gathering() == 0);
}

TEST_CASE("A member of a shared group never gathers") {
    Pair pair("CONNECT v5 id=r clean");
    pair.reader->send("SUBSCRIBE 7 $share/g/b:1");
    pair.rig.answer(pair.rig.command("route").token, cluster::RouteResult{});
    REQUIRE(pair.reader->receive(1).size() == 1);
    pair.exchange_often();
    CHECK(pair.gathering() == 0);
}

}  // namespace
}  // namespace quorate::broker::test
