// The outcome of a run and how it is printed: a table for people, or one JSON object with stable
// names.
//
// Thread: one.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "bench/load/measure/histogram.h"
#include "bench/load/options.h"

namespace quorate::bench {

// What the broker did that it should not have, over the whole run with warm-up and draining.
struct Findings {
    std::uint64_t lost = 0;             // owed to a receiver and never there
    std::uint64_t duplicated = 0;       // there more than once
    std::uint64_t reordered = 0;        // after a later message of the same publisher and topic
    std::uint64_t corrupted = 0;        // checksum, size or run wrong
    std::uint64_t misrouted = 0;        // wrong topic, receiver, QoS or RETAIN; or never sent
    std::uint64_t refused = 0;          // answered with a Reason Code of 0x80 or above
    std::uint64_t unacknowledged = 0;   // QoS 1 and 2, connection still up, no acknowledgement
    std::uint64_t disconnected = 0;     // connections the broker ended
    std::uint64_t protocol_errors = 0;  // malformed or unexpected packets
    std::vector<std::string> notes;     // the first few, in words

    static constexpr std::size_t kNotesMax = 10;
    void note(std::string text);
    void merge(const Findings& other);
    // `loss_allowed` leaves `lost` out.
    [[nodiscard]] bool any(bool loss_allowed) const;
};

struct Result {
    // Over the measured time.
    double measured_s = 0;
    std::uint64_t sent = 0;
    std::uint64_t delivered = 0;
    std::uint64_t acknowledged = 0;
    Histogram end_to_end;
    Histogram ack;
    // With --pid.
    double broker_cpu_us = 0;
    std::uint64_t broker_rss_before = 0;
    std::uint64_t broker_rss_after = 0;
    double own_cpu_us = 0;
    std::uint64_t stalls = 0;  // windows given up after half a second without a receipt
    std::uint64_t skipped =
        0;  // messages of --rate that were due and could not be sent for a second
    // What only one mode has, as name and value.
    std::vector<std::pair<std::string, double>> extra;
    Findings findings;
    std::string failure;  // not empty: the run ended early
};

// Prints to stdout (notes and failures to stderr in text form) and returns the exit code.
int print_result(const Options& options, const Result& result);

}  // namespace quorate::bench
