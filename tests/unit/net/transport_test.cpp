// TLS, WebSocket and PROXY protocol over real sockets.

#include <string>
#include <vector>

#include <openssl/ssl.h>

#include "broker/net/connection.h"
#include "broker/net/stages/transport_stack.h"
#include "tests/unit/catch.h"
#include "tests/unit/net/certificates.h"
#include "tests/unit/net/support.h"
#include "tests/unit/net/websocket_frames.h"

using namespace std::chrono_literals;
using namespace quorate::broker;
using namespace quorate::broker::test;
using quorate::as_bytes;
using quorate::ByteView;

namespace {

const std::string kUpgrade =
    "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: mqtt\r\n\r\n";

std::shared_ptr<const TlsContext> context_of(const TlsOptions& options) {
    auto made = TlsContext::create(options);
    if (!made) FAIL(made.error().message);
    return std::move(made).value();
}

ListenerOptions secure(TransportKind kind, TlsContextSlot& slot) {
    ListenerOptions options = plain(kind);
    options.tls = &slot;
    return options;
}

void echo(Server& server) {
    server.handler.bytes = [](Connection& connection, ByteView view) {
        connection.append(view);
        return view.size();
    };
}

// A TLS client on a socket.
struct SecureClient {
    SecureClient(Server& server, const TlsClientOptions& options)
        : socket(server.connect()), tls(options) {}

    // True while the connection lives.
    bool exchange() {
        waiting += tls.take_output();
        waiting.erase(0, socket.send(waiting));
        bool alive = socket.receive();
        std::string got;
        got.swap(socket.received());
        if (!got.empty()) tls.receive(got);
        return alive;
    }

    Client socket;
    TlsClient tls;
    std::string waiting;
};

// Takes the 101 from the front of what the client received.
bool take_upgrade(std::string& bytes) {
    std::size_t end = bytes.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    CHECK(bytes.compare(0, 12, "HTTP/1.1 101") == 0);
    bytes.erase(0, end + 4);
    return true;
}

}  // namespace

