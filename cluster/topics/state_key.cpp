#include "cluster/topics/state_key.h"

namespace quorate::cluster {

void StateKey::byte(uint8_t value) {
    if (long_.empty() && size_ < kShort) {
        short_[size_++] = static_cast<char>(value);
        return;
    }
    if (long_.empty()) long_.assign(short_, size_);
    long_.push_back(static_cast<char>(value));
}

StateKey& StateKey::last_text(std::string_view text) {
    if (long_.empty()) long_.assign(short_, size_);
    long_.append(text);
    return *this;
}

std::string family_end(Family family) {
    return {static_cast<char>(static_cast<uint8_t>(family) + 1)};
}

Error corrupt_record(const char* what, std::string_view key) {
    static constexpr char kHex[] = "0123456789abcdef";
    std::string message = std::string("corrupt ") + what + " record, key ";
    for (const char c : key) {
        const auto byte = static_cast<uint8_t>(c);
        message.push_back(kHex[byte >> 4U]);
        message.push_back(kHex[byte & 15U]);
    }
    return Error{ErrorCode::Corrupt, message};
}

}  // namespace quorate::cluster
