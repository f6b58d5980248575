#include "broker/net/stages/ticket_keys.h"

#include <algorithm>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

namespace quorate::broker {

namespace {

// Of the callback (SSL_CTX_set_tlsext_ticket_key_evp_cb(3)).
constexpr int kFailed = -1;
constexpr int kUnknownKey = 0;
constexpr int kDone = 1;
constexpr int kRenew = 2;  // opened by an old key: give the client a new ticket

int slot_of_keys() {
    static const int index =
        SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);  // of this program
    return index;
}

int on_ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
              EVP_MAC_CTX* mac, int seal) {
    auto* keys =
        static_cast<TicketKeys*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), slot_of_keys()));
    if (keys == nullptr) return kFailed;
    return seal != 0 ? keys->seal(name, iv, cipher, mac) : keys->open(name, iv, cipher, mac);
}

template <std::size_t N>
bool begin_mac(EVP_MAC_CTX* mac, const std::array<unsigned char, N>& key) {
    std::array<unsigned char, N> bytes = key;
    char digest[] = "SHA256";
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, bytes.data(), bytes.size()),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end()};
    const bool done = EVP_MAC_CTX_set_params(mac, parameters) == 1;
    OPENSSL_cleanse(bytes.data(), bytes.size());
    return done;
}

}  // namespace

TicketKeys::TicketKeys() : current_(make()) {}

TicketKeys::~TicketKeys() {
    OPENSSL_cleanse(&current_, sizeof(current_));
    OPENSSL_cleanse(&previous_, sizeof(previous_));
}

TicketKeys::Key TicketKeys::make() {
    Key key;
    key.usable = RAND_bytes(key.name.data(), static_cast<int>(key.name.size())) == 1 &&
                 RAND_priv_bytes(key.cipher.data(), static_cast<int>(key.cipher.size())) == 1 &&
                 RAND_priv_bytes(key.mac.data(), static_cast<int>(key.mac.size())) == 1;
    return key;
}

bool TicketKeys::install(ssl_ctx_st* context) {
    return SSL_CTX_set_ex_data(context, slot_of_keys(), this) == 1 &&
           SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket) == 1;
}

void TicketKeys::rotate() {
    Key fresh = make();
    const std::lock_guard lock(mutex_);
    previous_ = current_;
    current_ = fresh;
    OPENSSL_cleanse(&fresh, sizeof(fresh));
}

int TicketKeys::seal(unsigned char* name, unsigned char* iv, evp_cipher_ctx_st* cipher,
                     evp_mac_ctx_st* mac) {
    const std::lock_guard lock(mutex_);
    const EVP_CIPHER* const kind = EVP_aes_256_cbc();
    if (!current_.usable || RAND_bytes(iv, EVP_CIPHER_get_iv_length(kind)) != 1) return kFailed;
    std::copy(current_.name.begin(), current_.name.end(), name);
    const bool ready = EVP_EncryptInit_ex(cipher, kind, nullptr, current_.cipher.data(), iv) == 1 &&
                       begin_mac(mac, current_.mac);
    return ready ? kDone : kFailed;
}

int TicketKeys::open(const unsigned char* name, const unsigned char* iv, evp_cipher_ctx_st* cipher,
                     evp_mac_ctx_st* mac) {
    const std::lock_guard lock(mutex_);
    for (const Key* key : {&current_, &previous_}) {
        if (!key->usable || !std::equal(key->name.begin(), key->name.end(), name)) continue;
        const bool ready =
            EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key->cipher.data(), iv) == 1 &&
            begin_mac(mac, key->mac);
        if (!ready) return kFailed;
        return key == &current_ ? kDone : kRenew;
    }
    return kUnknownKey;
}

}  // namespace quorate::broker
