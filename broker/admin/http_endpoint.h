// The metrics and health endpoint without its socket: bytes of a client in, bytes to send out.
//
// GET and HEAD of /metrics (Prometheus text 0.0.4), /healthz (the loops turn) and /readyz (clients
// are served; else 503 with the reason). HTTP/1.0 and 1.1 with keep-alive and pipelining; bodies of
// requests are refused. A request whose head is longer than the limit is answered 431, a malformed
// one 400; both close the connection. So memory per connection is bounded by the limit and by one
// response.
//
// Thread: the loop that serves the endpoint's socket. Owner: one HttpConnection per socket, one
// HttpEndpoint for all. Errors: answered, never thrown.
#pragma once

#include <cstddef>
#include <functional>
#include <string>

#include "proto/base/bytes.h"
#include "proto/base/metrics.h"

namespace quorate::broker {

struct Readiness {
    bool ready = false;
    std::string reason;  // one line for people, when not ready
};

// What the endpoint asks the program; both are called on the endpoint's thread.
struct HttpEndpointOptions {
    std::function<std::string()> metrics_text;  // the whole page for /metrics
    std::function<Readiness()> readiness;
    std::function<bool()> alive;  // the front-end loops turn
    size_t header_bytes_max = 8192;
    size_t requests_per_turn_max = 16;  // answered by one on_bytes; more of them: closed
};

// What to do with the socket after some bytes were read.
struct HttpOutput {
    std::string bytes;   // to send, possibly empty
    bool close = false;  // close once they are sent; later input is ignored
};

class HttpEndpoint {
  public:
    // `shard` counts the requests; it belongs to the endpoint's thread.
    HttpEndpoint(HttpEndpointOptions options, MetricsShard& shard);

  private:
    friend class HttpConnection;
    struct Request;
    // The whole answer to one request, counted.
    std::string answer(const Request& request);

    HttpEndpointOptions options_;
    MetricsShard& shard_;
};

// One client of the endpoint. How long a silent one may stay is the socket side's business.
class HttpConnection {
  public:
    explicit HttpConnection(HttpEndpoint& endpoint) : endpoint_(endpoint) {}

    [[nodiscard]] HttpOutput on_bytes(ByteView bytes);

  private:
    // Answers the request whose head is the first `head_bytes` of buffer_.
    void take_request(size_t head_bytes, HttpOutput& out);
    void refuse(unsigned status, HttpOutput& out);

    HttpEndpoint& endpoint_;
    std::string buffer_;
    bool closed_ = false;
};

}  // namespace quorate::broker
