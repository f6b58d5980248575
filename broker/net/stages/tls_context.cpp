#include "broker/net/stages/tls_context.h"

#include <cstring>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "broker/net/stages/tls_stream.h"

namespace quorate::broker {

namespace {

// TLS 1.2: forward secrecy and authenticated encryption only (RFC 9325 §4.2). TLS 1.3 has no other.
constexpr const char* kCiphers12 = "ECDHE+AESGCM:ECDHE+CHACHA20";
constexpr const char* kGroups = "X25519:P-256";
constexpr std::string_view kSessionIdContext = "quorate";

std::string openssl_reason() {
    unsigned long code = ERR_peek_last_error();
    const char* reason = ERR_reason_error_string(code);
    std::string text = reason != nullptr ? reason : "unknown reason";
    ERR_clear_error();
    return text;
}

Error unusable(std::string_view what, const std::string& file) {
    return {ErrorCode::InvalidArgument,
            fmt::format("TLS: {} '{}' cannot be used: {}", what, file, openssl_reason())};
}

// Without it OpenSSL would ask the terminal for the password of an encrypted key.
int no_password(char*, int, int, void*) {
    return 0;
}

using X509Ptr = std::unique_ptr<X509, decltype(&X509_free)>;
using PrivateKeyPtr = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using BioPtr = std::unique_ptr<BIO, decltype(&BIO_free_all)>;

// Null when there is none; OpenSSL's queue says why.
X509* read_certificate(const std::string& file) {
    const BioPtr in(BIO_new_file(file.c_str(), "re"), BIO_free_all);
    return in ? PEM_read_bio_X509(in.get(), nullptr, no_password, nullptr) : nullptr;
}

EVP_PKEY* read_key(const std::string& file) {
    const BioPtr in(BIO_new_file(file.c_str(), "re"), BIO_free_all);
    return in ? PEM_read_bio_PrivateKey(in.get(), nullptr, no_password, nullptr) : nullptr;
}

Status load_identity(SSL_CTX* context, const TlsOptions& options) {
    if (SSL_CTX_use_certificate_chain_file(context, options.certificate_file.c_str()) != 1)
        return unusable("certificate", options.certificate_file);
    if (SSL_CTX_use_PrivateKey_file(context, options.key_file.c_str(), SSL_FILETYPE_PEM) != 1)
        return unusable("key", options.key_file);
    if (SSL_CTX_check_private_key(context) != 1) return unusable("key", options.key_file);
    return {};
}

Status load_client_authority(SSL_CTX* context, const TlsOptions& options) {
    if (options.verify_client == ClientCertificate::None) return {};
    if (options.ca_file.empty()) {
        return Error{ErrorCode::InvalidArgument,
                     "TLS: verify_client needs a ca file to check certificates against"};
    }
    if (SSL_CTX_load_verify_file(context, options.ca_file.c_str()) != 1)
        return unusable("ca", options.ca_file);
    STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(options.ca_file.c_str());
    if (names == nullptr) return unusable("ca", options.ca_file);
    SSL_CTX_set_client_CA_list(context, names);  // takes them over
    if (!options.crl_file.empty()) {
        X509_STORE* store = SSL_CTX_get_cert_store(context);
        X509_LOOKUP* lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
        if (lookup == nullptr ||
            X509_load_crl_file(lookup, options.crl_file.c_str(), X509_FILETYPE_PEM) < 1)
            return unusable("crl", options.crl_file);
        X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
    }
    int mode = SSL_VERIFY_PEER;
    if (options.verify_client == ClientCertificate::Require)
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_CTX_set_verify(context, mode, nullptr);
    return {};
}

bool set_rules(SSL_CTX* context) {
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    // An idle connection gives its record buffers back: 22 KB instead of 55.
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);  // tickets only
    SSL_CTX_set_num_tickets(context, 1);
    SSL_CTX_set_default_passwd_cb(context, no_password);
    return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(context, kCiphers12) == 1 &&
           SSL_CTX_set1_groups_list(context, kGroups) == 1 &&
           SSL_CTX_set_max_early_data(context, 0) == 1 &&
           SSL_CTX_set_session_id_context(
               context, reinterpret_cast<const unsigned char*>(kSessionIdContext.data()),
               static_cast<unsigned>(kSessionIdContext.size())) == 1;
}

}  // namespace

TlsContext::~TlsContext() {
    SSL_CTX_free(context_);
    BIO_meth_free(bio_method_);
}

Result<std::shared_ptr<const TlsContext>> TlsContext::create(const TlsOptions& options) {
    ERR_clear_error();
    auto made = std::make_shared<TlsContext>(Passkey{});
    made->context_ = SSL_CTX_new(TLS_server_method());
    made->bio_method_ = TlsStream::make_bio_method();
    made->verify_client_ = options.verify_client;
    made->ticket_keys_ = std::make_unique<TicketKeys>();
    if (made->context_ == nullptr || made->bio_method_ == nullptr || !set_rules(made->context_) ||
        !made->ticket_keys_->install(made->context_)) {
        return Error{ErrorCode::InvalidArgument,
                     fmt::format("TLS: OpenSSL refuses our settings: {}", openssl_reason())};
    }
    if (Status status = load_identity(made->context_, options); !status) return status.error();
    if (Status status = load_client_authority(made->context_, options); !status)
        return status.error();
    return std::shared_ptr<const TlsContext>(std::move(made));
}

std::vector<TlsFault> check_tls_files(const TlsOptions& options) {
    using Option = TlsFault::Option;
    std::vector<TlsFault> faults;
    const auto add = [&](Option option, std::string_view expected, const std::string& file) {
        const std::string reason = openssl_reason();
        faults.push_back(
            {option, fmt::format("expected {} in \"{}\": {}", expected, file, reason)});
    };
    ERR_clear_error();
    X509Ptr leaf(nullptr, X509_free);
    if (const std::string& file = options.certificate_file; !file.empty()) {
        leaf.reset(read_certificate(file));
        if (!leaf) add(Option::Certificate, "a PEM certificate", file);
    }
    if (const std::string& file = options.key_file; !file.empty()) {
        const PrivateKeyPtr key(read_key(file), EVP_PKEY_free);
        if (!key) {
            add(Option::Key, "a PEM private key without a password", file);
        } else if (leaf && X509_check_private_key(leaf.get(), key.get()) != 1) {
            add(Option::Key, "the key of the certificate", file);
        }
    }
    if (const std::string& file = options.ca_file; !file.empty()) {
        const X509Ptr authority(read_certificate(file), X509_free);
        if (!authority) add(Option::Authority, "PEM certificates", file);
    }
    const bool complete = !options.certificate_file.empty() && !options.key_file.empty();
    if (!faults.empty() || !complete) return faults;
    // The rest of a chain, of a list of authorities, and what OpenSSL thinks of weak keys.
    if (auto made = TlsContext::create(options); !made) {
        faults.push_back({Option::Certificate, "expected files that fit: " + made.error().message});
    }
    return faults;
}

std::shared_ptr<const TlsContext> TlsContextSlot::get() const {
    std::lock_guard lock(mutex_);
    return context_;
}

Status TlsContextSlot::reload(const TlsOptions& options) {
    Result<std::shared_ptr<const TlsContext>> made = TlsContext::create(options);
    if (!made) return made.error();
    std::lock_guard lock(mutex_);
    context_ = std::move(made).value();
    return {};
}

}  // namespace quorate::broker
