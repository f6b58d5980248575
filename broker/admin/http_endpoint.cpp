#include "broker/admin/http_endpoint.h"

#include <utility>

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <fmt/format.h>

namespace quorate::broker {
namespace {

namespace http = boost::beast::http;

constexpr std::string_view kHeadEnd = "\r\n\r\n";
constexpr std::string_view kMetricsType = "text/plain; version=0.0.4; charset=utf-8";
constexpr std::string_view kPlainType = "text/plain; charset=utf-8";

struct Page {
    unsigned status = 200;
    std::string_view type = kPlainType;
    std::string body;
};

std::string_view reason_phrase(unsigned status) {
    const auto text = http::obsolete_reason(static_cast<http::status>(status));
    return {text.data(), text.size()};
}

HttpStatusLabel label_of(unsigned status) {
    switch (status) {
        case 200:
            return HttpStatusLabel::Ok;
        case 404:
            return HttpStatusLabel::NotFound;
        case 405:
            return HttpStatusLabel::Method;
        case 431:
            return HttpStatusLabel::TooLarge;
        case 503:
            return HttpStatusLabel::Unavailable;
        default:
            return HttpStatusLabel::BadRequest;
    }
}

std::string response(const Page& page, bool head_only, bool keep_alive) {
    std::string out = fmt::format(
        "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n"
        "{}Connection: {}\r\n\r\n",
        page.status, reason_phrase(page.status), page.type, page.body.size(),
        page.status == 405 ? "Allow: GET, HEAD\r\n" : "", keep_alive ? "keep-alive" : "close");
    if (!head_only) out += page.body;
    return out;
}

Page plain(unsigned status, std::string text) {
    text += '\n';
    return {status, kPlainType, std::move(text)};
}

}  // namespace

struct HttpEndpoint::Request {
    enum class Method : uint8_t { Get, Head, Other };
    Method method = Method::Other;
    std::string path;  // without the query
    bool keep_alive = false;
};

HttpEndpoint::HttpEndpoint(HttpEndpointOptions options, MetricsShard& shard)
    : options_(std::move(options)), shard_(shard) {}

std::string HttpEndpoint::answer(const Request& request) {
    Page page;
    if (request.method == Request::Method::Other) {
        page = plain(405, "expected GET or HEAD");
    } else if (request.path == "/metrics") {
        page = {200, kMetricsType, options_.metrics_text()};
    } else if (request.path == "/healthz") {
        page = options_.alive() ? plain(200, "alive") : plain(503, "a front-end loop stands still");
    } else if (request.path == "/readyz") {
        const Readiness readiness = options_.readiness();
        page = readiness.ready ? plain(200, "ready") : plain(503, readiness.reason);
    } else {
        page = plain(404, "expected /metrics, /healthz or /readyz");
    }
    shard_.add<Metric::HttpRequests>(label_of(page.status));
    return response(page, request.method == Request::Method::Head, request.keep_alive);
}

HttpOutput HttpConnection::on_bytes(ByteView bytes) {
    HttpOutput out;
    if (closed_) return out;
    buffer_.append(as_text(bytes));
    const HttpEndpointOptions& options = endpoint_.options_;
    for (size_t answered = 0; !closed_; ++answered) {
        const size_t end = buffer_.find(kHeadEnd);
        const bool complete = end != std::string::npos;
        const size_t head_bytes = complete ? end + kHeadEnd.size() : buffer_.size();
        if (head_bytes > options.header_bytes_max) {
            refuse(431, out);
        } else if (!complete) {
            break;
        } else if (answered == options.requests_per_turn_max) {
            closed_ = true;  // a client that sends faster than it reads gets no more memory
        } else {
            take_request(head_bytes, out);
        }
    }
    if (closed_) std::string().swap(buffer_);
    out.close = closed_;
    return out;
}

void HttpConnection::take_request(size_t head_bytes, HttpOutput& out) {
    http::request_parser<http::empty_body> parser;
    parser.header_limit(static_cast<uint32_t>(head_bytes));
    boost::beast::error_code failure;
    parser.put(boost::asio::buffer(buffer_.data(), head_bytes), failure);
    const bool has_body =
        parser.is_header_done() && (parser.chunked() || parser.content_length().value_or(0) > 0);
    if (failure || !parser.is_header_done() || has_body || parser.upgrade()) {
        refuse(400, out);
        return;
    }
    const auto& message = parser.get();
    HttpEndpoint::Request request;
    using Method = HttpEndpoint::Request::Method;
    request.method = message.method() == http::verb::get    ? Method::Get
                     : message.method() == http::verb::head ? Method::Head
                                                            : Method::Other;
    const std::string_view target(message.target().data(), message.target().size());
    request.path = target.substr(0, target.find('?'));
    request.keep_alive = message.keep_alive();
    out.bytes += endpoint_.answer(request);
    closed_ = !request.keep_alive;
    buffer_.erase(0, head_bytes);
}

void HttpConnection::refuse(unsigned status, HttpOutput& out) {
    endpoint_.shard_.add<Metric::HttpRequests>(label_of(status));
    const char* text =
        status == 431 ? "expected a shorter head" : "expected a request without body";
    out.bytes += response(plain(status, text), false, false);
    closed_ = true;
}

}  // namespace quorate::broker
