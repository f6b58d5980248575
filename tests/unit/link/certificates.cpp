#include "tests/unit/link/certificates.h"

#include <cstdio>

#include <stdlib.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "proto/base/assert.h"

namespace quorate::link {

namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

Key make_key() {
    return {EVP_EC_gen("P-256"), &EVP_PKEY_free};
}

void add_extension(X509* certificate, X509* issuer, int kind, const char* value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value);
    ASSERT(extension != nullptr, "an extension OpenSSL knows");
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

Certificate make_certificate(const std::string& name, EVP_PKEY* key, int64_t from, int64_t to) {
    Certificate out(X509_new(), &X509_free);
    X509_set_version(out.get(), X509_VERSION_3);
    uint32_t serial = 0;
    RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof(serial));
    ASN1_INTEGER_set(X509_get_serialNumber(out.get()), static_cast<long>(serial >> 2U));
    X509_gmtime_adj(X509_getm_notBefore(out.get()), static_cast<long>(from));
    X509_gmtime_adj(X509_getm_notAfter(out.get()), static_cast<long>(to));
    X509_set_pubkey(out.get(), key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(out.get()), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    return out;
}

template <typename Write>
void write_file(const std::string& path, const Write& write) {
    // Renamed into place: whoever watches never reads half a file.
    const std::string fresh = path + ".new";
    std::FILE* file = std::fopen(fresh.c_str(), "w");
    ASSERT(file != nullptr, "the directory can be written to");
    write(file);
    std::fclose(file);
    std::filesystem::rename(fresh, path);
}

}  // namespace

struct TestAuthority::Impl {
    std::string directory{};
    Key key = make_key();
    Certificate certificate{nullptr, &X509_free};
};

TestAuthority::TestAuthority() : impl_(std::make_unique<Impl>()) {
    std::string path = (std::filesystem::temp_directory_path() / "quorate-link-XXXXXX").string();
    ASSERT(::mkdtemp(path.data()) != nullptr, "a temporary directory can be made");
    impl_->directory = path;
    impl_->certificate = make_certificate("test authority", impl_->key.get(), -7200, 7200);
    X509* own = impl_->certificate.get();
    X509_set_issuer_name(own, X509_get_subject_name(own));
    add_extension(own, own, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(own, own, NID_subject_key_identifier, "hash");
    X509_sign(own, impl_->key.get(), EVP_sha256());
    write_file(path + "/ca.pem", [&](std::FILE* file) { PEM_write_X509(file, own); });
}

TestAuthority::~TestAuthority() {
    std::error_code error;
    std::filesystem::remove_all(impl_->directory, error);
}

LinkTlsFiles TestAuthority::issue(const std::string& name, const Request& request) const {
    const Key key = make_key();
    const Certificate leaf =
        make_certificate(name, key.get(), request.valid_from_seconds, request.valid_to_seconds);
    X509* issuer = impl_->certificate.get();
    X509_set_issuer_name(leaf.get(), X509_get_subject_name(issuer));
    add_extension(leaf.get(), issuer, NID_authority_key_identifier, "keyid");
    if (!request.uri.empty()) {
        const std::string value = "URI:" + request.uri;
        add_extension(leaf.get(), issuer, NID_subject_alt_name, value.c_str());
    }
    X509_sign(leaf.get(), impl_->key.get(), EVP_sha256());
    const std::string base = impl_->directory + "/" + name;
    write_file(base + ".key", [&](std::FILE* file) {
        PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
    write_file(base + ".pem", [&](std::FILE* file) { PEM_write_X509(file, leaf.get()); });
    return {base + ".pem", base + ".key", impl_->directory + "/ca.pem"};
}

}  // namespace quorate::link
