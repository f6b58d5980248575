// libFuzzer target: any bytes as a PROXY header, whole and in pieces.
// Oracle: both come to the same end; no more is taken than the bound; an address is only given when
// the header is complete, and it reads back from its text.
#include "broker/net/stages/proxy_protocol.h"
#include "tests/fuzz/net_fuzz.h"

namespace quorate::broker {
namespace {

struct Outcome {
    ProxyParser::State state = ProxyParser::State::NeedMore;
    std::size_t taken = 0;
    std::optional<PeerAddress> source;
    std::string error;
    bool operator==(const Outcome&) const = default;
};

Outcome parse(std::string_view bytes, std::size_t step) {
    ProxyParser parser;
    Outcome outcome;
    while (!bytes.empty() && parser.state() == ProxyParser::State::NeedMore) {
        outcome.taken += parser.feed(as_bytes(bytes.substr(0, step)));
        bytes.remove_prefix(std::min(step, bytes.size()));
    }
    outcome.state = parser.state();
    outcome.source = parser.source();
    outcome.error = parser.error();
    return outcome;
}

}  // namespace
}  // namespace quorate::broker

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace quorate::broker;
    fuzz::SplitInput input(data, size);
    Outcome whole = parse(input.bytes, input.bytes.size() + 1);
    fuzz::require(parse(input.bytes, input.step) == whole);
    fuzz::require(whole.taken <= ProxyParser::kHeaderBytesMax);
    bool failed = whole.state == ProxyParser::State::Failed;
    fuzz::require(failed == !whole.error.empty());
    if (whole.source) {
        fuzz::require(whole.state == ProxyParser::State::Done);
        fuzz::require(!whole.source->text().empty());
    }
    return 0;
}
