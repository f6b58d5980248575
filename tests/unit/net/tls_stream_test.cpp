#include "broker/net/stages/tls_stream.h"

#include <algorithm>
#include <string>
#include <vector>

#include <openssl/ssl.h>

#include "proto/base/environment.h"
#include "tests/unit/catch.h"
#include "tests/unit/net/certificates.h"

using namespace quorate::broker::test;
using quorate::as_bytes;
using quorate::as_text;
using quorate::Random;
using quorate::broker::check_tls_files;
using quorate::broker::ChunkPool;
using quorate::broker::ClientCertificate;
using quorate::broker::OutputBuffer;
using quorate::broker::TlsContext;
using quorate::broker::TlsContextSlot;
using quorate::broker::TlsFault;
using quorate::broker::TlsOptions;
using quorate::broker::TlsStream;

namespace {

std::shared_ptr<const TlsContext> context_of(const TlsOptions& options) {
    auto made = TlsContext::create(options);
    if (!made) FAIL(made.error().message);
    return std::move(made).value();
}

// A server and a client whose bytes are carried over by hand, split at random.
struct Pair {
    explicit Pair(std::shared_ptr<const TlsContext> context, const TlsClientOptions& options)
        : server(std::move(context)), client(options) {}

    void carry() {
        std::vector<std::byte> into(5'000);
        for (int round = 0; round < 50; ++round) {
            std::string up = client.take_output();
            std::size_t at = 0;
            while (at < up.size()) {
                std::size_t size = std::min<std::size_t>(1 + random.below(2'000), up.size() - at);
                server.feed(as_bytes(std::string_view(up).substr(at, size)));
                while (std::size_t got = server.read(into, out))
                    received += as_text({into.data(), got});
                at += size;
            }
            std::string down;
            while (!out.empty()) {
                down += as_text(out.front());
                out.consume(out.front().size());
            }
            if (up.empty() && down.empty()) return;
            client.receive(down);
        }
        FAIL("the two never fall silent");
    }

    ChunkPool pool{1U << 20};
    OutputBuffer out{pool};
    TlsStream server;
    TlsClient client;
    Random random{3};
    std::string received;
};

}  // namespace

TEST_CASE("TLS carries bytes in both directions") {
    Certificates certificates;
    auto context = context_of(certificates.options());
    TlsClientOptions options;
    options.ca_file = certificates.file("ca.crt");
    options.version_max = GENERATE(TLS1_2_VERSION, TLS1_3_VERSION);
    Pair pair(context, options);
    pair.carry();
    REQUIRE(pair.server.state() == TlsStream::State::Open);
    REQUIRE(pair.client.handshake_done());
    std::string up(100'000, 'u');
    for (std::size_t i = 0; i < up.size(); i += 16'384)
        pair.client.write(std::string_view(up).substr(i, 16'384));
    pair.server.write(as_bytes("down"), pair.out);
    pair.carry();
    CHECK(pair.received == up);
    CHECK(pair.client.plain() == "down");
    CHECK(pair.server.peer()->server_name == "localhost");
    CHECK_FALSE(pair.server.peer()->verified);
    pair.server.close(pair.out);
    pair.carry();
    CHECK(pair.client.closed());
    pair.client.close();
    pair.carry();
    CHECK(pair.server.state() == TlsStream::State::Ended);
}

TEST_CASE("TLS 1.3 with X25519 is preferred, below 1.2 nothing is spoken") {
    Certificates certificates;
    auto context = context_of(certificates.options());
    TlsClientOptions options;
    Pair pair(context, options);
    pair.carry();
    CHECK(pair.client.version() == "TLSv1.3");
    CHECK(pair.client.group() == "X25519");
    options.version_max = TLS1_1_VERSION;
    options.ciphers12 = "ALL:@SECLEVEL=0";
    Pair old(context, options);
    old.carry();
    CHECK(old.server.state() == TlsStream::State::Failed);
    CHECK(old.server.error().find("TLS handshake failed") == 0);
}

TEST_CASE("TLS 1.2 is spoken with forward secrecy and authenticated encryption only") {
    Certificates certificates;
    auto context = context_of(certificates.options());
    TlsClientOptions options;
    options.version_max = TLS1_2_VERSION;
    options.ciphers12 = "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA:AES128-GCM-SHA256";
    Pair weak(context, options);
    weak.carry();
    CHECK(weak.server.state() == TlsStream::State::Failed);
    options.ciphers12 = "ALL";
    Pair good(context, options);
    good.carry();
    CHECK(good.client.cipher().find("ECDHE") == 0);
    CHECK(good.client.cipher().find("SHA") != std::string::npos);
}

TEST_CASE("renegotiation is refused") {
    Certificates certificates;
    auto context = context_of(certificates.options());
    TlsClientOptions options;
    options.version_max = TLS1_2_VERSION;
    Pair pair(context, options);
    pair.carry();
    REQUIRE(pair.server.state() == TlsStream::State::Open);
    static_cast<void>(pair.client.renegotiate());
    pair.carry();
    pair.client.receive("");
    CHECK(pair.received.empty());
    // The server answers with a warning alert and goes on, or the client gives up: no second
    // handshake.
    pair.server.write(as_bytes("still the first"), pair.out);
    pair.carry();
    CHECK((pair.client.failed() || pair.client.plain() == "still the first"));
}

TEST_CASE("a required client certificate is checked and described") {
    Certificates certificates;
    certificates.make_client("device", "/O=Plant/CN=device-7",
                             "DNS:device-7.example,URI:urn:dev:7,email:a@b.example");
    auto context = context_of(certificates.options(ClientCertificate::Require));
    TlsClientOptions options;
    options.version_max = GENERATE(TLS1_2_VERSION, TLS1_3_VERSION);

    SECTION("a good one") {
        options.certificate_file = certificates.file("device.crt");
        options.key_file = certificates.file("device.key");
        Pair pair(context, options);
        pair.carry();
        REQUIRE(pair.server.state() == TlsStream::State::Open);
        const auto& peer = *pair.server.peer();
        CHECK(peer.verified);
        CHECK(peer.common_name == "device-7");
        CHECK(peer.subject == "CN=device-7,O=Plant");
        CHECK(peer.dns_names == std::vector<std::string>{"device-7.example"});
        CHECK(peer.uris == std::vector<std::string>{"urn:dev:7"});
        CHECK(peer.emails == std::vector<std::string>{"a@b.example"});
        CHECK(peer.fingerprint_sha256.size() == 64);
    }
    SECTION("none") {
        Pair pair(context, options);
        pair.carry();
        CHECK(pair.server.state() == TlsStream::State::Failed);
        CHECK(pair.server.error().find("peer did not return a certificate") != std::string::npos);
        CHECK(pair.client.failed());
    }
    SECTION("one of a stranger") {
        certificates.make_stranger();
        options.certificate_file = certificates.file("stranger.crt");
        options.key_file = certificates.file("stranger.key");
        Pair pair(context, options);
        pair.carry();
        CHECK(pair.server.state() == TlsStream::State::Failed);
        CHECK(pair.server.error().find("client certificate:") != std::string::npos);
    }
}

TEST_CASE("an optional client certificate may be absent, but not wrong") {
    Certificates certificates;
    certificates.make_stranger();
    auto context = context_of(certificates.options(ClientCertificate::Optional));
    Pair none(context, {});
    none.carry();
    CHECK(none.server.state() == TlsStream::State::Open);
    CHECK_FALSE(none.server.peer()->verified);
    TlsClientOptions options;
    options.certificate_file = certificates.file("stranger.crt");
    options.key_file = certificates.file("stranger.key");
    Pair stranger(context, options);
    stranger.carry();
    CHECK(stranger.server.state() == TlsStream::State::Failed);
}

TEST_CASE("a revoked client certificate is refused") {
    Certificates certificates;
    certificates.make_client("device", "/CN=device-7");
    TlsOptions options = certificates.options(ClientCertificate::Require);
    options.crl_file = certificates.revoke("device");
    TlsClientOptions client;
    client.certificate_file = certificates.file("device.crt");
    client.key_file = certificates.file("device.key");
    Pair pair(context_of(options), client);
    pair.carry();
    CHECK(pair.server.state() == TlsStream::State::Failed);
    CHECK(pair.server.error().find("revoked") != std::string::npos);
}

TEST_CASE("a subject with several common names names nobody") {
    Certificates certificates;
    certificates.make_client("twice", "/CN=admin/CN=device");
    TlsClientOptions options;
    options.certificate_file = certificates.file("twice.crt");
    options.key_file = certificates.file("twice.key");
    Pair pair(context_of(certificates.options(ClientCertificate::Require)), options);
    pair.carry();
    REQUIRE(pair.server.state() == TlsStream::State::Open);
    CHECK(pair.server.peer()->common_name.empty());
    CHECK(pair.server.peer()->subject == "CN=device,CN=admin");
}

TEST_CASE("bytes that are not TLS fail the handshake with an alert") {
    Certificates certificates;
    ChunkPool pool(1U << 20);
    OutputBuffer out(pool);
    TlsStream server(context_of(certificates.options()));
    std::vector<std::byte> into(5'000);
    server.feed(as_bytes("\x10\x20 this is a CONNECT for another port"));
    CHECK(server.read(into, out) == 0);
    CHECK(server.state() == TlsStream::State::Failed);
    CHECK(server.peer() == nullptr);
}

TEST_CASE("files that cannot be used are named") {
    Certificates certificates;
    TlsOptions options = certificates.options();
    SECTION("no such certificate") {
        options.certificate_file = certificates.file("absent.crt");
        auto made = TlsContext::create(options);
        REQUIRE_FALSE(made);
        CHECK(made.error().message.find("absent.crt") != std::string::npos);
    }
    SECTION("the key of another certificate") {
        options.key_file = certificates.file("ca.key");
        auto made = TlsContext::create(options);
        REQUIRE_FALSE(made);
        CHECK(made.error().message.find("ca.key") != std::string::npos);
    }
    SECTION("required clients without a ca") {
        options.ca_file = "";
        options.verify_client = ClientCertificate::Require;
        CHECK_FALSE(TlsContext::create(options));
    }
}

TEST_CASE("each file of TLS that cannot be used is named with its option") {
    using Option = TlsFault::Option;
    Certificates certificates;
    const TlsOptions good = certificates.options(ClientCertificate::Require);
    CHECK(check_tls_files(good).empty());
    CHECK(check_tls_files({}).empty());
    const std::string absent = certificates.file("absent.pem");
    const std::string other_key =
        certificates.file(certificates.make_client("other", "/CN=o") + ".key");
    const auto fault = [&](auto change) {
        TlsOptions options = good;
        options.verify_client = ClientCertificate::None;  // it is read all the same
        change(options);
        const std::vector<TlsFault> faults = check_tls_files(options);
        REQUIRE(faults.size() == 1);
        return faults.front();
    };
    const auto says = [&](const TlsFault& found, Option option, const std::string& file) {
        CHECK(found.option == option);
        CHECK(found.expected.starts_with("expected "));
        CHECK(found.expected.find(file) != std::string::npos);
    };
    says(fault([&](TlsOptions& o) { o.certificate_file = absent; }), Option::Certificate, absent);
    says(fault([&](TlsOptions& o) { o.certificate_file = o.key_file; }), Option::Certificate,
         good.key_file);
    says(fault([&](TlsOptions& o) { o.key_file = absent; }), Option::Key, absent);
    says(fault([&](TlsOptions& o) { o.key_file = o.certificate_file; }), Option::Key,
         good.certificate_file);
    says(fault([&](TlsOptions& o) { o.key_file = other_key; }), Option::Key, other_key);
    says(fault([&](TlsOptions& o) { o.ca_file = absent; }), Option::Authority, absent);
    says(fault([&](TlsOptions& o) { o.ca_file = o.key_file; }), Option::Authority, good.key_file);
    TlsOptions all_wrong = good;
    all_wrong.certificate_file = all_wrong.key_file = all_wrong.ca_file = absent;
    CHECK(check_tls_files(all_wrong).size() == 3);
}

TEST_CASE("a reload changes new connections and leaves the others alone") {
    Certificates certificates;
    TlsContextSlot slot(context_of(certificates.options()));
    Pair before(slot.get(), {});
    before.carry();
    certificates.renew_server();
    REQUIRE(slot.reload(certificates.options()));
    Pair after(slot.get(), {});
    after.carry();
    CHECK(before.client.server_serial() != after.client.server_serial());
    before.server.write(as_bytes("still here"), before.out);
    before.carry();
    CHECK(before.client.plain() == "still here");

    TlsOptions wrong = certificates.options();
    wrong.certificate_file = certificates.file("absent.crt");
    CHECK_FALSE(slot.reload(wrong));
    Pair kept(slot.get(), {});
    kept.carry();
    CHECK(kept.client.server_serial() == after.client.server_serial());
}
