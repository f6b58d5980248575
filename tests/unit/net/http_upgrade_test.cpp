#include "broker/net/stages/http_upgrade.h"

#include <string>
#include <string_view>

#include "tests/unit/catch.h"

using quorate::as_bytes;
using quorate::as_text;
using quorate::broker::ChunkPool;
using quorate::broker::HttpUpgrade;
using quorate::broker::OutputBuffer;
using quorate::broker::UpgradeRules;

namespace {

struct Fields {
    std::string line = "GET /mqtt HTTP/1.1";
    std::string host = "Host: broker.example\r\n";
    std::string upgrade = "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n";
    std::string key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    std::string version = "Sec-WebSocket-Version: 13\r\n";
    std::string protocol = "Sec-WebSocket-Protocol: mqtt\r\n";
    std::string more;

    [[nodiscard]] std::string text() const {
        return line + "\r\n" + host + upgrade + key + version + protocol + more + "\r\n";
    }
};

struct Answer {
    HttpUpgrade::State state;
    std::size_t taken;
    std::string bytes;
    std::string error;
    std::string subprotocol;

    [[nodiscard]] std::string status() const { return bytes.substr(9, 3); }
};

Answer ask(const std::string& request, const UpgradeRules& rules, std::size_t step) {
    ChunkPool pool(1U << 20);
    OutputBuffer out(pool);
    HttpUpgrade upgrade(rules);
    std::size_t taken = 0;
    for (std::size_t at = 0; at < request.size(); at += step)
        taken += upgrade.feed(as_bytes(std::string_view(request).substr(at, step)), out);
    Answer answer{upgrade.state(), taken, "", upgrade.error(), upgrade.subprotocol()};
    while (!out.empty()) {
        answer.bytes += as_text(out.front());
        out.consume(out.front().size());
    }
    return answer;
}

Answer ask(const std::string& request, const UpgradeRules& rules = {}) {
    Answer whole = ask(request, rules, request.size());
    for (std::size_t step : {1U, 7U}) {
        Answer split = ask(request, rules, step);
        CHECK(split.state == whole.state);
        CHECK(split.taken == whole.taken);
        CHECK(split.bytes == whole.bytes);
    }
    return whole;
}

}  // namespace

TEST_CASE("an upgrade with subprotocol mqtt is agreed to", "[MQTT-6.0.0-3][MQTT-6.0.0-4]") {
    Answer answer = ask(Fields().text());
    CHECK(answer.state == HttpUpgrade::State::Upgraded);
    CHECK(answer.bytes ==
          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
          "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
          "Sec-WebSocket-Protocol: mqtt\r\n\r\n");
}

TEST_CASE("the client's preferred subprotocol that we speak is chosen", "[MQTT-6.0.0-4]") {
    Fields fields;
    fields.protocol = "Sec-WebSocket-Protocol: chat, mqttv3.1\r\nSec-WebSocket-Protocol: mqtt\r\n";
    CHECK(ask(fields.text()).subprotocol == "mqttv3.1");
}

TEST_CASE("an upgrade without subprotocol mqtt is answered 400", "[MQTT-6.0.0-3]") {
    Fields fields;
    fields.protocol = GENERATE("", "Sec-WebSocket-Protocol: chat\r\n",
                               "Sec-WebSocket-Protocol: MQTT\r\n", "Sec-WebSocket-Protocol: \r\n");
    CHECK(ask(fields.text()).status() == "400");
}

TEST_CASE("bytes behind the request are left alone") {
    std::string request = Fields().text();
    Answer answer = ask(request + "\x82\x85....");
    CHECK(answer.state == HttpUpgrade::State::Upgraded);
    CHECK(answer.taken == request.size());
}

TEST_CASE("a wrong WebSocket version, or no upgrade at all, is answered 426") {
    Fields fields;
    SECTION("version 8") {
        fields.version = "Sec-WebSocket-Version: 8\r\n";
    }
    SECTION("no version") {
        fields.version = "";
    }
    SECTION("no upgrade") {
        fields.upgrade = "";
    }
    SECTION("upgrade to h2c") {
        fields.upgrade = "Upgrade: h2c\r\nConnection: Upgrade\r\n";
    }
    SECTION("not asked of this hop") {
        fields.upgrade = "Upgrade: websocket\r\nConnection: keep-alive\r\n";
    }
    Answer answer = ask(fields.text());
    CHECK(answer.status() == "426");
    CHECK(answer.bytes.find("Sec-WebSocket-Version: 13\r\n") != std::string::npos);
}

