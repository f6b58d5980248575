// Long, because it is a list: one writer and one reader for each packet type.
#include "tests/unit/channel/notation.h"

#include <charconv>
#include <sstream>

#include <fmt/format.h>

#include "proto/mqtt/decoder.h"
#include "proto/mqtt/encoder.h"
#include "tests/unit/catch.h"

namespace quorate::broker::test {
namespace {

using mqtt::PacketType;
using mqtt::PropertyId;
using mqtt::ProtocolVersion;
using mqtt::QoS;
using mqtt::ReasonCode;

struct NamedProperty {
    PropertyId id;
    const char* name;
};
constexpr NamedProperty kProperties[] = {
    {PropertyId::PayloadFormatIndicator, "format"},
    {PropertyId::MessageExpiryInterval, "expiry"},
    {PropertyId::ContentType, "content-type"},
    {PropertyId::ResponseTopic, "response-topic"},
    {PropertyId::CorrelationData, "correlation"},
    {PropertyId::SubscriptionIdentifier, "sub-id"},
    {PropertyId::SessionExpiryInterval, "expiry"},
    {PropertyId::AssignedClientIdentifier, "assigned"},
    {PropertyId::ServerKeepAlive, "ka"},
    {PropertyId::AuthenticationMethod, "method"},
    {PropertyId::AuthenticationData, "data"},
    {PropertyId::ResponseInformation, "resp-info"},
    {PropertyId::ServerReference, "reference"},
    {PropertyId::ReasonString, "why"},
    {PropertyId::ReceiveMaximum, "rm"},
    {PropertyId::TopicAliasMaximum, "alias-max"},
    {PropertyId::TopicAlias, "alias"},
    {PropertyId::MaximumQos, "max-qos"},
    {PropertyId::RetainAvailable, "retain-available"},
    {PropertyId::UserProperty, "user-property"},
    {PropertyId::MaximumPacketSize, "max"},
    {PropertyId::WildcardSubscriptionAvailable, "wildcard-available"},
    {PropertyId::SubscriptionIdentifierAvailable, "sub-id-available"},
    {PropertyId::SharedSubscriptionAvailable, "shared-available"},
};

std::string text_of_properties(const mqtt::PropertyView& properties) {
    std::string out;
    for (const mqtt::Property& property : properties) {
        const char* name = "?";
        for (const NamedProperty& named : kProperties) {
            if (named.id == property.id) name = named.name;
        }
        out += fmt::format(" {}=", name);
        switch (mqtt::type_of(property.id)) {
            case mqtt::PropertyType::Utf8StringPair:
                out += fmt::format("{}:{}", property.text, property.value);
                break;
            case mqtt::PropertyType::Utf8String:
            case mqtt::PropertyType::BinaryData:
                out += fmt::format("'{}'", property.text);
                break;
            case mqtt::PropertyType::None:
            case mqtt::PropertyType::Byte:
            case mqtt::PropertyType::TwoByteInteger:
            case mqtt::PropertyType::FourByteInteger:
            case mqtt::PropertyType::VariableByteInteger:
                out += fmt::format("{}", property.number);
                break;
        }
    }
    return out;
}

std::pair<std::string, std::string> halves(const std::string& text) {
    const std::size_t colon = text.find(':');
    if (colon == std::string::npos) return {text, ""};
    return {text.substr(0, colon), text.substr(colon + 1)};
}

std::string connect_bytes(const std::vector<std::string>& words) {
    mqtt::Connect connect;
    connect.version = has_word(words, "v5")    ? ProtocolVersion::V5
                      : has_word(words, "v31") ? ProtocolVersion::V31
                                               : ProtocolVersion::V311;
    const std::string id = value_of(words, "id");
    const std::string user = value_of(words, "user");
    const std::string password = value_of(words, "pass");
    const auto [will_topic, will_payload] = halves(value_of(words, "will"));
    connect.clean_start = has_word(words, "clean");
    connect.keep_alive_s = static_cast<uint16_t>(number_of(value_of(words, "ka", "0")));
    connect.client_id = id;
    if (!user.empty()) connect.user_name = user;
    if (!password.empty()) connect.password = password;
    std::string properties;
    mqtt::PropertyWriter writer(properties);
    const auto number = [&](const char* key) { return number_of(value_of(words, key, "0")); };
    const auto given = [&](const char* key) { return !value_of(words, key).empty(); };
    if (given("expiry")) writer.four_byte(PropertyId::SessionExpiryInterval, number("expiry"));
    if (given("rm")) {
        writer.two_byte(PropertyId::ReceiveMaximum, static_cast<uint16_t>(number("rm")));
    }
    if (given("max")) writer.four_byte(PropertyId::MaximumPacketSize, number("max"));
    if (given("alias")) {
        writer.two_byte(PropertyId::TopicAliasMaximum, static_cast<uint16_t>(number("alias")));
    }
    if (has_word(words, "resp-info")) writer.byte(PropertyId::RequestResponseInformation, 1);
    if (given("method")) writer.text(PropertyId::AuthenticationMethod, value_of(words, "method"));
    if (given("data")) writer.text(PropertyId::AuthenticationData, value_of(words, "data"));
    connect.properties = mqtt::PropertyView(properties);
    std::string will_properties;
    if (given("will-delay")) {
        mqtt::PropertyWriter(will_properties)
            .four_byte(PropertyId::WillDelayInterval, number("will-delay"));
    }
    if (!will_topic.empty()) {
        mqtt::Will will;
        will.topic = will_topic;
        will.payload = will_payload;
        will.qos = static_cast<QoS>(number("will-qos"));
        will.retain = has_word(words, "will-retain");
        will.properties = mqtt::PropertyView(will_properties);
        connect.will = will;
    }
    std::string out;
    REQUIRE(mqtt::append_connect(out, connect));
    return out;
}

std::string publish_bytes(ProtocolVersion version, const std::vector<std::string>& words) {
    std::vector<std::string> plain = plain_words(words);
    std::erase(plain, "dup");
    std::erase(plain, "retain");
    mqtt::PublishFields fields;
    if (!plain.empty() && plain[0] != "-") fields.topic = plain[0];
    if (plain.size() > 1) fields.payload = plain[1];
    fields.qos = static_cast<QoS>(number_of(value_of(words, "qos", "0")));
    fields.packet_id = PacketId(static_cast<uint16_t>(number_of(value_of(words, "id", "0"))));
    fields.dup = has_word(words, "dup");
    fields.retain = has_word(words, "retain");
    fields.topic_alias = static_cast<uint16_t>(number_of(value_of(words, "alias", "0")));
    if (!value_of(words, "expiry").empty()) {
        fields.message_expiry_s = number_of(value_of(words, "expiry"));
    }
    std::string forward;
    mqtt::PropertyWriter writer(forward);
    if (!value_of(words, "format").empty()) {
        writer.byte(PropertyId::PayloadFormatIndicator,
                    static_cast<uint8_t>(number_of(value_of(words, "format"))));
    }
    if (!value_of(words, "user-property").empty()) {
        const auto [name, value] = halves(value_of(words, "user-property"));
        writer.user(name, value);
    }
    fields.forward = forward;
    std::string payload;
    if (!value_of(words, "payload-hex").empty()) {
        const std::string digits = value_of(words, "payload-hex");
        for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
            payload.push_back(static_cast<char>(number_of("0x" + digits.substr(i, 2))));
        }
        fields.payload = payload;
    }
    if (!value_of(words, "payload-size").empty()) {
        payload.assign(number_of(value_of(words, "payload-size")), 'x');
        fields.payload = payload;
    }
    std::string out;
    REQUIRE(mqtt::append_publish(out, version, fields));
    return out;
}

std::string subscribe_bytes(ProtocolVersion version, const std::vector<std::string>& words) {
    mqtt::Subscribe subscribe;
    subscribe.packet_id = PacketId(static_cast<uint16_t>(number_of(words.at(1))));
    std::string properties;
    if (!value_of(words, "sub-id").empty()) {
        mqtt::PropertyWriter(properties)
            .variable(PropertyId::SubscriptionIdentifier, number_of(value_of(words, "sub-id")));
    }
    subscribe.properties = mqtt::PropertyView(properties);
    std::vector<std::string> filters;
    for (std::size_t i = 2; i < words.size(); ++i) {
        if (!words[i].starts_with("sub-id=")) filters.push_back(words[i]);
    }
    std::vector<std::string> texts;
    texts.reserve(filters.size());
    for (const std::string& filter : filters) {
        std::istringstream parts(filter);
        std::string part;
        std::getline(parts, part, ':');
        texts.push_back(part);
        mqtt::SubscriptionRequest request;
        request.filter = texts.back();
        while (std::getline(parts, part, ':')) {
            if (part == "nl") request.no_local = true;
            if (part == "rap") request.retain_as_published = true;
            if (part == "1") request.qos = QoS::AtLeastOnce;
            if (part == "2") request.qos = QoS::ExactlyOnce;
            if (part.starts_with("rh=")) {
                request.retain_handling =
                    static_cast<mqtt::RetainHandling>(number_of(part.substr(3)));
            }
        }
        subscribe.requests.push_back(request);
    }
    std::string out;
    REQUIRE(mqtt::append_subscribe(out, version, subscribe));
    return out;
}

std::string ack_bytes(ProtocolVersion version, PacketType type,
                      const std::vector<std::string>& words) {
    std::string out(mqtt::kShortAckBytesMax, '\0');
    const auto reason = static_cast<ReasonCode>(words.size() > 2 ? number_of(words.at(2)) : 0);
    out.resize(mqtt::write_ack(reinterpret_cast<std::byte*>(out.data()), version, type,
                               PacketId(static_cast<uint16_t>(number_of(words.at(1)))), reason));
    return out;
}

std::string ending_bytes(ProtocolVersion version, const std::vector<std::string>& words) {
    std::string properties;
    mqtt::PropertyWriter writer(properties);
    if (!value_of(words, "expiry").empty()) {
        writer.four_byte(PropertyId::SessionExpiryInterval, number_of(value_of(words, "expiry")));
    }
    if (!value_of(words, "method").empty()) {
        writer.text(PropertyId::AuthenticationMethod, value_of(words, "method"));
    }
    if (!value_of(words, "data").empty()) {
        writer.text(PropertyId::AuthenticationData, value_of(words, "data"));
    }
    const std::vector<std::string> plain = plain_words(words);
    const auto reason = static_cast<ReasonCode>(plain.empty() ? 0 : number_of(plain[0]));
    std::string out;
    if (words[0] == "AUTH") {
        mqtt::Auth auth;
        auth.reason = reason;
        auth.properties = mqtt::PropertyView(properties);
        // also to a version that has no AUTH: its bytes are those of version 5
        REQUIRE(mqtt::append_auth(out, ProtocolVersion::V5, auth));
        return out;
    }
    mqtt::Disconnect disconnect;
    disconnect.reason = reason;
    disconnect.properties = mqtt::PropertyView(properties);
    REQUIRE(mqtt::append_disconnect(out, version, disconnect));
    return out;
}

std::string text_of_publish(ProtocolVersion version, const mqtt::Frame& frame,
                            const mqtt::DecodeLimits& limits) {
    mqtt::PublishView publish;
    std::string scratch;
    if (!mqtt::decode_publish(version, frame, limits, scratch, publish).ok()) return "BAD PUBLISH";
    std::string out = fmt::format("PUBLISH {}", publish.topic.empty() ? "-" : publish.topic);
    out += publish.payload.size() > 40 ? fmt::format(" [{} bytes]", publish.payload.size())
                                       : fmt::format(" {}", publish.payload);
    out += fmt::format(" qos={}", static_cast<int>(publish.qos));
    if (publish.packet_id.value() != 0) out += fmt::format(" id={}", publish.packet_id.value());
    if (publish.dup) out += " dup";
    if (publish.retain) out += " retain";
    return out + text_of_properties(publish.properties);
}

std::string text_of_codes(const char* name, PacketId id, const std::vector<ReasonCode>& codes,
                          const mqtt::PropertyView& properties) {
    std::string out = fmt::format("{} {}", name, id.value());
    for (const ReasonCode code : codes) {
        out += " " + hex(code);
    }
    return out + text_of_properties(properties);
}

std::string text_of_frame(ProtocolVersion version, const mqtt::Frame& frame) {
    mqtt::DecodeLimits limits;
    limits.sender = mqtt::Sender::Server;
    const std::string bad = fmt::format("BAD {}", mqtt::to_string(frame.type));
    switch (frame.type) {
        case PacketType::Connack: {
            mqtt::Connack connack;
            if (!mqtt::decode_connack(version, frame, limits, connack).ok()) return bad;
            const std::string code =
                version == ProtocolVersion::V5
                    ? hex(connack.reason)
                    : fmt::format("return={}", std::to_integer<int>(frame.body[1]));
            return fmt::format("CONNACK {}{}{}", code, connack.session_present ? " session" : "",
                               text_of_properties(connack.properties));
        }
        case PacketType::Publish:
            return text_of_publish(version, frame, limits);
        case PacketType::Puback:
        case PacketType::Pubrec:
        case PacketType::Pubrel:
        case PacketType::Pubcomp: {
            mqtt::Ack ack;
            if (!mqtt::decode_ack(version, frame, limits, ack).ok()) return bad;
            return fmt::format("{} {} {}{}", mqtt::to_string(frame.type), ack.packet_id.value(),
                               hex(ack.reason), text_of_properties(ack.properties));
        }
        case PacketType::Suback: {
            mqtt::Suback suback;
            if (!mqtt::decode_suback(version, frame, limits, suback).ok()) return bad;
            return text_of_codes("SUBACK", suback.packet_id, suback.reasons, suback.properties);
        }
        case PacketType::Unsuback: {
            mqtt::Unsuback unsuback;
            if (!mqtt::decode_unsuback(version, frame, limits, unsuback).ok()) return bad;
            return text_of_codes("UNSUBACK", unsuback.packet_id, unsuback.reasons,
                                 unsuback.properties);
        }
        case PacketType::Pingresp:
            return mqtt::decode_ping(frame).ok() ? "PINGRESP" : bad;
        case PacketType::Disconnect: {
            mqtt::Disconnect disconnect;
            if (!mqtt::decode_disconnect(version, frame, limits, disconnect).ok()) return bad;
            return fmt::format("DISCONNECT {}{}", hex(disconnect.reason),
                               text_of_properties(disconnect.properties));
        }
        case PacketType::Auth: {
            mqtt::Auth auth;
            if (!mqtt::decode_auth(version, frame, limits, auth).ok()) return bad;
            return fmt::format("AUTH {}{}", hex(auth.reason), text_of_properties(auth.properties));
        }
        case PacketType::Connect:
        case PacketType::Subscribe:
        case PacketType::Unsubscribe:
        case PacketType::Pingreq:
            return fmt::format("CLIENT-ONLY {}", mqtt::to_string(frame.type));
    }
    return bad;
}

}  // namespace

