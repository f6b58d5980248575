#include "proto/mqtt/message.h"

#include <string>

#include "proto/mqtt/packets.h"
#include "tests/unit/catch.h"

using namespace quorate::mqtt;

namespace {

MessageView sample() {
    MessageView message;
    message.topic = "plant/7/temp";
    message.payload = std::string_view("21.5\0C", 6);
    message.forward = std::string_view("\x01\x01", 2);
    message.message_expiry_s = 60;
    message.qos = QoS::ExactlyOnce;
    message.retain = true;
    message.publisher = 0x0123456789ABCDEFU;
    return message;
}

}  // namespace

TEST_CASE("an encoded message decodes to itself") {
    for (const bool expires : {false, true}) {
        for (const bool retain : {false, true}) {
            for (const QoS qos : {QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce}) {
                MessageView message = sample();
                message.qos = qos;
                message.retain = retain;
                if (!expires) message.message_expiry_s.reset();
                std::string out = "before";
                encode_message(out, message);
                REQUIRE(out.size() == 6 + encoded_message_size(message));
                const auto decoded = decode_message(std::string_view(out).substr(6));
                REQUIRE(decoded.has_value());
                CHECK(*decoded == message);
            }
        }
    }
    std::string out;
    encode_message(out, MessageView{});
    CHECK(out.size() == 24);
    CHECK(decode_message(out) == MessageView{});
}

TEST_CASE("the encoding of a message is the one on disk") {
    std::string out;
    encode_message(out, sample());
    CHECK(out == std::string("\x01\x0E\x0C\x00\x02\x00\x00\x00\x06\x00\x00\x00\x3C\x00\x00\x00"
                             "\xEF\xCD\xAB\x89\x67\x45\x23\x01plant/7/temp\x01\x01"
                             "21.5\0C",
                             44));
}

TEST_CASE("bytes that are not exactly one message decode to nothing") {
    std::string out;
    encode_message(out, sample());
    for (std::size_t size = 0; size < out.size(); ++size) {
        CHECK_FALSE(decode_message(std::string_view(out).substr(0, size)).has_value());
    }
    CHECK_FALSE(decode_message(out + "x").has_value());
    std::string other = out;
    other[0] = 2;
    CHECK_FALSE(decode_message(other).has_value());
    other = out;
    other[1] = 0x0F;
    CHECK_FALSE(decode_message(other).has_value());
    other[1] = 0x1E;
    CHECK_FALSE(decode_message(other).has_value());
    other[1] = 0x06;  // an expiry that the flags do not announce
    CHECK_FALSE(decode_message(other).has_value());
}

TEST_CASE("a message keeps what a PUBLISH said and owns its bytes when asked to") {
    PublishView publish;
    publish.topic_alias = 3;
    publish.payload = "p";
    publish.qos = QoS::AtLeastOnce;
    publish.retain = true;
    publish.message_expiry_s = 9;
    publish.forward = "f";
    const MessageView view = message_of(publish, "resolved", 77);
    CHECK(view.topic == "resolved");
    CHECK(view.payload == "p");
    CHECK(view.forward == "f");
    CHECK(view.qos == QoS::AtLeastOnce);
    CHECK(view.retain);
    CHECK(view.message_expiry_s == 9U);
    CHECK(view.publisher == 77);
    const Message owned(view);
    CHECK(owned.view() == view);
    CHECK(owned.view().payload.data() != view.payload.data());
}
