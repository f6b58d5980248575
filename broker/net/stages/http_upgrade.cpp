#include "broker/net/stages/http_upgrade.h"

#include <algorithm>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <fmt/format.h>
#include <openssl/evp.h>

namespace quorate::broker {

namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;

constexpr std::string_view kHeaderEnd = "\r\n\r\n";
constexpr std::string_view kMagic = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // RFC 6455 §1.3
constexpr std::size_t kKeyBytes = 24;                                        // base64 of 16

std::string_view view_of(beast::string_view text) {
    return {text.data(), text.size()};
}

// Exactly one field of this name; empty otherwise.
std::string_view single_field(const http::fields& fields, http::field name) {
    if (fields.count(name) != 1) return {};
    return view_of(fields[name]);
}

bool has_token(const http::fields& fields, http::field name, beast::string_view token) {
    auto [from, to] = fields.equal_range(name);
    return std::any_of(
        from, to, [&](const auto& field) { return http::token_list(field.value()).exists(token); });
}

bool same_without_case(std::string_view a, std::string_view b) {
    return beast::iequals({a.data(), a.size()}, {b.data(), b.size()});
}

// The first of the client's subprotocols that we speak: it names them in order of preference.
// [MQTT-6.0.0-3]
std::string choose_subprotocol(const http::fields& fields) {
    auto [from, to] = fields.equal_range(http::field::sec_websocket_protocol);
    for (auto field = from; field != to; ++field) {
        for (beast::string_view offered : http::token_list(field->value())) {
            if (offered == "mqtt" || offered == "mqttv3.1") return std::string(view_of(offered));
        }
    }
    return {};
}

std::string base64(const unsigned char* bytes, std::size_t size) {
    std::string text(4 * ((size + 2) / 3) + 1, '\0');
    int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes,
                                 static_cast<int>(size));
    text.resize(static_cast<std::size_t>(length));
    return text;
}

bool is_valid_key(std::string_view key) {
    unsigned char decoded[kKeyBytes];
    return key.size() == kKeyBytes && key.substr(kKeyBytes - 2) == "==" &&
           EVP_DecodeBlock(decoded, reinterpret_cast<const unsigned char*>(key.data()),
                           static_cast<int>(key.size())) == 18;
}

std::string accept_of(std::string_view key) {
    std::string text = fmt::format("{}{}", key, kMagic);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha1(), nullptr);
    return base64(digest, size);
}

}  // namespace

HttpUpgrade::HttpUpgrade(const UpgradeRules& rules) : rules_(&rules) {}

std::size_t HttpUpgrade::feed(ByteView bytes, OutputBuffer& out) {
    if (state_ != State::NeedMore) return 0;
    std::size_t before = received_.size();
    std::size_t room = rules_->header_bytes_max - before;
    received_.append(as_text(bytes.first(std::min(bytes.size(), room))));
    std::size_t from = before < kHeaderEnd.size() ? 0 : before - kHeaderEnd.size() + 1;
    std::size_t end = received_.find(kHeaderEnd, from);
    if (end == std::string::npos) {
        std::size_t taken = received_.size() - before;
        if (received_.size() == rules_->header_bytes_max) refuse(431, "header too long", out);
        return taken;
    }
    received_.resize(end + kHeaderEnd.size());
    decide(out);
    return end + kHeaderEnd.size() - before;
}

void HttpUpgrade::decide(OutputBuffer& out) {
    http::request_parser<http::empty_body> parser;
    parser.header_limit(static_cast<std::uint32_t>(rules_->header_bytes_max));
    parser.body_limit(0);
    beast::error_code error;
    parser.put(boost::asio::buffer(received_), error);
    std::string().swap(received_);
    if (error || !parser.is_header_done()) {
        refuse(400, "malformed request", out);
        return;
    }
    const auto& request = parser.get();
    std::string_view path = view_of(request.target());
    path = path.substr(0, path.find('?'));
    std::string_view key = single_field(request, http::field::sec_websocket_key);
    std::string_view origin = view_of(request[http::field::origin]);
    auto is_origin = [&](const std::string& allowed) { return same_without_case(allowed, origin); };
    subprotocol_ = choose_subprotocol(request);

    if (request.method() != http::verb::get || request.version() != 11 ||
        request.count(http::field::host) != 1 || request.has_content_length() ||
        request.chunked()) {
        refuse(400, "not a WebSocket request", out);
    } else if (path != rules_->path && path != "/") {
        refuse(404, "no such path", out);
    } else if (!has_token(request, http::field::upgrade, "websocket") ||
               !has_token(request, http::field::connection, "upgrade")) {
        refuse(426, "no upgrade to WebSocket", out);
    } else if (single_field(request, http::field::sec_websocket_version) != "13") {
        refuse(426, "WebSocket version is not 13", out);
    } else if (!is_valid_key(key)) {
        refuse(400, "malformed Sec-WebSocket-Key", out);
    } else if (!origin.empty() && !rules_->origins.empty() &&
               std::none_of(rules_->origins.begin(), rules_->origins.end(), is_origin)) {
        refuse(403, "foreign Origin", out);
    } else if (subprotocol_.empty()) {
        refuse(400, "no subprotocol mqtt", out);
    } else {
        state_ = State::Upgraded;
        out.append(
            as_bytes(fmt::format("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                                 "Connection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n"
                                 "Sec-WebSocket-Protocol: {}\r\n\r\n",
                                 accept_of(key), subprotocol_)));
    }
}

void HttpUpgrade::refuse(unsigned status, std::string_view reason, OutputBuffer& out) {
    state_ = State::Refused;
    error_ = fmt::format("WebSocket upgrade refused with {}: {}", status, reason);
    std::string().swap(received_);
    std::string_view name = "Bad Request";
    std::string_view more = "Connection: close\r\n";
    if (status == 403) name = "Forbidden";
    if (status == 404) name = "Not Found";
    if (status == 431) name = "Request Header Fields Too Large";
    if (status == 426) {
        name = "Upgrade Required";
        more = "Connection: close, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
    }
    out.append(as_bytes(fmt::format(
        "HTTP/1.1 {} {}\r\n{}Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{}\n", status,
        name, more, reason.size() + 1, reason)));
}

}  // namespace quorate::broker
