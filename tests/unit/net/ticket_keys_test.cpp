#include "broker/net/stages/ticket_keys.h"

#include <memory>
#include <string>

#include <openssl/evp.h>

#include "tests/unit/catch.h"

namespace quorate::broker {
namespace {

// What OpenSSL does around the callback, by hand.
struct Ticket {
    unsigned char name[16]{};
    unsigned char iv[EVP_MAX_IV_LENGTH]{};
    std::string sealed;
};

struct Contexts {
    Contexts() : mac_kind(EVP_MAC_fetch(nullptr, "HMAC", nullptr)) {
        cipher = EVP_CIPHER_CTX_new();
        mac = EVP_MAC_CTX_new(mac_kind);
    }
    ~Contexts() {
        EVP_CIPHER_CTX_free(cipher);
        EVP_MAC_CTX_free(mac);
        EVP_MAC_free(mac_kind);
    }
    std::string run(std::string_view text) const {
        std::string out(text.size() + 64, '\0');
        auto* bytes = reinterpret_cast<unsigned char*>(out.data());
        int size = 0;
        int rest = 0;
        REQUIRE(EVP_CipherUpdate(cipher, bytes, &size,
                                 reinterpret_cast<const unsigned char*>(text.data()),
                                 static_cast<int>(text.size())) == 1);
        REQUIRE(EVP_CipherFinal_ex(cipher, bytes + size, &rest) == 1);
        out.resize(static_cast<std::size_t>(size + rest));
        return out;
    }
    EVP_MAC* mac_kind;
    EVP_CIPHER_CTX* cipher = nullptr;
    EVP_MAC_CTX* mac = nullptr;
};

Ticket seal(TicketKeys& keys, std::string_view text) {
    const Contexts contexts;
    Ticket ticket;
    REQUIRE(keys.seal(ticket.name, ticket.iv, contexts.cipher, contexts.mac) == 1);
    ticket.sealed = contexts.run(text);
    return ticket;
}

int open(TicketKeys& keys, const Ticket& ticket, std::string& text) {
    const Contexts contexts;
    const int result = keys.open(ticket.name, ticket.iv, contexts.cipher, contexts.mac);
    if (result > 0) text = contexts.run(ticket.sealed);
    return result;
}

TEST_CASE("A ticket is opened with the key that sealed it") {
    TicketKeys keys;
    const Ticket ticket = seal(keys, "a session");
    CHECK(ticket.sealed.find("session") == std::string::npos);
    std::string text;
    CHECK(open(keys, ticket, text) == 1);
    CHECK(text == "a session");
}

TEST_CASE("After a rotation the last tickets are good and renewed, after another one not") {
    TicketKeys keys;
    const Ticket ticket = seal(keys, "a session");
    keys.rotate();
    std::string text;
    CHECK(open(keys, ticket, text) == 2);
    CHECK(text == "a session");
    const Ticket fresh = seal(keys, "another");
    CHECK(std::string(fresh.name, fresh.name + 16) != std::string(ticket.name, ticket.name + 16));
    keys.rotate();
    CHECK(open(keys, ticket, text) == 0);
    CHECK(open(keys, fresh, text) == 2);
}

TEST_CASE("Keys of another listener, and names made up, open nothing") {
    TicketKeys keys;
    TicketKeys others;
    std::string text;
    CHECK(open(others, seal(keys, "a session"), text) == 0);
    CHECK(open(keys, Ticket{}, text) == 0);
}

}  // namespace
}  // namespace quorate::broker
