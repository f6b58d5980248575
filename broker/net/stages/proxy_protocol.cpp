#include "broker/net/stages/proxy_protocol.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string_view>
#include <vector>

#include <arpa/inet.h>

namespace quorate::broker {

namespace {

constexpr std::array<uint8_t, 12> kSignature = {0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D,
                                                0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A};
constexpr std::string_view kTextStart = "PROXY ";
constexpr std::size_t kBinaryFixed = 16;

uint16_t big_endian(const uint8_t* bytes) {
    return static_cast<uint16_t>((bytes[0] << 8) | bytes[1]);
}

bool parse_port(std::string_view text, uint16_t& port) {
    if (text.empty() || text.size() > 5 || (text.size() > 1 && text[0] == '0')) return false;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    return error == std::errc() && end == text.data() + text.size();
}

bool parse_host(std::string_view text, PeerAddress::Family family, PeerAddress& into) {
    std::string zero_ended(text);
    int kind = family == PeerAddress::Family::V4 ? AF_INET : AF_INET6;
    into.family = family;
    return inet_pton(kind, zero_ended.c_str(), into.bytes.data()) == 1;
}

std::vector<std::string_view> split(std::string_view line) {
    std::vector<std::string_view> fields;
    while (true) {
        std::size_t space = line.find(' ');
        fields.push_back(line.substr(0, space));
        if (space == std::string_view::npos) return fields;
        line.remove_prefix(space + 1);
    }
}

}  // namespace

bool ProxyParser::fail(const char* error) {
    state_ = State::Failed;
    error_ = error;
    return false;
}

std::size_t ProxyParser::feed(ByteView bytes) {
    std::size_t taken = 0;
    // Byte by byte, since the end of the header must be found exactly: it is short and comes once.
    while (taken < bytes.size() && state_ == State::NeedMore) {
        if (!step(std::to_integer<uint8_t>(bytes[taken]))) break;
        ++taken;
    }
    return taken;
}

// False when the byte was not taken: the header is wrong.
bool ProxyParser::step(uint8_t byte) {
    ASSERT(size_ < kHeaderBytesMax, "a header is checked against its bound before it is full");
    header_[size_++] = byte;
    bool binary = header_[0] == kSignature[0];
    return binary ? step_binary() : step_text();
}

bool ProxyParser::step_text() {
    if (size_ <= kTextStart.size()) {
        if (header_[size_ - 1] != static_cast<uint8_t>(kTextStart[size_ - 1]))
            return fail("no PROXY header");
        return true;
    }
    if (header_[size_ - 1] == '\n') {
        if (header_[size_ - 2] != '\r') return fail("PROXY header: line end without CR");
        parse_text();
        return state_ == State::Done;
    }
    if (size_ >= kTextBytesMax) return fail("PROXY header: version 1 line is too long");
    return true;
}

void ProxyParser::parse_text() {
    std::string_view line(reinterpret_cast<const char*>(header_.data()), size_ - 2);
    std::vector<std::string_view> fields = split(line.substr(kTextStart.size()));
    if (fields[0] == "UNKNOWN") {
        state_ = State::Done;
        return;
    }
    PeerAddress::Family family = PeerAddress::Family::V4;
    if (fields[0] == "TCP6") {
        family = PeerAddress::Family::V6;
    } else if (fields[0] != "TCP4") {
        static_cast<void>(fail("PROXY header: unknown protocol"));
        return;
    }
    PeerAddress source;
    PeerAddress destination;
    if (fields.size() != 5 || !parse_host(fields[1], family, source) ||
        !parse_host(fields[2], family, destination) || !parse_port(fields[3], source.port) ||
        !parse_port(fields[4], destination.port)) {
        static_cast<void>(fail("PROXY header: malformed addresses"));
        return;
    }
    source_ = source;
    state_ = State::Done;
}

bool ProxyParser::step_binary() {
    if (size_ <= kSignature.size()) {
        if (header_[size_ - 1] != kSignature[size_ - 1]) return fail("no PROXY header");
        return true;
    }
    if (size_ == 13 && (header_[12] >> 4) != 2) return fail("PROXY header: unknown version");
    if (size_ == 13 && (header_[12] & 0x0F) > 1) return fail("PROXY header: unknown command");
    if (size_ < kBinaryFixed) return true;
    std::size_t whole = kBinaryFixed + big_endian(&header_[14]);
    if (whole > kHeaderBytesMax) return fail("PROXY header: longer than 536 bytes");
    if (size_ < whole) return true;
    parse_binary();
    return state_ == State::Done;
}

void ProxyParser::parse_binary() {
    bool local = (header_[12] & 0x0F) == 0;
    std::size_t length = size_ - kBinaryFixed;
    const uint8_t* addresses = &header_[kBinaryFixed];
    PeerAddress source;
    // LOCAL is the balancer's own health check: its addresses are to be skipped, whatever they are.
    std::size_t needed = 0;
    switch (local ? 0 : header_[13] >> 4) {
        case 1:
            needed = 12;
            source.family = PeerAddress::Family::V4;
            break;
        case 2:
            needed = 36;
            source.family = PeerAddress::Family::V6;
            break;
        case 3:
            needed = 216;
            source.family = PeerAddress::Family::Unix;
            break;
        default:  // UNSPEC, or a family of a later revision: the socket's address stays
            state_ = State::Done;
            return;
    }
    if (length < needed) {
        static_cast<void>(fail("PROXY header: addresses are cut short"));
        return;
    }
    if (source.family == PeerAddress::Family::V4) {
        std::memcpy(source.bytes.data(), addresses, 4);
        source.port = big_endian(addresses + 8);
    } else if (source.family == PeerAddress::Family::V6) {
        std::memcpy(source.bytes.data(), addresses, 16);
        source.port = big_endian(addresses + 32);
    }
    source_ = source;
    state_ = State::Done;
}

}  // namespace quorate::broker
