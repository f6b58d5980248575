// Keys, certificates and rules of TLS for one listener.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "broker/net/stages/ticket_keys.h"
#include "proto/base/result.h"

struct ssl_ctx_st;
struct bio_method_st;

namespace quorate::broker {

enum class ClientCertificate : uint8_t { None, Optional, Require };

struct TlsOptions {
    std::string certificate_file;  // PEM, the chain with the leaf first
    std::string key_file;          // PEM
    std::string ca_file;           // PEM, whom client certificates are checked against
    std::string crl_file;          // PEM; empty: no revocation list
    ClientCertificate verify_client = ClientCertificate::None;
};

// A file of TlsOptions that cannot be used: which option, and "expected ..., got ...".
struct TlsFault {
    enum class Option : uint8_t { Certificate, Key, Authority, Revocations };
    Option option = Option::Certificate;
    std::string expected;
};

// Opens and parses every file that is named, whether or not the other options would have it read.
// Thread: any.
[[nodiscard]] std::vector<TlsFault> check_tls_files(const TlsOptions& options);

// Who the other side proved to be.
struct TlsPeer {
    bool verified = false;  // a certificate was given and its chain holds
    std::string common_name;
    std::string subject;             // RFC 2253, e.g. "CN=device-7,O=Plant"
    std::string fingerprint_sha256;  // lower case hex
    std::vector<std::string> dns_names;
    std::vector<std::string> uris;
    std::vector<std::string> emails;
    std::string protocol;  // "TLSv1.3"
    std::string cipher;
    std::string server_name;  // SNI, empty when absent
};

// An immutable TLS configuration: TLS 1.2 (ECDHE and AEAD only) and 1.3, X25519 and P-256, no
// renegotiation, no compression, no early data.
//
// Thread: any, after creation. Owner: shared, since connections made with an old context keep it
// after a reload. Errors: create() names the file and what is wrong with it.
class TlsContext {
    struct Passkey {};  // only create() makes contexts

  public:
    explicit TlsContext(Passkey) {}
    [[nodiscard]] static Result<std::shared_ptr<const TlsContext>> create(
        const TlsOptions& options);
    ~TlsContext();
    TlsContext(const TlsContext&) = delete;
    TlsContext& operator=(const TlsContext&) = delete;

    [[nodiscard]] ssl_ctx_st* get() const { return context_; }
    [[nodiscard]] bio_method_st* bio_method() const { return bio_method_; }
    [[nodiscard]] ClientCertificate verify_client() const { return verify_client_; }
    // New session tickets are sealed with a new key; those of the last one are still good.
    void rotate_ticket_keys() const { ticket_keys_->rotate(); }

  private:
    std::unique_ptr<TicketKeys> ticket_keys_;
    ssl_ctx_st* context_ = nullptr;        // owned
    bio_method_st* bio_method_ = nullptr;  // owned
    ClientCertificate verify_client_ = ClientCertificate::None;
};

// The context that new connections get; replacing it leaves the existing ones alone.
// Thread: any. Owner: the broker; outlives its listeners.
class TlsContextSlot {
  public:
    explicit TlsContextSlot(std::shared_ptr<const TlsContext> context)
        : context_(std::move(context)) {}
    [[nodiscard]] std::shared_ptr<const TlsContext> get() const;
    // Reads the files again; on an error the old context stays.
    [[nodiscard]] Status reload(const TlsOptions& options);

  private:
    mutable std::mutex mutex_;
    std::shared_ptr<const TlsContext> context_;
};

}  // namespace quorate::broker
