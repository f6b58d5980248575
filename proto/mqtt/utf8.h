// UTF-8 Encoded Strings. Spec: MQTT 5 §1.5.4 [MQTT-1.5.4-1] [MQTT-1.5.4-2].
//
// Refused: ill-formed sequences, overlong forms, code points above U+10FFFF, surrogates and U+0000.
// Accepted: control characters, non-characters and U+FEFF; the specification leaves those to the
// application. Text that is ASCII is checked eight bytes at a time. Thread: any; pure functions.
#pragma once

#include <cstdint>
#include <string_view>

namespace quorate::mqtt {

// A valid UTF-8 Encoded String: no U+0000 either.
[[nodiscard]] bool valid_utf8(std::string_view text);
// Valid UTF-8 in which U+0000 may stand, as in a payload (Payload Format Indicator 1).
[[nodiscard]] bool valid_utf8_payload(std::string_view payload);

// What one pass over a text can tell. Bytes of longer UTF-8 sequences never look like ASCII, so
// that the answers hold for any text.
struct TextTraits {
    bool ascii = true;
    bool null = false;      // U+0000 occurs
    bool wildcard = false;  // `+` or `#` occurs
    uint32_t slashes = 0;
};
[[nodiscard]] TextTraits traits_of(std::string_view text);

}  // namespace quorate::mqtt
