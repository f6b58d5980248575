#include "broker/net/stages/tls_stream.h"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "proto/base/assert.h"

namespace quorate::broker {

// OpenSSL takes received bytes from where the socket put them and appends its records to the output
// chunks: a memory BIO of its own would keep a buffer for each direction and copy once more.
struct TlsStream::Wire {
    ByteView in;
    OutputBuffer* out = nullptr;  // set during a call

    static Wire& of(BIO* bio) { return *static_cast<Wire*>(BIO_get_data(bio)); }

    static int read(BIO* bio, char* into, int size) noexcept {
        Wire& wire = of(bio);
        BIO_clear_retry_flags(bio);
        if (size <= 0) return 0;
        if (wire.in.empty()) {
            BIO_set_retry_read(bio);
            return -1;
        }
        std::size_t take = std::min(wire.in.size(), static_cast<std::size_t>(size));
        std::memcpy(into, wire.in.data(), take);
        wire.in = wire.in.subspan(take);
        return static_cast<int>(take);
    }
    static int write(BIO* bio, const char* from, int size) noexcept {
        if (size <= 0) return 0;
        Wire& wire = of(bio);
        ASSERT(wire.out != nullptr, "OpenSSL writes outside of a call");
        wire.out->append(as_bytes({from, static_cast<std::size_t>(size)}));
        return size;
    }
    static long control(BIO*, int command, long, void*) noexcept {
        return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP ? 1 : 0;
    }
    static int create(BIO* bio) noexcept {
        BIO_set_init(bio, 1);
        return 1;
    }
};

namespace {

// Empty when the text has a zero in it: "admin\0.example.org" must not pass for "admin".
std::string text_of(const ASN1_STRING* value) {
    unsigned char* utf8 = nullptr;
    int size = ASN1_STRING_to_UTF8(&utf8, value);
    if (size < 0) return {};
    std::string text(reinterpret_cast<const char*>(utf8), static_cast<std::size_t>(size));
    OPENSSL_free(utf8);
    return text.find('\0') == std::string::npos ? text : std::string();
}

// Empty when there is none, or several: which one counts would be anybody's guess.
std::string common_name_of(const X509_NAME* subject) {
    int first = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (first < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, first) >= 0) return {};
    return text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, first)));
}

std::string subject_of(const X509_NAME* subject) {
    BIO* bio = BIO_new(BIO_s_mem());
    if (bio == nullptr) return {};
    X509_NAME_print_ex(bio, subject, 0, XN_FLAG_RFC2253);
    char* data = nullptr;
    long size = BIO_get_mem_data(bio, &data);
    std::string text(data, size > 0 ? static_cast<std::size_t>(size) : 0);
    BIO_free(bio);
    return text;
}

std::string fingerprint_of(const X509* certificate) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (X509_digest(certificate, EVP_sha256(), digest, &size) != 1) return {};
    std::string text;
    for (unsigned i = 0; i < size; ++i)
        text += fmt::format("{:02x}", digest[i]);
    return text;
}

void add_alternative_names(const X509* certificate, TlsPeer& peer) {
    auto* names = static_cast<GENERAL_NAMES*>(
        X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
    for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names); ++i) {
        const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
        std::vector<std::string>* into = nullptr;
        if (name->type == GEN_DNS) into = &peer.dns_names;
        if (name->type == GEN_URI) into = &peer.uris;
        if (name->type == GEN_EMAIL) into = &peer.emails;
        if (into == nullptr) continue;
        std::string text = text_of(name->d.ia5);
        if (!text.empty()) into->push_back(std::move(text));
    }
    GENERAL_NAMES_free(names);
}