std::vector<std::string> words_of(std::string_view line) {
    std::istringstream in{std::string(line)};
    std::vector<std::string> words;
    for (std::string word; in >> word;) {
        words.push_back(word);
    }
    return words;
}

std::string value_of(const std::vector<std::string>& words, std::string_view key,
                     std::string_view otherwise) {
    for (const std::string& word : words) {
        if (word.size() > key.size() && word.starts_with(key) && word[key.size()] == '=') {
            return word.substr(key.size() + 1);
        }
    }
    return std::string(otherwise);
}

bool has_word(const std::vector<std::string>& words, std::string_view word) {
    return std::find(words.begin(), words.end(), word) != words.end();
}

uint32_t number_of(std::string_view text) {
    uint32_t value = 0;
    const bool hexadecimal = text.starts_with("0x");
    if (hexadecimal) text.remove_prefix(2);
    const auto result =
        std::from_chars(text.data(), text.data() + text.size(), value, hexadecimal ? 16 : 10);
    INFO("not a number: " << text);
    REQUIRE((result.ec == std::errc{} && result.ptr == text.data() + text.size()));
    return value;
}

std::vector<std::string> plain_words(const std::vector<std::string>& words) {
    std::vector<std::string> plain;
    for (std::size_t i = 1; i < words.size(); ++i) {
        if (words[i].find('=') == std::string::npos) plain.push_back(words[i]);
    }
    return plain;
}

