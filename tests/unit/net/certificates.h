// Certificates for tests, made by the openssl command, and the client's side of TLS in memory.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "broker/net/stages/tls_context.h"
#include "tests/unit/net/support.h"

namespace quorate::broker::test {

// A CA, a server's certificate for localhost, and clients' certificates, in a directory of its own.
class Certificates {
  public:
    Certificates();
    // Signs a client's certificate; returns its name for file(name + ".crt") and ".key".
    std::string make_client(const std::string& name, const std::string& subject,
                            const std::string& alternative_names = "");
    // A certificate that the CA did not sign.
    std::string make_stranger();
    // Puts a new server certificate in place of the old one.
    void renew_server();
    // Revokes a client's certificate; returns the file of the revocation list.
    std::string revoke(const std::string& name);

    [[nodiscard]] std::string file(std::string_view name) const { return dir_.file(name); }
    [[nodiscard]] TlsOptions options(ClientCertificate verify = ClientCertificate::None) const;

  private:
    void run(const std::string& command) const;
    void sign(const std::string& name, const std::string& subject, const std::string& extension);
    TempDir dir_;
};

struct TlsClientOptions {
    std::string ca_file;
    std::string certificate_file;
    std::string key_file;
    int version_max = 0;  // TLS1_2_VERSION and so on; 0: the newest
    int version_min = 0;
    std::string ciphers12;  // empty: OpenSSL's default
};

// A TLS client without a socket.
class TlsClient {
  public:
    explicit TlsClient(const TlsClientOptions& options);
    ~TlsClient();
    TlsClient(const TlsClient&) = delete;
    TlsClient& operator=(const TlsClient&) = delete;

    // Gives it bytes of the server; advances the handshake and decrypts into plain().
    void receive(std::string_view wire);
    void write(std::string_view plain);
    void close();
    bool renegotiate();
    // Takes what shall be sent.
    std::string take_output();

    [[nodiscard]] bool handshake_done() const;
    [[nodiscard]] bool failed() const { return failed_; }
    [[nodiscard]] bool closed() const { return closed_; }
    [[nodiscard]] std::string& plain() { return plain_; }
    [[nodiscard]] std::string version() const;
    [[nodiscard]] std::string cipher() const;
    [[nodiscard]] std::string group() const;
    [[nodiscard]] std::string server_serial() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
    std::string plain_;
    bool failed_ = false;
    bool closed_ = false;
};

}  // namespace quorate::broker::test
