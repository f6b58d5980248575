// The socket side of the metrics and health endpoint: a loop of its own, so that a scrape never
// waits for clients nor clients for a scrape.
//
// Thread: made and stopped by the broker's thread; serves on its own. Owner: the broker.
// Errors: open() names an address that is in use. Bounded: metrics.max_connections sockets; one
// that is silent for kIdle is closed.
#pragma once

#include <chrono>
#include <memory>
#include <thread>
#include <unordered_map>

#include "broker/admin/http_endpoint.h"
#include "broker/net/connection.h"
#include "broker/net/event_loop.h"
#include "broker/net/listener.h"
#include "proto/base/environment.h"
#include "proto/base/result.h"

namespace quorate::broker {

class HttpServer final : private ConnectionHandler, private LoopHooks {
    struct Passkey {};  // only open() makes one

  public:
    HttpServer(Passkey, std::unique_ptr<ListenerGroup> group, HttpEndpointOptions endpoint,
               MetricsShard& metrics, const Clock& clock);
    [[nodiscard]] static Result<std::unique_ptr<HttpServer>> open(const ListenerOptions& listen,
                                                                  HttpEndpointOptions endpoint,
                                                                  MetricsShard& metrics,
                                                                  const Clock& clock);
    ~HttpServer() override;
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

    [[nodiscard]] uint16_t port() const { return group_->port(); }
    void stop();

  private:
    static constexpr std::chrono::seconds kIdle{60};

    void on_open(Connection& connection) override;
    std::size_t on_bytes(Connection& connection, ByteView bytes) override;
    void on_writable(Connection& connection) override;
    void on_closed(Connection& connection, EndCause cause) override;
    void on_tick(std::chrono::nanoseconds now) override;

    struct Client {
        explicit Client(HttpEndpoint& endpoint) : http(endpoint) {}
        HttpConnection http;
        std::chrono::nanoseconds last_bytes{0};
    };

    std::unique_ptr<ListenerGroup> group_;
    EventLoop loop_;
    HttpEndpoint endpoint_;
    Listener listener_;
    std::unordered_map<Connection*, std::unique_ptr<Client>> clients_;
    std::thread thread_;
};

}  // namespace quorate::broker
