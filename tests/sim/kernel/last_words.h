// What a simulation says when an assertion of the product ends its process: the line that repeats
// the run, with the step it was at.
//
// *Thread*: one. *Owner*: a campaign, one at a time in a process. *Errors*: none.
#pragma once

#include <cstdint>
#include <string_view>

namespace quorate::sim {

class LastWords {
  public:
    LastWords();
    ~LastWords();
    LastWords(const LastWords&) = delete;
    LastWords& operator=(const LastWords&) = delete;

    // "commit 0a1b2c3, layer s2, seed 7, seconds 60": what comes before the step.
    void begin(std::string_view run);
};

// Of the run that goes on.
void set_step(uint64_t step);

}  // namespace quorate::sim
