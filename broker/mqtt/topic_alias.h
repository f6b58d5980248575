// Topic Aliases of one connection, in both directions. Spec: MQTT 5 §3.3.2.3.4.
//
// *Thread*: the loop's. *Owner*: Channel, which makes them with their first use.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace quorate::broker {

// What the client said its aliases mean. Bounded by the Topic Alias Maximum told in CONNACK, which
// the decoder enforces, and the longest topic it lets through.
class TopicAliasesIn {
  public:
    // Requires: alias > 0.
    void set(uint16_t alias, std::string_view topic);
    // Empty when it has no meaning yet. Valid until the next set().
    [[nodiscard]] std::string_view get(uint16_t alias) const;
    [[nodiscard]] std::size_t heap_bytes() const;

  private:
    std::vector<std::string> topics_;  // of alias i + 1
};

// Which aliases the client was told. A topic gets one when it is sent for the second time within
// the last few topics; when all are taken, the one not used for longest gets the new meaning.
class TopicAliasesOut {
  public:
    struct Choice {
        uint16_t alias = 0;  // 0: send the topic alone
        bool known = false;  // the client knows the meaning: leave the topic out
    };

    // Uses at most min(`maximum`, kMost) aliases. Requires: maximum > 0.
    explicit TopicAliasesOut(uint16_t maximum);

    [[nodiscard]] Choice choose(std::string_view topic);
    // The packet with the last choice was written: the client knows. Not to be called otherwise.
    void sent(const Choice& choice, std::string_view topic);
    [[nodiscard]] std::size_t heap_bytes() const;

    // A search looks at each, so there are no more than this.
    static constexpr uint16_t kMost = 64;

  private:
    struct Entry {
        uint64_t hash = 0;
        uint64_t used = 0;
        std::string topic;
    };
    std::vector<Entry> entries_;  // of alias i + 1
    std::vector<uint64_t> seen_;  // hashes of topics sent plainly, a ring
    uint64_t clock_ = 0;          // counts packets
    uint16_t maximum_;
    uint16_t next_seen_ = 0;
};

}  // namespace quorate::broker
