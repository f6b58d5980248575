#include "broker/net/stages/proxy_protocol.h"

#include <string>
#include <string_view>

#include "tests/unit/catch.h"

using quorate::as_bytes;
using quorate::broker::PeerAddress;
using quorate::broker::ProxyParser;

namespace {

using namespace std::string_literals;

const std::string kSignature = "\r\n\r\n\0\r\nQUIT\n"s;

std::string version_2(char command, char family, std::string_view body) {
    std::string header = kSignature;
    header += static_cast<char>(0x20 | command);
    header += family;
    header += static_cast<char>(body.size() >> 8);
    header += static_cast<char>(body.size() & 0xFF);
    return header.append(body);
}

// Feeds all at once, then byte by byte: both must come to the same end.
ProxyParser parse(const std::string& bytes, std::size_t* taken_out = nullptr) {
    ProxyParser whole;
    std::size_t taken = whole.feed(as_bytes(bytes));
    ProxyParser split;
    std::size_t taken_split = 0;
    for (char byte : bytes)
        taken_split += split.feed(as_bytes(std::string_view(&byte, 1)));
    CHECK(whole.state() == split.state());
    CHECK(whole.source() == split.source());
    CHECK(whole.error() == split.error());
    CHECK(taken == taken_split);
    if (taken_out != nullptr) *taken_out = taken;
    return whole;
}

std::string source_of(const std::string& bytes) {
    ProxyParser parser = parse(bytes);
    REQUIRE(parser.state() == ProxyParser::State::Done);
    return parser.source() ? parser.source()->text() : "none";
}

}  // namespace

TEST_CASE("PROXY version 1 names the client of a TCP connection") {
    CHECK(source_of("PROXY TCP4 192.0.2.7 198.51.100.1 56324 1883\r\n") == "192.0.2.7:56324");
    CHECK(source_of("PROXY TCP6 2001:db8::7 2001:db8::1 56324 1883\r\n") == "[2001:db8::7]:56324");
    CHECK(source_of("PROXY UNKNOWN\r\n") == "none");
    CHECK(source_of("PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n") == "none");
}

TEST_CASE("PROXY version 2 names the client of a TCP or Unix connection") {
    CHECK(source_of(version_2(1, 0x11, "\xC0\x00\x02\x07\xC6\x33\x64\x01\xDC\x04\x07\x5B"s)) ==
          "192.0.2.7:56324");
    std::string v6 = "\x20\x01\x0D\xB8\0\0\0\0\0\0\0\0\0\0\0\x07"s + std::string(16, '\x01') +
                     "\xDC\x04\x07\x5B"s;
    CHECK(source_of(version_2(1, 0x21, v6)) == "[2001:db8::7]:56324");
    CHECK(source_of(version_2(1, 0x31, std::string(216, 'p'))) == "unix");
}

TEST_CASE("PROXY version 2 LOCAL and UNSPEC leave the socket's address") {
    CHECK(source_of(version_2(0, 0x00, "")) == "none");
    CHECK(source_of(version_2(0, 0x11, "\1\2\3\4\5\6\7\x08\1\2\3\4"s)) == "none");
    CHECK(source_of(version_2(1, 0x00, "whatever")) == "none");
}

TEST_CASE("PROXY version 2 TLVs are skipped, and what follows is not touched") {
    std::string body = "\xC0\x00\x02\x07\xC6\x33\x64\x01\xDC\x04\x07\x5B"s + "\x01\x00\x04mqtt"s;
    std::string header = version_2(1, 0x11, body);
    ProxyParser parser;
    CHECK(parser.feed(as_bytes(header + "\x10\x0C")) == header.size());
    CHECK(parser.state() == ProxyParser::State::Done);
    CHECK(parser.source()->text() == "192.0.2.7:56324");
}

TEST_CASE("a PROXY header above its bound is refused before it is read") {
    std::size_t taken = 0;
    ProxyParser parser = parse(version_2(1, 0x11, std::string(521, 'x')), &taken);
    CHECK(parser.state() == ProxyParser::State::Failed);
    CHECK(taken == 15);
    CHECK(source_of(version_2(1, 0x00, std::string(520, 'x'))) == "none");
    CHECK(parse("PROXY UNKNOWN " + std::string(200, 'x')).state() == ProxyParser::State::Failed);
}

TEST_CASE("a connection without a valid PROXY header is refused") {
    auto bytes = GENERATE(as<std::string>{}, "\x10\x0C\0\x04MQTT"s, "GET / HTTP/1.1\r\n",
                          "PROXY TCP4 192.0.2.7 198.51.100.1 56324\r\n",
                          "PROXY TCP4 192.0.2.7 198.51.100.1 56324 99999\r\n",
                          "PROXY TCP4 192.0.2.7 198.51.100.1 056 1883\r\n",
                          "PROXY TCP4 2001:db8::7 198.51.100.1 1 1883\r\n",
                          "PROXY TCP6 192.0.2.7 198.51.100.1 1 1883\r\n",
                          "PROXY TCP4  192.0.2.7 198.51.100.1 1 1883\r\n",
                          "PROXY UDP4 192.0.2.7 198.51.100.1 1 1883\r\n", "PROXY UNKNOWN\n",
                          "\r\n\r\n\0\r\nQUIX"s);
    CHECK(parse(bytes).state() == ProxyParser::State::Failed);
}

TEST_CASE("a PROXY version 2 header with a wrong version, command or length is refused") {
    std::string wrong_version = version_2(1, 0x11, std::string(12, '\1'));
    wrong_version[12] = '\x31';
    CHECK(parse(wrong_version).state() == ProxyParser::State::Failed);
    CHECK(parse(version_2(2, 0x11, std::string(12, '\1'))).state() == ProxyParser::State::Failed);
    CHECK(parse(version_2(1, 0x11, std::string(11, '\1'))).state() == ProxyParser::State::Failed);
    CHECK(parse(version_2(1, 0x21, std::string(35, '\1'))).state() == ProxyParser::State::Failed);
}

TEST_CASE("an incomplete PROXY header waits for more") {
    CHECK(parse("PROXY TCP4 192.0").state() == ProxyParser::State::NeedMore);
    CHECK(parse(kSignature).state() == ProxyParser::State::NeedMore);
}
