#include <random>
#include <string>

#include "proto/mqtt/decoder.h"
#include "tests/unit/catch.h"
#include "tests/unit/mqtt/wire_text.h"

using namespace quorate;
using namespace quorate::mqtt;
using namespace quorate::mqtt::test;

namespace {

FrameScan scan(std::string_view bytes, uint32_t max = kPacketSizeMax) {
    return scan_frame(as_bytes(bytes), max);
}

bool is_malformed(const FrameScan& result) {
    return result.state == FrameScan::State::Error &&
           result.error.reason == ReasonCode::MalformedPacket;
}

}  // namespace

TEST_CASE("a frame is complete exactly when its last byte has arrived") {
    for (const std::size_t size : {0U, 1U, 127U, 128U, 16'383U, 16'384U, 2'097'151U, 2'097'152U}) {
        const std::string whole = framed(0x30, std::string(size, 'x'));
        const FrameScan complete = scan(whole);
        REQUIRE(complete.state == FrameScan::State::Complete);
        CHECK(complete.total_size == whole.size());
        CHECK(complete.header_size == whole.size() - size);
        CHECK(frame_of(as_bytes(whole), complete).body.size() == size);
        CHECK(scan(whole + "more").total_size == whole.size());
        if (size == 0) continue;
        const FrameScan cut = scan(std::string_view(whole).substr(0, whole.size() - 1));
        CHECK(cut.state == FrameScan::State::NeedMore);
        CHECK(cut.total_size == whole.size());
    }
}

TEST_CASE("without a whole header nothing is known but that more is needed") {
    CHECK(scan("").state == FrameScan::State::NeedMore);
    for (const char* bytes : {"30", "30 80", "30 ff ff", "30 ff ff ff"}) {
        const FrameScan result = scan(wire(bytes));
        CHECK(result.state == FrameScan::State::NeedMore);
        CHECK(result.total_size == 0);
    }
}

TEST_CASE("a remaining length has at most four bytes and no needless ones", "[MQTT-1.5.5-1]") {
    CHECK(is_malformed(scan(wire("30 80 80 80 80"))));
    CHECK(is_malformed(scan(wire("30 ff ff ff ff 7f"))));
    CHECK(is_malformed(scan(wire("30 80 00"))));
    CHECK(is_malformed(scan(wire("30 81 80 00"))));
    CHECK(is_malformed(scan(wire("30 ff ff ff 00"))));
    const FrameScan largest = scan(wire("30 ff ff ff 7f"));
    CHECK(largest.state == FrameScan::State::NeedMore);
    CHECK(largest.total_size == 268'435'460U);
}

TEST_CASE("a packet above the maximum is refused as soon as its header is read") {
    const std::string whole = framed(0x30, std::string(200, 'x'));
    CHECK(scan(whole, 203).state == FrameScan::State::Complete);
    const FrameScan refused = scan(std::string_view(whole).substr(0, 3), 202);
    REQUIRE(refused.state == FrameScan::State::Error);
    CHECK(refused.error.reason == ReasonCode::PacketTooLarge);
}

TEST_CASE("reserved flags of the fixed header are malformed",
          "[MQTT-2.1.3-1][MQTT-3.6.1-1][MQTT-3.8.1-1][MQTT-3.10.1-1][MQTT-3.14.1-1]"
          "[MQTT-3.15.1-1][MQTT311-2.2.2-1][MQTT311-2.2.2-2][MQTT311-3.6.1-1][MQTT311-3.8.1-1]"
          "[MQTT311-3.10.1-1][MQTT311-3.14.1-1]") {
    for (unsigned first = 0; first < 256; ++first) {
        const unsigned type = first >> 4;
        const unsigned flags = first & 0x0FU;
        const bool has_flag = type == 6 || type == 8 || type == 10;
        bool good = type != 0 && flags == (has_flag ? 2U : 0U);
        // Of version 3.1; refused later where the version has no DUP there.
        if (has_flag && flags == 0x0A) good = true;
        if (type == 3) good = (flags & 6U) != 6U && (flags & 0x0EU) != 8U;
        const std::string bytes = {static_cast<char>(static_cast<uint8_t>(first)), '\0'};
        INFO(first);
        CHECK(is_malformed(scan(bytes)) == !good);
        CHECK((scan(bytes).state == FrameScan::State::Complete) == good);
    }
}

TEST_CASE("only version 3.1 sees DUP in PUBREL, SUBSCRIBE and UNSUBSCRIBE",
          "[MQTT-2.1.3-1][MQTT-3.6.1-1][MQTT-3.8.1-1][MQTT-3.10.1-1][MQTT311-2.2.2-2]") {
    for (const char* text : {"6a 00 01", "8a 00 01 \"a\" 00", "aa 00 01 \"a\""}) {
        const std::string bytes = packet(text);
        CHECK(decode_bytes(ProtocolVersion::V31, bytes).ok());
        CHECK(decode_bytes(ProtocolVersion::V311, bytes).reason == ReasonCode::MalformedPacket);
        CHECK(decode_bytes(ProtocolVersion::V5, bytes).reason == ReasonCode::MalformedPacket);
    }
}

TEST_CASE("a stream cut anywhere yields the same packets") {
    const std::string packets[] = {packet("c0"),       packet("30 \"a/b\" 'payload'"),
                                   packet("40 00 07"), framed(0x32, prefixed("t") + "\0\1x"),
                                   packet("e0"),       packet("30 \"large\"")};
    std::string stream;
    for (const std::string& one : packets)
        stream += one;
    std::mt19937 random(3);
    for (int round = 0; round < 2000; ++round) {
        std::string buffer;
        std::size_t given = 0;
        std::size_t found = 0;
        while (found < std::size(packets)) {
            const FrameScan result = scan(buffer);
            if (result.state == FrameScan::State::Complete) {
                REQUIRE(buffer.substr(0, result.total_size) == packets[found]);
                buffer.erase(0, result.total_size);
                ++found;
                continue;
            }
            REQUIRE(result.state == FrameScan::State::NeedMore);
            REQUIRE(given < stream.size());
            const std::size_t size = std::min<std::size_t>(1 + random() % 9, stream.size() - given);
            buffer += stream.substr(given, size);
            given += size;
        }
        REQUIRE(buffer.empty());
    }
}