TEST_CASE("a malformed upgrade request is answered 400") {
    Fields fields;
    SECTION("POST") {
        fields.line = "POST /mqtt HTTP/1.1";
    }
    SECTION("HTTP/1.0") {
        fields.line = "GET /mqtt HTTP/1.0";
    }
    SECTION("no host") {
        fields.host = "";
    }
    SECTION("two hosts") {
        fields.host = "Host: a\r\nHost: b\r\n";
    }
    SECTION("no key") {
        fields.key = "";
    }
    SECTION("two keys") {
        fields.key += fields.key;
    }
    SECTION("short key") {
        fields.key = "Sec-WebSocket-Key: dGhlIHNhbQ==\r\n";
    }
    SECTION("not base64") {
        fields.key = "Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!==\r\n";
    }
    SECTION("a body") {
        fields.more = "Content-Length: 5\r\n";
    }
    SECTION("a chunked body") {
        fields.more = "Transfer-Encoding: chunked\r\n";
    }
    SECTION("a field without a colon") {
        fields.more = "nonsense\r\n";
    }
    SECTION("control characters") {
        fields.more =
            "X: a\x01"
            "b\r\n";
    }
    SECTION("not HTTP") {
        fields.line = "\x10\x0C\x04MQTT";
    }
    CHECK(ask(fields.text()).status() == "400");
}

TEST_CASE("another path is answered 404; a query does not matter") {
    Fields fields;
    fields.line = "GET /other HTTP/1.1";
    CHECK(ask(fields.text()).status() == "404");
    fields.line = "GET /mqtt?token=x HTTP/1.1";
    CHECK(ask(fields.text()).status() == "101");
    fields.line = "GET / HTTP/1.1";
    CHECK(ask(fields.text()).status() == "101");
    UpgradeRules rules;
    rules.path = "/other";
    fields.line = "GET /other HTTP/1.1";
    CHECK(ask(fields.text(), rules).status() == "101");
}

TEST_CASE("a foreign Origin is answered 403 when origins are configured") {
    UpgradeRules rules;
    rules.origins = {"https://app.example"};
    Fields fields;
    CHECK(ask(fields.text(), rules).status() == "101");
    fields.more = "Origin: https://APP.example\r\n";
    CHECK(ask(fields.text(), rules).status() == "101");
    fields.more = "Origin: https://evil.example\r\n";
    CHECK(ask(fields.text(), rules).status() == "403");
    CHECK(ask(fields.text()).status() == "101");
}

TEST_CASE("compression is never agreed to") {
    Fields fields;
    fields.more = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
    Answer answer = ask(fields.text());
    CHECK(answer.status() == "101");
    CHECK(answer.bytes.find("Extensions") == std::string::npos);
}

TEST_CASE("a header above 8 KiB is answered 431 and no more than that is kept") {
    Fields fields;
    fields.more = "X: " + std::string(9'000, 'a') + "\r\n";
    Answer answer = ask(fields.text());
    CHECK(answer.status() == "431");
    CHECK(answer.taken == UpgradeRules().header_bytes_max);
}

TEST_CASE("the bound of a header is the one that was set") {
    UpgradeRules rules;
    rules.header_bytes_max = 600;
    Fields fields;
    CHECK(ask(fields.text(), rules).status() == "101");
    fields.more = "X: " + std::string(600, 'a') + "\r\n";
    CHECK(ask(fields.text(), rules).status() == "431");
    CHECK(ask(fields.text(), rules).taken == 600);
    rules.header_bytes_max = 16'384;
    fields.more = "X: " + std::string(8'000, 'a') + "\r\nY: " + std::string(4'000, 'a') + "\r\n";
    CHECK(ask(fields.text(), rules).status() == "101");
}
