// Judges the sequence numbers one receiver (or one shared group) gets from one publisher. The
// publisher numbers its messages 0, 1, 2 ...; each must come once, and over one subscription in
// that order.
//
// Thread: one. Errors: none; whatever arrives is a verdict.
// Memory: 48 bytes, and 16 for each gap, at most kGapsMax; in a stream with more gaps the oldest
// one is closed as lost, and what arrives for it afterwards counts as a duplicate: still a finding.
// Spec: MQTT 5 §4.3 (delivery), §4.6 (ordering).
#pragma once

#include <cstdint>
#include <vector>

namespace quorate::bench {

enum class Verdict : std::uint8_t {
    next,       // the one expected, or one after a gap
    late,       // fills a gap: out of order, unless the members of a shared group divide the stream
    duplicate,  // has been there
};

class StreamChecker {
  public:
    static constexpr std::size_t kGapsMax = 4096;

    Verdict accept(std::uint64_t sequence);

    // One more than the highest number seen.
    [[nodiscard]] std::uint64_t next() const { return next_; }
    // How many of the numbers below `owed` have never been seen.
    [[nodiscard]] std::uint64_t missing(std::uint64_t owed) const;

  private:
    struct Gap {
        std::uint64_t begin;
        std::uint64_t end;
    };

    Verdict fill(std::uint64_t sequence);

    std::uint64_t next_ = 0;
    std::uint64_t closed_as_lost_ = 0;
    std::vector<Gap> gaps_;  // rising, all below next_
};

}  // namespace quorate::bench
