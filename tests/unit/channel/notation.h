// Packets as one line of text, for tests of the channel: `bytes_of` makes the bytes a client would
// send, `text_of` tells what a server's bytes say. The first word is the packet's name; the others
// are values, `key=value` pairs and flags:
//
//   CONNECT v5 id=c1 clean ka=60 expiry=10 rm=5 max=100 alias=8 user=u pass=p
//           will=topic:payload will-qos=1 will-retain will-delay=5 method=M data=D resp-info
//   PUBLISH topic payload qos=1 id=5 dup retain alias=3 expiry=9 format=1 user-property=k:v
//   PUBACK 5 0x10       and PUBREC, PUBREL, PUBCOMP
//   SUBSCRIBE 7 a/b:1 c/#:2:nl:rap:rh=2 sub-id=4          UNSUBSCRIBE 7 a/b c/#
//   DISCONNECT 0x04 expiry=5        AUTH 0x19 method=M data=D        PINGREQ
//   RAW 30 02 00 00     bytes in hexadecimal
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "proto/mqtt/types.h"

namespace quorate::broker::test {

[[nodiscard]] std::vector<std::string> words_of(std::string_view line);
// The value of `key=value` among the words, or `otherwise`.
[[nodiscard]] std::string value_of(const std::vector<std::string>& words, std::string_view key,
                                   std::string_view otherwise = "");
[[nodiscard]] bool has_word(const std::vector<std::string>& words, std::string_view word);
[[nodiscard]] uint32_t number_of(std::string_view text);  // decimal, or hexadecimal after 0x
// The words that are neither `key=value` nor the first.
[[nodiscard]] std::vector<std::string> plain_words(const std::vector<std::string>& words);

// Fails the test when the line cannot be read. The version says how to write all but CONNECT.
[[nodiscard]] std::string bytes_of(mqtt::ProtocolVersion version, std::string_view line);

// One line per packet; "CUT ..." for a rest that is no whole packet.
[[nodiscard]] std::vector<std::string> text_of(mqtt::ProtocolVersion version,
                                               std::string_view bytes);

[[nodiscard]] std::string hex(mqtt::ReasonCode reason);

}  // namespace quorate::broker::test
