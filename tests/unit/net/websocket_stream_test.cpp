#include "broker/net/stages/websocket_stream.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/environment.h"
#include "tests/unit/catch.h"
#include "tests/unit/net/websocket_frames.h"

using namespace quorate::broker::test;
using quorate::as_bytes;
using quorate::as_text;
using quorate::Random;
using quorate::broker::ChunkPool;
using quorate::broker::OutputBuffer;
using quorate::broker::WebSocketStatus;
using quorate::broker::WebSocketStream;

namespace {

using namespace std::string_literals;

std::string drain(OutputBuffer& buffer) {
    std::string all;
    while (!buffer.empty()) {
        all += as_text(buffer.front());
        buffer.consume(buffer.front().size());
    }
    return all;
}

struct Outcome {
    std::string payload;
    std::string answer;
    WebSocketStream::State state = WebSocketStream::State::Open;
    WebSocketStatus status = WebSocketStatus::Normal;

    bool operator==(const Outcome&) const = default;
};

// `step`: how many bytes arrive at once; 0 for a random number each time.
Outcome receive(std::string_view bytes, std::size_t step) {
    ChunkPool pool(1U << 20);
    OutputBuffer out(pool);
    WebSocketStream stream;
    Random random(step + bytes.size());
    std::vector<std::byte> into(WebSocketStream::kReadBytesMin + random.below(10'000));
    Outcome outcome;
    while (!bytes.empty()) {
        std::size_t now =
            std::min<std::size_t>(step == 0 ? 1 + random.below(3'000) : step, bytes.size());
        stream.feed(as_bytes(bytes.substr(0, now)));
        bytes.remove_prefix(now);
        while (std::size_t size = stream.read(into, out))
            outcome.payload += as_text({into.data(), size});
    }
    outcome.answer = drain(out);
    outcome.state = stream.state();
    outcome.status = stream.status();
    return outcome;
}

Outcome receive(const std::string& bytes) {
    Outcome whole = receive(bytes, bytes.size());
    CHECK(receive(bytes, 1) == whole);
    CHECK(receive(bytes, 0) == whole);
    return whole;
}

uint16_t close_code(const std::string& answer) {
    std::string bytes = answer;
    std::vector<ServerFrame> frames = take_frames(bytes);
    REQUIRE(!frames.empty());
    const ServerFrame& last = frames.back();
    REQUIRE(last.opcode == kOpClose);
    REQUIRE(last.payload.size() >= 2);
    return static_cast<uint16_t>((static_cast<uint8_t>(last.payload[0]) << 8) |
                                 static_cast<uint8_t>(last.payload[1]));
}

void check_refused(const std::string& bytes, uint16_t code) {
    Outcome outcome = receive(bytes);
    CHECK(outcome.state == WebSocketStream::State::Failed);
    CHECK(static_cast<uint16_t>(outcome.status) == code);
    CHECK(close_code(outcome.answer) == code);
}

}  // namespace

TEST_CASE("MQTT packets may begin and end anywhere in binary frames", "[MQTT-6.0.0-2]") {
    std::string bytes = frame(kOpBinary, "\x10\x0C") + frame(kOpBinary, "") +
                        frame(kOpBinary, std::string(200, 'a')) +
                        frame(kOpBinary, std::string(70'000, 'b'));
    Outcome outcome = receive(bytes);
    CHECK(outcome.payload == "\x10\x0C" + std::string(200, 'a') + std::string(70'000, 'b'));
    CHECK(outcome.answer.empty());
}

TEST_CASE("a fragmented message with control frames in between is one stream", "[MQTT-6.0.0-2]") {
    std::string bytes = frame(kOpBinary, "one ", {.fin = false}) + frame(kOpPing, "hello") +
                        frame(kOpContinuation, "two ", {.fin = false}) + frame(kOpPong, "") +
                        frame(kOpContinuation, "three");
    Outcome outcome = receive(bytes);
    CHECK(outcome.payload == "one two three");
    std::vector<ServerFrame> frames = take_frames(outcome.answer);
    REQUIRE(frames.size() == 1);
    CHECK(frames[0].opcode == kOpPong);
    CHECK(frames[0].payload == "hello");
}

TEST_CASE("a text message is closed with 1003", "[MQTT-6.0.0-1]") {
    check_refused(frame(kOpBinary, "x") + frame(kOpText, "hello"), 1003);
}

TEST_CASE("a frame that breaks the protocol is closed with 1002") {
    SECTION("unmasked") {
        check_refused(frame(kOpBinary, "x", {.masked = false}), 1002);
    }
    SECTION("reserved bit") {
        check_refused(frame(kOpBinary, "x", {.reserved = 4}), 1002);
    }
    SECTION("unknown opcode") {
        check_refused(frame(3, "x"), 1002);
    }
    SECTION("stray continuation") {
        check_refused(frame(kOpContinuation, "x"), 1002);
    }
    SECTION("message in a message") {
        check_refused(frame(kOpBinary, "x", {.fin = false}) + frame(kOpBinary, "y"), 1002);
    }
    SECTION("fragmented ping") {
        check_refused(frame(kOpPing, "x", {.fin = false}), 1002);
    }
    SECTION("long ping") {
        check_refused(frame(kOpPing, std::string(126, 'x')), 1002);
    }
    SECTION("close with one byte") {
        check_refused(frame(kOpClose, "x"), 1002);
    }
    SECTION("close with a reserved status") {
        check_refused(frame(kOpClose, "\x03\xED"), 1002);
    }
    SECTION("length not in its shortest form") {
        check_refused("\x82\xFE\x00\x05\x01\x02\x03\x04hello"s, 1002);
    }
}

TEST_CASE("the payload of a frame of any length is passed on as it comes", "[MQTT-6.0.0-2]") {
    const std::string bytes =
        frame_header(kOpBinary, uint64_t{1} << 62) + std::string("\0\0\0\0", 4) + "first bytes";
    const Outcome outcome = receive(bytes);
    CHECK(outcome.state == WebSocketStream::State::Open);
    CHECK(outcome.payload == "first bytes");
}

TEST_CASE("a frame above its bound is closed with 1009 at its first byte") {
    ChunkPool pool(1U << 20);
    OutputBuffer out(pool);
    std::vector<std::byte> into(8'192);
    WebSocketStream stream(1'000);
    const std::string good = frame(kOpBinary, std::string(1'000, 'g')) +
                             frame(kOpBinary, std::string(700, 'g'), {.fin = false}) +
                             frame(kOpContinuation, std::string(700, 'g'));
    stream.feed(as_bytes(good));
    std::string payload;
    while (std::size_t size = stream.read(into, out))
        payload += as_text({into.data(), size});
    CHECK(payload == std::string(2'400, 'g'));
    CHECK(stream.state() == WebSocketStream::State::Open);
    const std::string header = frame_header(kOpBinary, 1'001) + std::string(5, 'm');
    stream.feed(as_bytes(header));
    CHECK(stream.read(into, out) == 0);
    CHECK(stream.state() == WebSocketStream::State::Failed);
    CHECK(stream.status() == WebSocketStatus::MessageTooBig);
    CHECK(close_code(drain(out)) == 1009);
}

TEST_CASE("the peer's close is answered and ends the stream") {
    Outcome outcome = receive(frame(kOpBinary, "last") +
                              frame(kOpClose,
                                    "\x03\xE8"
                                    "bye") +
                              frame(kOpBinary, "ignored"));
    CHECK(outcome.payload == "last");
    CHECK(outcome.state == WebSocketStream::State::Ended);
    CHECK(close_code(outcome.answer) == 1000);
    CHECK(receive(frame(kOpClose, "")).state == WebSocketStream::State::Ended);
}

TEST_CASE("output is one binary frame, and its payload is not copied", "[MQTT-6.0.0-4]") {
    ChunkPool pool(1U << 20);
    WebSocketStream stream;
    for (std::size_t size : {0U, 1U, 125U, 126U, 65'535U, 65'536U, 300'000U}) {
        OutputBuffer payload(pool);
        OutputBuffer out(pool);
        payload.append(as_bytes(std::string(size, 'p')));
        stream.write(payload, out);
        CHECK(payload.empty());
        std::string bytes = drain(out);
        std::vector<ServerFrame> frames = take_frames(bytes);
        CHECK(bytes.empty());
        CHECK(frames.size() == (size == 0 ? 0U : 1U));
        if (size > 0) {
            CHECK(frames[0].opcode == kOpBinary);
            CHECK(frames[0].payload == std::string(size, 'p'));
        }
    }
}

TEST_CASE("pings of a peer that does not read are not hoarded") {
    ChunkPool pool(1U << 20);
    OutputBuffer out(pool);
    WebSocketStream stream;
    std::vector<std::byte> into(8'192);
    std::string ping = frame(kOpPing, std::string(125, 'p'));
    for (int i = 0; i < 10'000; ++i) {
        stream.feed(as_bytes(ping));
        CHECK(stream.read(into, out) == 0);
    }
    CHECK(out.size() < 70'000);
}

TEST_CASE("random frames split at random bytes give the same stream") {
    Random random(11);
    for (int round = 0; round < 50; ++round) {
        std::string bytes;
        std::string expected;
        bool in_message = false;
        for (int i = 0; i < 20; ++i) {
            if (random.chance(1, 4)) bytes += frame(kOpPing, std::string(random.below(126), 'p'));
            std::string payload(random.below(random.chance(1, 10) ? 70'000 : 300), '?');
            for (char& byte : payload)
                byte = static_cast<char>(random.next());
            bool fin = random.chance(1, 2);
            bytes += frame(in_message ? kOpContinuation : kOpBinary, payload, {.fin = fin});
            in_message = !fin;
            expected += payload;
        }
        REQUIRE(receive(bytes, 0).payload == expected);
        REQUIRE(receive(bytes, bytes.size()).payload == expected);
    }
}
