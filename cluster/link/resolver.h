// Host names to numeric addresses, off the link thread: getaddrinfo blocks.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cluster/link/completion.h"

namespace quorate::link {

// All addresses of the names asked for, each with the port it was asked with; numeric addresses
// come back as they are, unknown names give none, repetitions are left out. At most 64 addresses a
// question; DNS that is slow holds up only later questions.
//
// *Thread*: ask() and the reply: the link thread. A thread of its own is started by the first name
// that is not numeric. *Owner*: LinkCore. The destructor waits for a lookup under way.
class Resolver {
  public:
    using Reply = std::function<void(std::vector<std::string>)>;

    explicit Resolver(LoopDoor door);
    ~Resolver();
    Resolver(const Resolver&) = delete;
    Resolver& operator=(const Resolver&) = delete;

    // Replies later, never within the call. More than 1,024 waiting questions are answered with
    // what was numeric.
    void ask(std::vector<std::string> addresses, Reply reply);

  private:
    struct Impl;
    const std::unique_ptr<Impl> impl_;
};

}  // namespace quorate::link
