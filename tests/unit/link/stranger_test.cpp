// Whoever else comes to the link port: raw bytes, and gRPC clients that break the protocol.
#include <memory>
#include <string>
#include <vector>

#include <arpa/inet.h>
#include <grpcpp/grpcpp.h>
#include <netinet/in.h>
#include <poll.h>
#include <quorate/v1/link.grpc.pb.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cluster/link/transport.h"
#include "cluster/link/wire/batch.h"
#include "cluster/link/wire/handshake.h"
#include "proto/base/environment.h"
#include "tests/unit/catch.h"
#include "tests/unit/link/certificates.h"
#include "tests/unit/link/node.h"

namespace {

using namespace quorate;
using namespace quorate::link;

std::size_t label(LinkRefusal refusal) {
    return static_cast<std::size_t>(refusal);
}
std::size_t label(LinkEnd end) {
    return static_cast<std::size_t>(end);
}

class Socket {
  public:
    explicit Socket(const std::string& address) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(split_address(address).port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        REQUIRE(::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0);
    }
    ~Socket() { ::close(fd_); }
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;

    void send(std::string_view bytes) const {
        (void)::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    }
    // Reads until the other side closes; false after ten seconds.
    [[nodiscard]] bool wait_closed() const {
        char buffer[4096];
        pollfd wait{fd_, POLLIN, 0};
        while (::poll(&wait, 1, 10'000) == 1) {
            if (::recv(fd_, buffer, sizeof(buffer), 0) <= 0) return true;
        }
        return false;
    }

  private:
    int fd_;
};

// A client that speaks the protocol by hand; node 2 to a node 1.
class RawClient {
  public:
    explicit RawClient(const std::string& address) {
        grpc::ChannelArguments arguments;
        arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
        stub_ = v1::Link::NewStub(
            grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
    }
    ~RawClient() {
        context.TryCancel();
        if (stream_) stream_->Finish();
    }
    RawClient(const RawClient&) = delete;
    RawClient& operator=(const RawClient&) = delete;

    void open() { stream_ = stub_->Connect(&context); }
    [[nodiscard]] static v1::FromDialer greeting() {
        Hello hello;
        hello.version_min = kVersionMin;
        hello.version_max = kVersionMax;
        hello.cluster_id = "test-cluster";
        hello.peer = {NodeId(2), make_incarnation(NodeId(2), 1)};
        hello.traffic = TrafficClass::Bulk;
        hello.epoch = StreamEpoch(1);
        v1::FromDialer out;
        encode(hello, *out.mutable_greeting());
        return out;
    }
    void write(const v1::FromDialer& message) { (void)stream_->Write(message); }
    [[nodiscard]] bool read(v1::FromAcceptor& message) { return stream_->Read(&message); }
    // Opens and greets well; true when it was accepted.
    [[nodiscard]] bool greet() {
        open();
        write(greeting());
        v1::FromAcceptor in;
        return read(in) && in.has_greeting();
    }
    // What the stream ended with, after all that was sent.
    [[nodiscard]] grpc::StatusCode end() {
        v1::FromAcceptor in;
        while (stream_->Read(&in)) {
        }
        return std::exchange(stream_, nullptr)->Finish().error_code();
    }
    [[nodiscard]] v1::Link::Stub& stub() { return *stub_; }

    grpc::ClientContext context;

  private:
    std::unique_ptr<v1::Link::Stub> stub_;
    std::unique_ptr<grpc::ClientReaderWriter<v1::FromDialer, v1::FromAcceptor>> stream_;
};

// A node 1 that has a member 2, which is nobody but the test's client.
struct Port {
    explicit Port(const std::function<void(LinkOptions&)>& change = {}) : node(1, 1, change) {
        REQUIRE(node.running());
        node.host().set_members({{NodeId(2), "n2", {"127.0.0.1:1"}}});
    }
    TestNode node;
};

v1::FromDialer batch_of(uint64_t sequence, const std::string& item) {
    v1::FromDialer out;
    out.set_sequence(sequence);
    out.set_items(1);
    append_item(*out.mutable_data(), as_bytes(item), {});
    return out;
}

}  // namespace

TEST_CASE("bytes that are no HTTP/2 and no TLS end their connection, links go on", "[link]") {
    const TestAuthority authority;
    for (const bool tls : {false, true}) {
        const auto change = [&](const std::string& name) {
            return [&authority, name, tls](LinkOptions& options) {
                if (tls) options.tls = authority.issue(name, {"quorate:///name/" + name});
            };
        };
        TestNode one(1, 1, change("n1"));
        TestNode two(2, 1, change("n2"));
        one.knows({&two});
        two.knows({&one});
        REQUIRE(one.wait_up(two));
        std::string noise(100'000, '\0');
        Random random(7);
        for (char& each : noise)
            each = static_cast<char>(random.below(256));
        const std::string http = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        for (const std::string& bytes :
             {noise, http, std::string("\x16\x03\x01\xFF\xFF", 5) + noise}) {
            const Socket socket(one.address());
            socket.send(bytes);
            CHECK(socket.wait_closed());
        }
        CHECK(one.push(two, TrafficClass::Bulk, "still here"));
        CHECK(one.recorder.heard().down.empty());
    }
}

TEST_CASE("a greeting of another version is refused with the versions spoken", "[link]") {
    Port port;
    RawClient client(port.node.address());
    client.open();
    v1::FromDialer hello = RawClient::greeting();
    hello.mutable_greeting()->set_version_min(kVersionMax + 1);
    hello.mutable_greeting()->set_version_max(kVersionMax + 3);
    client.write(hello);
    v1::FromAcceptor in;
    REQUIRE(client.read(in));
    REQUIRE(in.has_refusal());
    CHECK(reason_of(in.refusal()) == LinkRefusal::Version);
    CHECK(in.refusal().text().find("2 to 4") != std::string::npos);
    CHECK(client.end() == grpc::StatusCode::FAILED_PRECONDITION);
    CHECK(port.node.metrics.value<Metric::LinkRefused>(LinkRefusal::Version) == 1);
    CHECK(port.node.recorder.heard().up.empty());
}

TEST_CASE("a stream that does not begin with a greeting is refused", "[link]") {
    Port port;
    RawClient client(port.node.address());
    client.open();
    client.write(batch_of(1, "item"));
    CHECK(client.end() == grpc::StatusCode::FAILED_PRECONDITION);
    CHECK(port.node.wait_count(Metric::LinkRefused, label(LinkRefusal::Malformed), 1));
    CHECK(port.node.recorder.heard().items.empty());
}

TEST_CASE("after a good greeting every message that is no batch ends the stream", "[link]") {
    std::vector<v1::FromDialer> bad(7);
    bad[0] = batch_of(2, "the first has sequence 1");
    bad[1] = batch_of(1, "says two items, has one");
    bad[1].set_items(2);
    bad[2] = batch_of(1, "cut off");
    bad[2].mutable_data()->pop_back();
    bad[3].set_sequence(1);  // no data at all
    bad[4] = RawClient::greeting();
    bad[5].set_data("no sequence");
    // bad[6]: nothing in it
    for (const v1::FromDialer& message : bad) {
        Port port;
        RawClient client(port.node.address());
        REQUIRE(client.greet());
        client.write(message);
        CHECK(client.end() != grpc::StatusCode::OK);
        CHECK(port.node.wait_count(Metric::LinkReset, label(LinkEnd::Malformed), 1));
        CHECK(port.node.recorder.heard().items.empty());
    }
}

TEST_CASE("who sends beyond the window is cut off before memory grows", "[link]") {
    Port port([](LinkOptions& options) { options.window_bytes.fill(100'000); });
    port.node.recorder.hold(true);
    RawClient client(port.node.address());
    REQUIRE(client.greet());
    for (uint64_t i = 1; i <= 20; ++i)
        client.write(batch_of(i, std::string(50'000, 'x')));
    CHECK(client.end() != grpc::StatusCode::OK);
    CHECK(port.node.wait_count(Metric::LinkReset, label(LinkEnd::Window), 1));
    CHECK(port.node.metrics.total(Metric::LinkBytesReceived) <= 150'100);
}

TEST_CASE("a message above 4 MiB and a compressed one end the stream", "[link]") {
    {
        Port port;
        RawClient client(port.node.address());
        REQUIRE(client.greet());
        v1::FromDialer large = batch_of(1, "x");
        large.set_data(std::string(kMessageBytesMax + 1, 'x'));
        client.write(large);
        CHECK(client.end() != grpc::StatusCode::OK);
        CHECK(port.node.recorder.wait([](const auto& heard) { return heard.down.size() == 1; }));
    }
    Port port;
    RawClient client(port.node.address());
    client.context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
    client.open();
    client.write(RawClient::greeting());
    CHECK(client.end() != grpc::StatusCode::OK);
    CHECK(port.node.recorder.heard().up.empty());
}

TEST_CASE("who does not greet, or falls silent, is cut off", "[link]") {
    Port port([](LinkOptions& options) {
        options.greeting_timeout = std::chrono::milliseconds(200);
        options.silence_max = std::chrono::milliseconds(300);
    });
    RawClient mute(port.node.address());
    mute.open();
    CHECK(mute.end() != grpc::StatusCode::OK);
    CHECK(port.node.metrics.value<Metric::LinkRefused>(LinkRefusal::Timeout) == 1);
    RawClient silent(port.node.address());
    REQUIRE(silent.greet());
    CHECK(silent.end() != grpc::StatusCode::OK);
    CHECK(port.node.recorder.wait([](const auto& heard) {
        return heard.down.size() == 1 && heard.down[0].end == LinkEnd::Silent;
    }));
}

TEST_CASE("streams that have not greeted are limited", "[link]") {
    Port port([](LinkOptions& options) { options.strangers_max = 3; });
    std::vector<std::unique_ptr<RawClient>> clients;
    for (int i = 0; i < 10; ++i) {
        clients.push_back(std::make_unique<RawClient>(port.node.address()));
        clients.back()->open();
    }
    CHECK(port.node.wait_count(Metric::LinkRefused, label(LinkRefusal::Limit), 7));
    clients.clear();
    // Their places are free again once they have gone.
    CHECK(eventually([&] { return RawClient(port.node.address()).greet(); }));
}

TEST_CASE("a peer that accepts and says nothing is given up and tried again", "[link]") {
    const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::bind(listener, reinterpret_cast<const sockaddr*>(&at), sizeof(at)) == 0);
    REQUIRE(::listen(listener, 64) == 0);
    socklen_t size = sizeof(at);
    ::getsockname(listener, reinterpret_cast<sockaddr*>(&at), &size);
    TestNode one(1, 1, [](LinkOptions& options) {
        options.greeting_timeout = std::chrono::milliseconds(100);
    });
    one.host().set_members(
        {{NodeId(2), "n2", {"127.0.0.1:" + std::to_string(ntohs(at.sin_port))}}});
    CHECK(one.wait_count(Metric::LinkReset, label(LinkEnd::Unreachable), 6));
    CHECK(one.recorder.heard().up.empty());
    ::close(listener);
}
