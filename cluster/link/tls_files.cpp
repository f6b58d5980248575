#include "cluster/link/tls_files.h"

#include <memory>
#include <string>
#include <vector>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "cluster/link/wire/handshake.h"

namespace quorate::link {

namespace {

Error wrong(const std::string& file, const std::string& what) {
    std::string text = "links: " + file + ": " + what;
    if (const unsigned long code = ERR_peek_last_error(); code != 0) {
        const char* reason = ERR_reason_error_string(code);
        if (reason != nullptr) text += std::string(" (") + reason + ")";
    }
    ERR_clear_error();
    return {ErrorCode::InvalidArgument, std::move(text)};
}

std::vector<std::string> uris_of(const X509* certificate) {
    std::vector<std::string> out;
    const std::unique_ptr<GENERAL_NAMES, decltype(&GENERAL_NAMES_free)> names(
        static_cast<GENERAL_NAMES*>(
            X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)),
        &GENERAL_NAMES_free);
    if (names == nullptr) return out;
    for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
        const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
        if (name->type != GEN_URI) continue;
        const ASN1_IA5STRING* uri = name->d.uniformResourceIdentifier;
        out.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)),
                         static_cast<std::size_t>(ASN1_STRING_length(uri)));
    }
    return out;
}

}  // namespace

Status check_tls_files(const LinkTlsFiles& files, const Self& self) {
    ERR_clear_error();
    const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_method()),
                                                                    &SSL_CTX_free);
    if (context == nullptr) return wrong(files.cert, "OpenSSL has no TLS");
    SSL_CTX* tls = context.get();
    if (SSL_CTX_use_certificate_chain_file(tls, files.cert.c_str()) != 1) {
        return wrong(files.cert, "expected certificates in PEM");
    }
    if (SSL_CTX_use_PrivateKey_file(tls, files.key.c_str(), SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(tls) != 1) {
        return wrong(files.key, "expected the key of " + files.cert + " in PEM");
    }
    if (SSL_CTX_load_verify_locations(tls, files.ca.c_str(), nullptr) != 1) {
        return wrong(files.ca, "expected the authority's certificates in PEM");
    }
    const X509* certificate = SSL_CTX_get0_certificate(tls);
    if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0) {
        return wrong(files.cert, "the certificate has expired");
    }
    const std::vector<std::string> uris = uris_of(certificate);
    // The own name is not known here; of a number it must be the right one.
    const bool by_number = certifies(uris, self.cluster_id, self.node, "");
    bool by_name = false;
    for (const std::string& uri : uris)
        by_name = by_name || uri.find("/name/") != std::string::npos;
    if (!by_number && !(by_name && certifies(uris, self.cluster_id, NodeId(), ""))) {
        return wrong(files.cert,
                     "expected a subject alternative name of type URI for this node, such as "
                     "quorate:///name/NODE_NAME");
    }
    return {};
}

}  // namespace quorate::link