std::unique_ptr<TlsPeer> describe(SSL* ssl) {
    auto peer = std::make_unique<TlsPeer>();
    peer->protocol = SSL_get_version(ssl);
    peer->cipher = SSL_get_cipher_name(ssl);
    if (const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name))
        peer->server_name = name;
    X509* certificate = SSL_get1_peer_certificate(ssl);
    if (certificate == nullptr) return peer;
    peer->verified = SSL_get_verify_result(ssl) == X509_V_OK;
    const X509_NAME* subject = X509_get_subject_name(certificate);
    peer->common_name = common_name_of(subject);
    peer->subject = subject_of(subject);
    peer->fingerprint_sha256 = fingerprint_of(certificate);
    add_alternative_names(certificate, *peer);
    X509_free(certificate);
    return peer;
}

}  // namespace

bio_method_st* TlsStream::make_bio_method() {
    BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "quorate");
    if (method == nullptr) return nullptr;
    BIO_meth_set_read(method, Wire::read);
    BIO_meth_set_write(method, Wire::write);
    BIO_meth_set_ctrl(method, Wire::control);
    BIO_meth_set_create(method, Wire::create);
    return method;
}

TlsStream::TlsStream(std::shared_ptr<const TlsContext> context)
    : context_(std::move(context)), wire_(std::make_unique<Wire>()) {
    ssl_ = SSL_new(context_->get());
    BIO* bio = BIO_new(context_->bio_method());
    ASSERT(ssl_ != nullptr && bio != nullptr, "out of memory");
    BIO_set_data(bio, wire_.get());
    SSL_set_bio(ssl_, bio, bio);
    SSL_set_accept_state(ssl_);
}

TlsStream::~TlsStream() {
    SSL_free(ssl_);
}

void TlsStream::feed(ByteView wire) {
    wire_->in = wire;
}

std::size_t TlsStream::read(std::span<std::byte> into, OutputBuffer& out) {
    wire_->out = &out;
    if (state_ == State::Handshake) handshake();
    std::size_t filled = 0;
    while (state_ == State::Open && filled < into.size()) {
        std::size_t got = 0;
        ERR_clear_error();
        int result = SSL_read_ex(ssl_, into.data() + filled, into.size() - filled, &got);
        if (result == 1) {
            filled += got;
            continue;
        }
        int error = SSL_get_error(ssl_, result);
        if (error == SSL_ERROR_WANT_READ) break;
        if (error == SSL_ERROR_ZERO_RETURN) {
            state_ = State::Ended;
        } else {
            fail();
        }
    }
    wire_->out = nullptr;
    return filled;
}

void TlsStream::handshake() {
    ERR_clear_error();
    int result = SSL_do_handshake(ssl_);
    if (result == 1) {
        peer_ = describe(ssl_);
        state_ = State::Open;
        return;
    }
    if (SSL_get_error(ssl_, result) != SSL_ERROR_WANT_READ) fail();
}

void TlsStream::write(ByteView plain, OutputBuffer& out) {
    if (state_ != State::Open || plain.empty()) return;
    wire_->out = &out;
    ERR_clear_error();
    std::size_t written = 0;
    // Our BIO takes everything, so a write is whole or a failure.
    if (SSL_write_ex(ssl_, plain.data(), plain.size(), &written) != 1 || written != plain.size())
        fail();
    wire_->out = nullptr;
}

void TlsStream::close(OutputBuffer& out) {
    if (state_ != State::Open && state_ != State::Ended) return;
    wire_->out = &out;
    ERR_clear_error();
    SSL_shutdown(ssl_);
    ERR_clear_error();
    wire_->out = nullptr;
}

void TlsStream::fail() {
    const char* when = state_ == State::Handshake ? "handshake" : "connection";
    unsigned long code = ERR_peek_error();
    const char* reason = ERR_reason_error_string(code);
    error_ = fmt::format("TLS {} failed: {}", when, reason != nullptr ? reason : "protocol error");
    long verify = SSL_get_verify_result(ssl_);
    if (verify != X509_V_OK)
        error_ += fmt::format(" (client certificate: {})", X509_verify_cert_error_string(verify));
    ERR_clear_error();
    state_ = State::Failed;
}

}  // namespace quorate::broker
