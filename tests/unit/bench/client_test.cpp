// Packets as the generator writes and reads them, and its payloads.
#include <string>
#include <vector>

#include "bench/load/client/payload.h"
#include "bench/load/client/wire.h"
#include "tests/unit/catch.h"

using namespace quorate::bench;

namespace {

ByteSpan text_bytes(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

Frame frame_of(const Bytes& packet) {
    const FrameScan scan = scan_frame(packet);
    REQUIRE(scan.status == ScanStatus::complete);
    REQUIRE(scan.total == packet.size());
    return scan.frame;
}

}  // namespace

TEST_CASE("CONNECT has the bytes the specification gives") {
    Bytes v5;
    append_connect(v5, {.version = Version::v5,
                        .client_id = "ab",
                        .username = "u",
                        .password = "p",
                        .clean = false,
                        .keep_alive_s = 10,
                        .session_expiry_s = 258});
    CHECK(v5 == Bytes{0x10, 26, 0, 4, 'M', 'Q', 'T', 'T', 5, 0xC0, 0,   10, 5, 0x11,
                      0,    0,  1, 2, 0,   2,   'a', 'b', 0, 1,    'u', 0,  1, 'p'});
    Bytes v31;
    append_connect(v31, {.version = Version::v31, .client_id = "x", .keep_alive_s = 0});
    CHECK(v31 == Bytes{0x10, 15, 0, 6, 'M', 'Q', 'I', 's', 'd', 'p', 3, 2, 0, 0, 0, 1, 'x'});
}

TEST_CASE("a PUBLISH reads back as it was built, in every version and QoS") {
    for (const Version version : {Version::v31, Version::v311, Version::v5}) {
        for (const std::uint8_t qos : {std::uint8_t{0}, std::uint8_t{1}, std::uint8_t{2}}) {
            for (const std::size_t payload : {0U, 28U, 200U, 20000U}) {
                PublishTemplate made = make_publish({version, "a/b", qos, true, payload});
                if (qos > 0) made.bytes[made.packet_id_offset + 1] = 7;
                Publish read;
                REQUIRE(parse_publish(frame_of(made.bytes), version, read));
                CHECK(read.topic == "a/b");
                CHECK(read.qos == qos);
                CHECK(read.retain);
                CHECK_FALSE(read.dup);
                CHECK(read.packet_id == (qos > 0 ? 7 : 0));
                CHECK(read.payload.size() == payload);
            }
        }
    }
}

TEST_CASE(
    "a packet cut short at any byte is incomplete, and its length is known after the header") {
    const PublishTemplate made = make_publish({Version::v5, "topic", 1, false, 300});
    for (std::size_t size = 0; size < made.bytes.size(); ++size) {
        const FrameScan scan = scan_frame(ByteSpan(made.bytes).first(size));
        CHECK(scan.status == ScanStatus::incomplete);
        CHECK(scan.total == (size < 3 ? 0 : made.bytes.size()));
    }
}

TEST_CASE("malformed packets are refused and never read beyond their end") {
    const Bytes five_byte_length = {0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x01};
    CHECK(scan_frame(five_byte_length).status == ScanStatus::malformed);
    Publish publish;
    const std::vector<Bytes> bad = {
        {0x36, 5, 0, 1, 'a', 0, 1},           // QoS 3
        {0x30, 1, 0},                         // no topic length
        {0x30, 3, 0, 5, 'a'},                 // topic longer than the packet
        {0x32, 5, 0, 1, 'a', 0, 0},           // packet id 0
        {0x32, 4, 0, 1, 'a', 0},              // half a packet id
        {0x30, 5, 0, 1, 'a', 9, 1},           // properties longer than the packet
        {0x30, 6, 0, 1, 'a', 2, 0x7E, 0},     // unknown property
        {0x30, 7, 0, 1, 'a', 3, 0x03, 0, 9},  // property cut short
    };
    for (const Bytes& packet : bad)
        CHECK_FALSE(parse_publish(frame_of(packet), Version::v5, publish));
    CHECK_FALSE(parse_ack(frame_of({0x40, 2, 0, 0}), Version::v311));
    CHECK_FALSE(parse_ack(frame_of({0x40, 3, 0, 1, 0}), Version::v311));
    CHECK_FALSE(parse_ack(frame_of({0x60, 2, 0, 1}), Version::v311));
    CHECK_FALSE(parse_connack(frame_of({0x20, 2, 2, 0}), Version::v311));
    CHECK_FALSE(parse_connack(frame_of({0x20, 1, 0}), Version::v311));
    CHECK_FALSE(parse_suback(frame_of({0x90, 1, 0}), Version::v5));
}

TEST_CASE("CONNACK of version 5 gives the limits of the broker") {
    const Bytes packet = {0x20, 11, 1, 0, 8, 0x21, 0, 20, 0x24, 1, 0x13, 0, 30};
    const std::optional<Connack> connack = parse_connack(frame_of(packet), Version::v5);
    REQUIRE(connack);
    CHECK(connack->session_present);
    CHECK(connack->receive_maximum == 20);
    CHECK(connack->maximum_qos == 1);
    CHECK(connack->server_keep_alive_s == 30);
}

TEST_CASE("acknowledgements carry the reason in version 5") {
    Bytes packet;
    append_ack(packet, PacketType::pubrel, 258);
    CHECK(packet == Bytes{0x62, 2, 1, 2});
    const std::optional<Ack> refused = parse_ack(frame_of({0x40, 4, 0, 9, 0x97, 0}), Version::v5);
    REQUIRE(refused);
    CHECK(refused->packet_id == 9);
    CHECK(refused->reason == 0x97);
}

TEST_CASE("the checksum is CRC-32C, the same by instruction and by table") {
    CHECK(crc32c(0, text_bytes("123456789")) == 0xE3069283U);
    std::string text;
    for (int size = 0; size < 70; ++size) {
        CHECK(crc32c(0, text_bytes(text)) == crc32c_by_table(0, text_bytes(text)));
        text.push_back(static_cast<char>(size * 37));
    }
    CHECK(crc32c(crc32c(0, text_bytes("1234")), text_bytes("56789")) == 0xE3069283U);
}

TEST_CASE("a stamp reads back, and any flipped bit or other run is noticed") {
    for (const std::size_t size : {kPayloadBytesMin, std::size_t{64}, std::size_t{1000}}) {
        Bytes payload(size);
        const Stamper stamper(7, payload);
        stamper.stamp(payload.data(), Stamp{3, 12345678901, Nanos(42)});
        const std::optional<Stamp> read = read_stamp(payload, 7);
        REQUIRE(read);
        CHECK(read->publisher == 3);
        CHECK(read->sequence == 12345678901);
        CHECK(read->sent == Nanos(42));
        CHECK_FALSE(read_stamp(payload, 8));
        CHECK_FALSE(read_stamp(ByteSpan(payload).first(size - 1), 7));
        for (std::size_t bit = 0; bit < size * 8; ++bit) {
            payload[bit / 8] = static_cast<std::uint8_t>(payload[bit / 8] ^ (1U << (bit % 8)));
            REQUIRE_FALSE(read_stamp(payload, 7));
            payload[bit / 8] = static_cast<std::uint8_t>(payload[bit / 8] ^ (1U << (bit % 8)));
        }
    }
}
