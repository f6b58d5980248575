// UTF-8 Encoded Strings. Spec: MQTT 5 §1.5.4 [MQTT-1.5.4-1] [MQTT-1.5.4-2].
//
// Refused: ill-formed sequences, overlong forms, code points above U+10FFFF, surrogates and U+0000.
// Accepted: control characters, non-characters and U+FEFF; the specification leaves those to the
// application. Text that is ASCII is checked eight bytes at a time.
#pragma once

#include <string_view>

namespace quorate::mqtt {

[[nodiscard]] bool valid_utf8(std::string_view text);

// True when one of `+ # U+0000` occurs. Bytes of longer UTF-8 sequences never look like these.
[[nodiscard]] bool has_wildcard_or_null(std::string_view text);

}  // namespace quorate::mqtt
