#include "cluster/link/wire/peer.h"

namespace quorate::link {

namespace {

template <typename Label>
std::string_view text_of(Label label) {
    return LabelInfo<Label>::values[static_cast<std::size_t>(label)];
}

}  // namespace

std::string_view to_string(TrafficClass traffic) {
    return text_of(traffic);
}
std::string_view to_string(LinkRefusal refusal) {
    return text_of(refusal);
}
std::string_view to_string(LinkEnd end) {
    return text_of(end);
}

}  // namespace quorate::link
