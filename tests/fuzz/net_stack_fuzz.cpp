// libFuzzer target: any bytes to a stack of PROXY protocol and WebSocket, whole and in pieces.
// Oracle: both give the same MQTT bytes, answers and end, through small and large buffers.
#include <vector>

#include "broker/net/stages/transport_stack.h"
#include "tests/fuzz/net_fuzz.h"

namespace quorate::broker {
namespace {

struct Outcome {
    TransportStack::State state = TransportStack::State::Handshake;
    std::string plain;
    std::string wire;
    std::string error;
    std::string peer;
    bool operator==(const Outcome&) const = default;
};

Outcome receive(std::string_view bytes, std::size_t step, const UpgradeRules& rules) {
    ChunkPool pool(1U << 16);
    TransportStack::Options options;
    options.proxy_protocol = true;
    options.websocket = &rules;
    TransportStack stack(options, pool);
    std::vector<std::byte> into(TransportStack::kReadBytesMin + step);
    Outcome outcome;
    while (!bytes.empty()) {
        stack.feed(as_bytes(bytes.substr(0, step)));
        while (std::size_t size = stack.read(into))
            outcome.plain += as_text({into.data(), size});
        bytes.remove_prefix(std::min(step, bytes.size()));
        outcome.wire += fuzz::drain(stack.output());
        if (stack.state() == TransportStack::State::Failed ||
            stack.state() == TransportStack::State::Ended)
            break;
    }
    outcome.state = stack.state();
    outcome.error = stack.error();
    if (stack.proxied() != nullptr) outcome.peer = stack.proxied()->text();
    return outcome;
}

}  // namespace
}  // namespace quorate::broker

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace quorate::broker;
    fuzz::SplitInput input(data, size);
    UpgradeRules rules;
    Outcome whole = receive(input.bytes, input.bytes.size() + 1, rules);
    fuzz::require(receive(input.bytes, input.step, rules) == whole);
    fuzz::require((whole.state == TransportStack::State::Failed) == !whole.error.empty());
    return 0;
}
