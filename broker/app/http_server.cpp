#include "broker/app/http_server.h"

#include <utility>
#include <vector>

namespace quorate::broker {
namespace {

// Not the number of any front-end loop.
constexpr LoopId kHttpLoop{0xFFFF};

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::open(const ListenerOptions& listen,
                                                     HttpEndpointOptions endpoint,
                                                     MetricsShard& metrics, const Clock& clock) {
    auto group = ListenerGroup::open(listen, 1);
    if (!group.ok()) return group.error();
    auto server = std::make_unique<HttpServer>(Passkey{}, std::move(group).value(),
                                               std::move(endpoint), metrics, clock);
    if (Status status = server->listener_.start(); !status.ok()) return status.error();
    server->thread_ = std::thread([&server = *server] { server.loop_.run(); });
    return server;
}

HttpServer::HttpServer(Passkey, std::unique_ptr<ListenerGroup> group, HttpEndpointOptions endpoint,
                       MetricsShard& metrics, const Clock& clock)
    : group_(std::move(group)),
      loop_(kHttpLoop, clock),
      endpoint_(std::move(endpoint), metrics),
      listener_(loop_, *group_, 0, *this) {
    loop_.set_hooks(this);
}

HttpServer::~HttpServer() {
    stop();
}

void HttpServer::stop() {
    if (!thread_.joinable()) return;
    loop_.stop();
    thread_.join();
}

void HttpServer::on_open(Connection& connection) {
    auto client = std::make_unique<Client>(endpoint_);
    client->last_bytes = loop_.now();
    clients_.emplace(&connection, std::move(client));
}

std::size_t HttpServer::on_bytes(Connection& connection, ByteView bytes) {
    Client& client = *clients_.at(&connection);
    client.last_bytes = loop_.now();
    const HttpOutput output = client.http.on_bytes(bytes);
    connection.append(as_bytes(output.bytes));
    if (output.close) connection.close_after_flush();
    return bytes.size();
}

void HttpServer::on_writable(Connection&) {}

void HttpServer::on_closed(Connection& connection, EndCause) {
    clients_.erase(&connection);
}

void HttpServer::on_tick(std::chrono::nanoseconds now) {
    for (auto& [connection, client] : clients_) {
        if (now - client->last_bytes > kIdle && !connection->closing()) connection->abort();
    }
}

}  // namespace quorate::broker
