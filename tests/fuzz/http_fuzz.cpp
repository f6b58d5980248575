// libFuzzer target: any bytes to the metrics and health endpoint, whole and in pieces.
// Oracle: both give the same bytes, every answer is HTTP/1.1, and a closed connection stays silent.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "broker/admin/http_endpoint.h"

namespace quorate::broker {
namespace {

HttpEndpointOptions options() {
    HttpEndpointOptions out;
    out.metrics_text = [] { return std::string("m 1\n"); };
    out.readiness = [] { return Readiness{true, ""}; };
    out.alive = [] { return true; };
    out.header_bytes_max = 512;
    return out;
}

// Everything sent until the connection closed, when the input comes in pieces of `step` bytes.
std::string answers(std::string_view input, size_t step) {
    Metrics metrics;
    HttpEndpoint endpoint(options(), metrics.make_shard());
    HttpConnection connection(endpoint);
    std::string sent;
    bool closed = false;
    while (!input.empty()) {
        const HttpOutput out = connection.on_bytes(as_bytes(input.substr(0, step)));
        if (closed && !out.bytes.empty()) std::abort();
        closed = closed || out.close;
        sent += out.bytes;
        input.remove_prefix(step < input.size() ? step : input.size());
    }
    if (!sent.empty() && !sent.starts_with("HTTP/1.1 ")) std::abort();
    return sent;
}

}  // namespace
}  // namespace quorate::broker

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using quorate::broker::answers;
    if (size < 1 || size > 4096) return 0;
    const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
    const size_t step = 1 + data[0] % 64U;
    if (answers(input, step) != answers(input, 1)) std::abort();
    return 0;
}
