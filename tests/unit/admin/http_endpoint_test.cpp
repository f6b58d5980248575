#include "broker/admin/http_endpoint.h"

#include "tests/unit/catch.h"

namespace quorate::broker {
namespace {

// An endpoint with one client, whose answers the test sets.
struct Fixture {
    bool alive = true;
    Readiness readiness{true, ""};
    Metrics metrics;
    HttpEndpoint endpoint;
    HttpConnection connection{endpoint};

    Fixture()
        : endpoint(HttpEndpointOptions{
                       .metrics_text = [] { return std::string("metric 1\n"); },
                       .readiness = [this] { return readiness; },
                       .alive = [this] { return alive; },
                   },
                   metrics.make_shard()) {}

    HttpOutput send(std::string_view text) { return connection.on_bytes(as_bytes(text)); }
    uint64_t count(HttpStatusLabel label) const {
        return metrics.value<Metric::HttpRequests>(label);
    }
};

bool has(const HttpOutput& out, std::string_view text) {
    return out.bytes.find(text) != std::string::npos;
}

size_t responses(const HttpOutput& out) {
    size_t n = 0;
    for (size_t at = out.bytes.find("HTTP/1.1 "); at != std::string::npos;
         at = out.bytes.find("HTTP/1.1 ", at + 1)) {
        ++n;
    }
    return n;
}

}  // namespace

TEST_CASE("GET /metrics gives the page with its type and length", "[http]") {
    Fixture f;
    const HttpOutput out = f.send("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(out.bytes ==
          "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
          "Content-Length: 9\r\nCache-Control: no-store\r\nConnection: keep-alive\r\n\r\n"
          "metric 1\n");
    CHECK_FALSE(out.close);
    CHECK(f.count(HttpStatusLabel::Ok) == 1);
}

TEST_CASE("HEAD gives the head of GET without the body", "[http]") {
    Fixture f;
    const HttpOutput out = f.send("HEAD /metrics?x=1 HTTP/1.1\r\n\r\n");
    CHECK(has(out, "Content-Length: 9\r\n"));
    CHECK(out.bytes.ends_with("\r\n\r\n"));
}

TEST_CASE("/healthz and /readyz answer 200 or 503 with the reason", "[http]") {
    Fixture f;
    CHECK(has(f.send("GET /healthz HTTP/1.1\r\n\r\n"), "200 OK"));
    CHECK(has(f.send("GET /readyz HTTP/1.1\r\n\r\n"), "200 OK"));
    f.alive = false;
    f.readiness = {false, "starting"};
    CHECK(has(f.send("GET /healthz HTTP/1.1\r\n\r\n"), "503 Service Unavailable"));
    const HttpOutput out = f.send("GET /readyz HTTP/1.1\r\n\r\n");
    CHECK(has(out, "503 Service Unavailable"));
    CHECK(has(out, "starting\n"));
}

TEST_CASE("other paths are 404 and other methods 405", "[http]") {
    Fixture f;
    CHECK(has(f.send("GET / HTTP/1.1\r\n\r\n"), "404 Not Found"));
    CHECK(has(f.send("GET /metricsx HTTP/1.1\r\n\r\n"), "404 Not Found"));
    const HttpOutput out = f.send("DELETE /metrics HTTP/1.1\r\n\r\n");
    CHECK(has(out, "405 Method Not Allowed"));
    CHECK(has(out, "Allow: GET, HEAD\r\n"));
}

TEST_CASE("a request may come byte by byte, and several at once", "[http]") {
    Fixture f;
    const std::string request = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    for (size_t i = 0; i + 1 < request.size(); ++i) {
        CHECK(f.send(request.substr(i, 1)).bytes.empty());
    }
    CHECK(has(f.send(request.substr(request.size() - 1)), "200 OK"));
    CHECK(responses(f.send(request + request + request)) == 3);
}

TEST_CASE("the connection closes after HTTP/1.0 and Connection: close", "[http]") {
    Fixture one;
    const HttpOutput old = one.send("GET /healthz HTTP/1.0\r\n\r\n");
    CHECK(old.close);
    CHECK(has(old, "Connection: close"));
    Fixture two;
    CHECK(two.send("GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n").close);
    CHECK(two.send("GET /healthz HTTP/1.1\r\n\r\n").bytes.empty());
}

TEST_CASE("a malformed request is 400 and closes", "[http]") {
    for (const char* text :
         {"GARBAGE\r\n\r\n", "GET /metrics\r\n\r\n", "GET /metrics HTTP/9.9\r\n\r\n", "\r\n\r\n",
          "GET /metrics HTTP/1.1\r\nno colon\r\n\r\n",
          "GET /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
          "GET /metrics HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
          "GET /metrics HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
          "\x16\x03\x01\x02\x01\r\n\r\n"}) {
        INFO(text);
        Fixture f;
        const HttpOutput out = f.send(text);
        CHECK(has(out, "400 Bad Request"));
        CHECK(out.close);
        CHECK(f.count(HttpStatusLabel::BadRequest) == 1);
    }
}

TEST_CASE("a head longer than 8 KiB is 431 and closes, complete or not", "[http]") {
    const std::string head = "GET /metrics HTTP/1.1\r\nX: " + std::string(9000, 'a');
    Fixture unfinished;
    CHECK(has(unfinished.send(head), "431 "));
    Fixture complete;
    const HttpOutput out = complete.send(head + "\r\n\r\n");
    CHECK(has(out, "431 "));
    CHECK(out.close);
    CHECK(complete.count(HttpStatusLabel::TooLarge) == 1);
}

TEST_CASE("a client that sends more requests than it may is closed after its share", "[http]") {
    Fixture f;
    std::string many;
    for (int i = 0; i < 1000; ++i)
        many += "GET /metrics HTTP/1.1\r\n\r\n";
    const HttpOutput out = f.send(many);
    CHECK(responses(out) == 16);
    CHECK(out.close);
}

}  // namespace quorate::broker