TEST_CASE("TLS connections carry MQTT bytes and know who the client is") {
    Certificates certificates;
    certificates.make_client("device", "/CN=device-7");
    TlsContextSlot slot(context_of(certificates.options(ClientCertificate::Require)));
    Server server(secure(TransportKind::Tls, slot));
    echo(server);
    TlsClientOptions options;
    options.ca_file = certificates.file("ca.crt");
    options.certificate_file = certificates.file("device.crt");
    options.key_file = certificates.file("device.key");
    SecureClient client(server, options);
    std::string message(2U << 20, 'm');
    bool written = false;
    CHECK(server.until([&] {
        client.exchange();
        if (client.tls.handshake_done() && !written) {
            written = true;
            for (std::size_t i = 0; i < message.size(); i += 16'384)
                client.tls.write(std::string_view(message).substr(i, 16'384));
        }
        return client.tls.plain().size() == message.size();
    }));
    CHECK(client.tls.plain() == message);
    CHECK(server.handler.seen().common_name == "device-7");
    CHECK(server.handler.seen().verified);
    CHECK(server.loop.connections().open_handshakes() == 0);
    server.handler.connection().append(as_bytes("bye"));
    server.handler.connection().close_after_flush();
    CHECK(server.until([&] { return !client.exchange(); }));
    CHECK(client.tls.closed());
    CHECK(client.tls.plain().substr(message.size()) == "bye");
}

TEST_CASE("a failed TLS handshake is told to the client and named in the log text") {
    Certificates certificates;
    TlsContextSlot slot(context_of(certificates.options(ClientCertificate::Require)));
    Server server(secure(TransportKind::Tls, slot));
    SecureClient client(server, {});
    CHECK(server.until([&] {
        client.exchange();
        return server.handler.count() > 0 && server.handler.seen().closed.has_value();
    }));
    CHECK(server.handler.seen().closed == EndCause::TlsFailed);
    CHECK(server.handler.seen().detail.find("peer did not return a certificate") !=
          std::string::npos);
    CHECK(server.until([&] { return !client.exchange(); }));
    CHECK(client.tls.failed());
    CHECK(server.loop.connections().open_handshakes() == 0);
}

TEST_CASE("handshakes take turns, and a listener waits while too many are open") {
    Certificates certificates;
    TlsContextSlot slot(context_of(certificates.options()));
    EventLoopOptions loop_options;
    loop_options.handshakes_per_turn = 1;
    loop_options.handshakes_open_max = 5;
    Server server(secure(TransportKind::Tls, slot), loop_options);
    echo(server);
    std::vector<Client> silent;
    for (int i = 0; i < 5; ++i)
        silent.push_back(server.connect());
    REQUIRE(server.until([&] { return server.handler.count() == 5; }));
    CHECK(server.loop.connections().open_handshakes() == 5);
    std::vector<std::unique_ptr<SecureClient>> clients;
    for (int i = 0; i < 20; ++i)
        clients.push_back(std::make_unique<SecureClient>(server, TlsClientOptions{}));
    server.turn();
    CHECK(server.handler.count() == 5);
    CHECK(server.group->counts().paused_handshakes >= 1);
    silent.clear();
    CHECK(server.until([&] {
        bool all = true;
        for (auto& client : clients) {
            client->exchange();
            all = all && client->tls.handshake_done();
        }
        return all;
    }));
    // A client is done before its last bytes are sent.
    CHECK(server.until([&] {
        for (auto& client : clients)
            client->exchange();
        return server.loop.connections().open_handshakes() == 0;
    }));
}

TEST_CASE("certificates are reloaded without dropping a connection") {
    Certificates certificates;
    TlsContextSlot slot(context_of(certificates.options()));
    Server server(secure(TransportKind::Tls, slot));
    echo(server);
    SecureClient before(server, {});
    REQUIRE(server.until([&] {
        before.exchange();
        return before.tls.handshake_done();
    }));
    certificates.renew_server();
    REQUIRE(slot.reload(certificates.options()));
    SecureClient after(server, {});
    before.tls.write("old");
    REQUIRE(server.until([&] {
        before.exchange();
        after.exchange();
        return after.tls.handshake_done() && before.tls.plain() == "old";
    }));
    CHECK(before.tls.server_serial() != after.tls.server_serial());
}

TEST_CASE("WebSocket connections carry MQTT bytes in binary frames", "[MQTT-6.0.0-1]") {
    Server server(plain(TransportKind::WebSocket));
    echo(server);
    Client client = server.connect();
    std::string message(300'000, 'm');
    // The first frame comes with the request: a client may not wait for the answer.
    client.send(kUpgrade + frame(kOpBinary, "first"));
    REQUIRE(server.until([&] { return client.receive() && take_upgrade(client.received()); }));
    std::string out = frame(kOpBinary, message, {.fin = false}) + frame(kOpPing, "?") +
                      frame(kOpContinuation, "end");
    std::string payload;
    int pongs = 0;
    CHECK(server.until([&] {
        out.erase(0, client.send(out));
        client.receive();
        for (ServerFrame& got : take_frames(client.received())) {
            if (got.opcode == kOpBinary) payload += got.payload;
            if (got.opcode == kOpPong) pongs += 1;
        }
        return payload.size() == message.size() + 8;
    }));
    CHECK(payload == "first" + message + "end");
    CHECK(pongs == 1);
    server.handler.connection().close_after_flush();
    CHECK(server.until([&] { return !client.receive(); }));
    std::vector<ServerFrame> frames = take_frames(client.received());
    REQUIRE(frames.size() == 1);
    CHECK(frames[0].opcode == kOpClose);
    CHECK(frames[0].payload == "\x03\xE8");
}

TEST_CASE("a WebSocket client that breaks the rules is closed with a status", "[MQTT-6.0.0-1]") {
    Server server(plain(TransportKind::WebSocket));
    Client client = server.connect();
    client.send(kUpgrade + frame(kOpText, "text"));
    CHECK(server.until([&] { return !client.receive(); }));
    CHECK(take_upgrade(client.received()));
    std::vector<ServerFrame> frames = take_frames(client.received());
    REQUIRE(frames.size() == 1);
    CHECK(frames[0].payload == "\x03\xEB");
    CHECK(server.handler.seen().closed == EndCause::WebSocketFailed);
    CHECK(server.handler.seen().detail.find("text message") != std::string::npos);
    CHECK(server.handler.seen().bytes.empty());
}

TEST_CASE("a WebSocket client's close is answered and ends the connection") {
    Server server(plain(TransportKind::WebSocket));
    Client client = server.connect();
    client.send(kUpgrade + frame(kOpBinary, "data") + frame(kOpClose, "\x03\xE8"));
    CHECK(server.until([&] { return !client.receive(); }));
    CHECK_FALSE(client.reset());
    CHECK(server.handler.seen().bytes == "data");
    CHECK(server.handler.seen().closed == EndCause::PeerClosed);
}

TEST_CASE("a refused upgrade is answered before the end", "[MQTT-6.0.0-3]") {
    Server server(plain(TransportKind::WebSocket));
    Client client = server.connect();
    client.send("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(server.until([&] { return !client.receive(); }));
    CHECK(client.received().find("HTTP/1.1 404 Not Found\r\n") == 0);
    CHECK(server.handler.seen().closed == EndCause::WebSocketFailed);
    CHECK(server.handler.seen().detail == "WebSocket upgrade refused with 404: no such path");
}

TEST_CASE("WebSocket over TLS carries large output in both directions") {
    Certificates certificates;
    TlsContextSlot slot(context_of(certificates.options()));
    Server server(secure(TransportKind::WebSocketTls, slot));
    echo(server);
    SecureClient client(server, {});
    REQUIRE(server.until([&] {
        client.exchange();
        return client.tls.handshake_done();
    }));
    client.tls.write(kUpgrade);
    REQUIRE(server.until([&] {
        client.exchange();
        return take_upgrade(client.tls.plain());
    }));
    std::string message(1'000'000, 'w');
    std::string out = frame(kOpBinary, message);
    for (std::size_t i = 0; i < out.size(); i += 10'000)
        client.tls.write(std::string_view(out).substr(i, 10'000));
    std::string payload;
    CHECK(server.until([&] {
        client.exchange();
        for (ServerFrame& got : take_frames(client.tls.plain()))
            payload += got.payload;
        return payload.size() == message.size();
    }));
    CHECK(payload == message);
    server.handler.connection().append(as_bytes(std::string(3'000'000, 'z')));
    server.handler.connection().close_after_flush();
    CHECK(server.until([&] { return !client.exchange(); }));
    CHECK(client.tls.closed());
    std::vector<ServerFrame> frames = take_frames(client.tls.plain());
    REQUIRE(frames.size() == 2);
    CHECK(frames[0].payload.size() == 3'000'000);
    CHECK(frames[1].opcode == kOpClose);
}

TEST_CASE("behind a PROXY header the client's own address is known") {
    ListenerOptions options = plain();
    options.proxy_protocol = true;
    Server server(options);
    echo(server);
    Client client = server.connect();
    client.send("PROXY TCP4 192.0.2.7 198.51.100.1 56324 1883\r\nMQTT");
    CHECK(server.until([&] { return client.receive() && client.received() == "MQTT"; }));
    CHECK(server.handler.seen().peer == "192.0.2.7:56324");
    client.send("more");
    CHECK(server.until([&] { return client.receive() && client.received() == "MQTTmore"; }));
}

TEST_CASE("a connection without its PROXY header is closed without an answer") {
    ListenerOptions options = plain();
    options.proxy_protocol = true;
    Server server(options);
    Client client = server.connect();
    client.send("\x10\x0C");
    CHECK(server.until([&] { return !client.receive(); }));
    CHECK(client.received().empty());
    CHECK(server.handler.seen().closed == EndCause::ProxyFailed);
    CHECK(server.handler.seen().detail == "no PROXY header");
}

TEST_CASE("PROXY, TLS and WebSocket work on top of each other") {
    Certificates certificates;
    TlsContextSlot slot(context_of(certificates.options()));
    ListenerOptions options = secure(TransportKind::WebSocketTls, slot);
    options.proxy_protocol = true;
    Server server(options);
    echo(server);
    SecureClient client(server, {});
    client.waiting = "PROXY TCP6 2001:db8::7 2001:db8::1 5 443\r\n";
    REQUIRE(server.until([&] {
        client.exchange();
        return client.tls.handshake_done();
    }));
    client.tls.write(kUpgrade + frame(kOpBinary, "deep"));
    CHECK(server.until([&] {
        client.exchange();
        return client.tls.plain().find("deep") != std::string::npos;
    }));
    CHECK(server.handler.seen().peer == "[2001:db8::7]:5");
}

TEST_CASE("output made before a handshake is done waits for it") {
    Certificates certificates;
    TlsContextSlot slot(context_of(certificates.options()));
    Server server(secure(TransportKind::Tls, slot));
    server.handler.opened = [](Connection& connection) { connection.append(as_bytes("early")); };
    SecureClient client(server, {});
    CHECK(server.until([&] {
        client.exchange();
        return client.tls.plain() == "early";
    }));
}

TEST_CASE("a peer that only pings and never reads is not read without end") {
    EventLoopOptions loop_options;
    loop_options.write_stall_timeout = 500ms;
    Server server(plain(TransportKind::WebSocket), loop_options);
    server.handler.opened = [](Connection& connection) { connection.set_send_buffer(4'096); };
    Client client = server.connect();
    client.set_receive_buffer(4'096);
    client.send(kUpgrade);
    std::string pings;
    for (int i = 0; i < 1'000; ++i)
        pings += frame(kOpPing, std::string(125, 'p'));
    std::string waiting;
    std::size_t most = 0;
    CHECK(server.until([&] {
        waiting.erase(0, client.send(waiting));
        if (waiting.size() < pings.size()) waiting += pings;
        if (server.handler.count() == 0) return false;
        if (server.handler.seen().closed) return true;
        most = std::max(most, server.handler.connection().pending_output());
        return false;
    }));
    CHECK(server.handler.seen().closed == EndCause::WriteStalled);
    CHECK(most < 100'000);
}
