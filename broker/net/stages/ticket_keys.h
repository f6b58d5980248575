// The keys of TLS session tickets: a current one that seals, the one before it that still opens.
//
// Whoever learns a key can read what was sent in sessions it sealed (TLS 1.2), so keys do not live
// as long as the process: the broker turns them daily. A ticket lives for two hours, so the key
// before the current one opens every ticket that is still good.
//
// Thread: any. Owner: TlsContext. Errors: without randomness no ticket is given.
// Spec: RFC 5077 §4, RFC 8446 §4.6.1, RFC 9325 §4.3.
#pragma once

#include <array>
#include <mutex>

struct ssl_ctx_st;
struct evp_cipher_ctx_st;
struct evp_mac_ctx_st;

namespace quorate::broker {

class TicketKeys {
  public:
    TicketKeys();
    ~TicketKeys();
    TicketKeys(const TicketKeys&) = delete;
    TicketKeys& operator=(const TicketKeys&) = delete;

    // Has the context ask here for its keys; this object outlives it. False: OpenSSL refuses.
    [[nodiscard]] bool install(ssl_ctx_st* context);
    // A new current key; the one before the last is forgotten.
    void rotate();

    // Of OpenSSL's callback, and for tests: as SSL_CTX_set_tlsext_ticket_key_evp_cb(3).
    [[nodiscard]] int seal(unsigned char* name, unsigned char* iv, evp_cipher_ctx_st* cipher,
                           evp_mac_ctx_st* mac);
    [[nodiscard]] int open(const unsigned char* name, const unsigned char* iv,
                           evp_cipher_ctx_st* cipher, evp_mac_ctx_st* mac);

  private:
    struct Key {
        std::array<unsigned char, 16> name{};
        std::array<unsigned char, 32> cipher{};
        std::array<unsigned char, 32> mac{};
        bool usable = false;
    };
    [[nodiscard]] static Key make();

    std::mutex mutex_;
    Key current_;
    Key previous_;
};

}  // namespace quorate::broker
