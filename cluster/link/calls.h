// Questions and answers: one gRPC call each, over a connection of its own, because they are rare
// and go to addresses that need not be members.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cluster/link/completion.h"
#include "cluster/link/link.h"

namespace quorate::link {

class LinkCore;

// One question of this node. *Thread*: the link thread. *Owner*: Calls, until done().
class Asking final : public Completion {
  public:
    using Reply = std::function<void(Result<std::string>)>;

    Asking(LinkCore& core, std::string address, Question question, std::string bytes, Reply reply);
    ~Asking() override;

    void start();
    void cancel();
    [[nodiscard]] bool done() const { return done_; }
    void on_completion(uint8_t kind, bool ok) noexcept override;

  private:
    struct Wire;
    [[nodiscard]] Result<std::string> judge();
    LinkCore& core_;
    const std::string address_;  // numeric
    const std::unique_ptr<Wire> wire_;
    Reply reply_;
    bool done_ = false;
    Operation finish_;
};

// One question of another node. *Thread*: the link thread. *Owner*: Calls, until done().
class Answering final : public Completion {
  public:
    Answering(LinkCore& core, uint64_t number);
    ~Answering() override;

    void offer();
    // Gives the handler's answer; later ones do nothing.
    void answer(Result<std::string> result);
    [[nodiscard]] uint64_t number() const { return number_; }
    [[nodiscard]] bool waits() const { return arrival_.open(); }
    [[nodiscard]] bool done() const { return done_; }
    void on_completion(uint8_t kind, bool ok) noexcept override;

  private:
    struct Wire;
    void on_arrived();
    LinkCore& core_;
    const uint64_t number_;
    const std::unique_ptr<Wire> wire_;
    bool answered_ = false;
    bool done_ = false;
    Operation arrival_;
    Operation finish_;
};

// *Thread*: the link thread. *Owner*: LinkCore.
class Calls {
  public:
    explicit Calls(LinkCore& core) : core_(core) {}

    // `address` is numeric.
    void ask(std::string address, Question question, std::string bytes, Asking::Reply reply);
    void offer_next();
    void answer(uint64_t number, Result<std::string> result);
    // Of other nodes: those that have arrived and are not answered.
    [[nodiscard]] std::size_t answering() const;
    void stop();
    // Destroys what is done.
    void reap();
    [[nodiscard]] bool empty() const { return asking_.empty() && answering_.empty(); }

  private:
    LinkCore& core_;
    uint64_t last_number_ = 0;
    std::vector<std::unique_ptr<Asking>> asking_;
    std::vector<std::unique_ptr<Answering>> answering_;
};

}  // namespace quorate::link
