#include "tests/unit/net/certificates.h"

#include <cstdlib>
#include <fstream>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "tests/unit/catch.h"

namespace quorate::broker::test {

void Certificates::run(const std::string& command) const {
    std::string line = "cd '" + dir_.file("") + "' && " + command + " >log 2>&1";
    INFO(line);
    REQUIRE(std::system(line.c_str()) == 0);
}

Certificates::Certificates() {
    run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key "
        "-out ca.crt -subj '/CN=Test CA' -days 2 "
        "-addext basicConstraints=critical,CA:true -addext keyUsage=critical,keyCertSign,cRLSign");
    renew_server();
}

void Certificates::sign(const std::string& name, const std::string& subject,
                        const std::string& extension) {
    std::ofstream(dir_.file(name + ".ext")) << extension << "\n";
    run("openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -utf8 -keyout " +
        name + ".key -out " + name + ".csr -subj '" + subject + "'");
    run("openssl x509 -req -in " + name + ".csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 1 " +
        "-extfile " + name + ".ext -out " + name + ".crt");
}

void Certificates::renew_server() {
    sign("server", "/CN=localhost", "subjectAltName=DNS:localhost,IP:127.0.0.1");
}

std::string Certificates::make_client(const std::string& name, const std::string& subject,
                                      const std::string& alternative_names) {
    sign(name, subject,
         alternative_names.empty() ? "basicConstraints=CA:false"
                                   : "subjectAltName=" + alternative_names);
    return name;
}

std::string Certificates::make_stranger() {
    run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "
        "stranger.key -out stranger.crt -subj '/CN=stranger' -days 1");
    return "stranger";
}

std::string Certificates::revoke(const std::string& name) {
    std::ofstream(dir_.file("ca.conf"))
        << "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ndefault_md=sha256\ndefault_crl_days=1\n";
    std::ofstream(dir_.file("index.txt"));
    run("openssl ca -config ca.conf -keyfile ca.key -cert ca.crt -revoke " + name + ".crt");
    run("openssl ca -config ca.conf -keyfile ca.key -cert ca.crt -gencrl -out ca.crl");
    return dir_.file("ca.crl");
}

TlsOptions Certificates::options(ClientCertificate verify) const {
    TlsOptions options;
    options.certificate_file = dir_.file("server.crt");
    options.key_file = dir_.file("server.key");
    options.ca_file = dir_.file("ca.crt");
    options.verify_client = verify;
    return options;
}

struct TlsClient::Impl {
    SSL_CTX* context = nullptr;
    SSL* ssl = nullptr;
    BIO* in = nullptr;
    BIO* out = nullptr;
};

TlsClient::TlsClient(const TlsClientOptions& options) : impl_(std::make_unique<Impl>()) {
    impl_->context = SSL_CTX_new(TLS_client_method());
    if (options.version_max != 0)
        SSL_CTX_set_max_proto_version(impl_->context, options.version_max);
    SSL_CTX_set_min_proto_version(impl_->context, options.version_min);
    if (options.version_max != 0 && options.version_max < TLS1_2_VERSION)
        SSL_CTX_set_security_level(impl_->context, 0);
    if (!options.ciphers12.empty())
        REQUIRE(SSL_CTX_set_cipher_list(impl_->context, options.ciphers12.c_str()) == 1);
    if (!options.ca_file.empty()) {
        REQUIRE(SSL_CTX_load_verify_file(impl_->context, options.ca_file.c_str()) == 1);
        SSL_CTX_set_verify(impl_->context, SSL_VERIFY_PEER, nullptr);
    }
    if (!options.certificate_file.empty()) {
        REQUIRE(SSL_CTX_use_certificate_chain_file(impl_->context,
                                                   options.certificate_file.c_str()) == 1);
        REQUIRE(SSL_CTX_use_PrivateKey_file(impl_->context, options.key_file.c_str(),
                                            SSL_FILETYPE_PEM) == 1);
    }
    impl_->ssl = SSL_new(impl_->context);
    impl_->in = BIO_new(BIO_s_mem());
    impl_->out = BIO_new(BIO_s_mem());
    SSL_set_bio(impl_->ssl, impl_->in, impl_->out);
    SSL_set_tlsext_host_name(impl_->ssl, "localhost");
    SSL_set1_host(impl_->ssl, "localhost");
    SSL_set_connect_state(impl_->ssl);
    receive("");
}

TlsClient::~TlsClient() {
    SSL_free(impl_->ssl);
    SSL_CTX_free(impl_->context);
}

void TlsClient::receive(std::string_view wire) {
    if (!wire.empty()) BIO_write(impl_->in, wire.data(), static_cast<int>(wire.size()));
    if (SSL_is_init_finished(impl_->ssl) == 0) {
        ERR_clear_error();
        int result = SSL_do_handshake(impl_->ssl);
        if (result != 1) {
            failed_ = SSL_get_error(impl_->ssl, result) != SSL_ERROR_WANT_READ;
            return;
        }
    }
    while (true) {
        char buffer[16'384];
        ERR_clear_error();
        int got = SSL_read(impl_->ssl, buffer, sizeof(buffer));
        if (got > 0) {
            plain_.append(buffer, static_cast<std::size_t>(got));
            continue;
        }
        int error = SSL_get_error(impl_->ssl, got);
        if (error == SSL_ERROR_ZERO_RETURN) closed_ = true;
        if (error == SSL_ERROR_SSL || error == SSL_ERROR_SYSCALL) failed_ = true;
        return;
    }
}

void TlsClient::write(std::string_view plain) {
    REQUIRE(SSL_write(impl_->ssl, plain.data(), static_cast<int>(plain.size())) ==
            static_cast<int>(plain.size()));
}

void TlsClient::close() {
    SSL_shutdown(impl_->ssl);
}

bool TlsClient::renegotiate() {
    return SSL_renegotiate(impl_->ssl) == 1 && SSL_do_handshake(impl_->ssl) == 1;
}

std::string TlsClient::take_output() {
    std::string bytes(static_cast<std::size_t>(BIO_pending(impl_->out)), '\0');
    if (!bytes.empty()) BIO_read(impl_->out, bytes.data(), static_cast<int>(bytes.size()));
    return bytes;
}

bool TlsClient::handshake_done() const {
    return SSL_is_init_finished(impl_->ssl) != 0;
}

std::string TlsClient::version() const {
    return SSL_get_version(impl_->ssl);
}

std::string TlsClient::cipher() const {
    return SSL_get_cipher_name(impl_->ssl);
}

std::string TlsClient::group() const {
    const char* name = OBJ_nid2sn(static_cast<int>(SSL_get_negotiated_group(impl_->ssl)));
    return name != nullptr ? name : "";
}

std::string TlsClient::server_serial() const {
    X509* certificate = SSL_get1_peer_certificate(impl_->ssl);
    if (certificate == nullptr) return {};
    BIGNUM* number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr);
    char* hex = BN_bn2hex(number);
    std::string text = hex;
    OPENSSL_free(hex);
    BN_free(number);
    X509_free(certificate);
    return text;
}

}  // namespace quorate::broker::test