std::string bytes_of(ProtocolVersion version, std::string_view line) {
    const std::vector<std::string> words = words_of(line);
    REQUIRE(!words.empty());
    const std::string& name = words[0];
    if (name == "CONNECT") return connect_bytes(words);
    if (name == "PUBLISH") return publish_bytes(version, words);
    if (name == "PUBACK") return ack_bytes(version, PacketType::Puback, words);
    if (name == "PUBREC") return ack_bytes(version, PacketType::Pubrec, words);
    if (name == "PUBREL") return ack_bytes(version, PacketType::Pubrel, words);
    if (name == "PUBCOMP") return ack_bytes(version, PacketType::Pubcomp, words);
    if (name == "SUBSCRIBE") return subscribe_bytes(version, words);
    if (name == "DISCONNECT" || name == "AUTH") return ending_bytes(version, words);
    std::string out;
    if (name == "UNSUBSCRIBE") {
        mqtt::Unsubscribe unsubscribe;
        unsubscribe.packet_id = PacketId(static_cast<uint16_t>(number_of(words.at(1))));
        unsubscribe.filters.assign(words.begin() + 2, words.end());
        REQUIRE(mqtt::append_unsubscribe(out, version, unsubscribe));
    } else if (name == "PINGREQ") {
        mqtt::append_pingreq(out);
    } else {
        INFO("unknown packet: " << line);
        REQUIRE(name == "RAW");
        for (std::size_t i = 1; i < words.size(); ++i) {
            out.push_back(static_cast<char>(number_of("0x" + words[i])));
        }
    }
    return out;
}

std::vector<std::string> text_of(ProtocolVersion version, std::string_view bytes) {
    std::vector<std::string> lines;
    while (!bytes.empty()) {
        const ByteView in = as_bytes(bytes);
        const mqtt::FrameScan scan = mqtt::scan_frame(in, mqtt::kPacketSizeMax);
        if (scan.state != mqtt::FrameScan::State::Complete) {
            lines.push_back(fmt::format("CUT {} bytes", bytes.size()));
            break;
        }
        lines.push_back(text_of_frame(version, mqtt::frame_of(in, scan)));
        bytes.remove_prefix(scan.total_size);
    }
    return lines;
}

std::string hex(ReasonCode reason) {
    return fmt::format("0x{:02X}", mqtt::number(reason));
}

}  // namespace quorate::broker::test
