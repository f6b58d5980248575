// libFuzzer target: any bytes as WebSocket frames, whole and in pieces.
// Oracle: both give the same payload, answers and end; no payload without bytes received for it; a
// failure is told with a close frame.
#include <vector>

#include "broker/net/stages/websocket_stream.h"
#include "tests/fuzz/net_fuzz.h"

namespace quorate::broker {
namespace {

struct Outcome {
    WebSocketStream::State state = WebSocketStream::State::Open;
    std::string payload;
    std::string answer;
    std::string error;
    bool operator==(const Outcome&) const = default;
};

Outcome receive(std::string_view bytes, std::size_t step) {
    ChunkPool pool(1U << 16);
    OutputBuffer out(pool);
    WebSocketStream stream;
    std::vector<std::byte> into(WebSocketStream::kReadBytesMin + step);
    Outcome outcome;
    while (!bytes.empty()) {
        stream.feed(as_bytes(bytes.substr(0, step)));
        while (std::size_t size = stream.read(into, out))
            outcome.payload += as_text({into.data(), size});
        bytes.remove_prefix(std::min(step, bytes.size()));
        outcome.answer += fuzz::drain(out);
    }
    outcome.state = stream.state();
    outcome.error = stream.error();
    return outcome;
}

}  // namespace
}  // namespace quorate::broker

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace quorate::broker;
    fuzz::SplitInput input(data, size);
    Outcome whole = receive(input.bytes, input.bytes.size() + 1);
    fuzz::require(receive(input.bytes, input.step) == whole);
    fuzz::require(whole.payload.size() <= input.bytes.size());
    fuzz::require(whole.answer.size() <= 2 * input.bytes.size() + 4);
    if (whole.state == WebSocketStream::State::Failed) {
        fuzz::require(!whole.error.empty() && whole.answer.size() >= 4);
        fuzz::require(whole.answer[whole.answer.size() - 4] == '\x88');
    }
    return 0;
}
