// Credit for publishes: how much a loop may have unanswered at an owner, in items and bytes.
//
//   CreditPool (the owner's worker)                    CreditPurse (the loop, for that worker)
//     granted - done ≤ bound, over all purses            used ≤ granted, but for one large item
//     grant(): totals that only rise            ───►     granted()
//     done(): the item is answered              ◄───     take(): reserves item, bytes and the place
//     given_back()                              ◄───     give_back(): what is not used
//
// Totals instead of differences: a grant that is lost or repeated does no harm. A link that breaks
// begins both ends anew. Whoever takes credit has by that reserved the place of the answer, so an
// answer can never be refused; a granted item has its place in the owner's lanes reserved the same
// way, because the bound is theirs. Nobody waits: without credit the loop takes no PUBLISH from the
// socket, but acknowledgements and PINGREQ.
//
// Pure. Thread: the pool the worker's, a purse the loop's. Owner: the same.
// Errors: take() refuses; a loop that uses more than it was given is told by `used` false.
// Spec: rules R-9.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

namespace quorate::cluster {

struct CreditAmount {
    uint64_t items = 0;
    uint64_t bytes = 0;
    bool operator==(const CreditAmount&) const = default;
};

class CreditPurse {
  public:
    // Totals since the link began; smaller ones are old.
    void granted(const CreditAmount& total);
    // False: no credit, nothing happened. One item may be larger than the credit when it is alone,
    // but not without any.
    [[nodiscard]] bool take(uint64_t bytes);
    // An answer came for an item of so many bytes. False: nothing of the kind was unanswered.
    bool answered(uint64_t bytes);
    // Returns what is granted and not used, but for `keep`; tell the pool.
    [[nodiscard]] CreditAmount give_back(const CreditAmount& keep);
    void link_broken() { *this = CreditPurse(); }

    [[nodiscard]] uint64_t unanswered() const { return used_.items - answered_.items; }
    [[nodiscard]] uint64_t unanswered_bytes() const { return used_.bytes - answered_.bytes; }
    [[nodiscard]] const CreditAmount& limit() const { return granted_; }

  private:
    CreditAmount granted_;
    CreditAmount used_;
    CreditAmount answered_;
};

class CreditPool {
  public:
    using Link = uint64_t;

    // `bound`: of what all loops together may have unanswered here.
    explicit CreditPool(CreditAmount bound) : bound_(bound) {}

    // A loop's link began; one that breaks and comes back is another one.
    [[nodiscard]] Link join();
    // It broke, or its incarnation is down. What it had unanswered still counts until it is done,
    // so that a link that flaps gets no more than others.
    void leave(Link link);
    // An item came. False: the loop had no credit for it; refuse it.
    [[nodiscard]] bool used(Link link, uint64_t bytes);
    // It was answered.
    void done(Link link, uint64_t bytes);
    void given_back(Link link, const CreditAmount& amount);

    // The totals to tell this loop, when they have risen since the last call. Loops share evenly;
    // what another still holds is not given twice.
    [[nodiscard]] std::optional<CreditAmount> grant(Link link);
    // How much each loop may have. One that holds more was alone before: ask it to give back.
    [[nodiscard]] CreditAmount share() const;
    [[nodiscard]] bool holds_more(Link link) const;
    // Granted and not done, over all links. Never above the bound, but in bytes for one large item
    // of each loop.
    [[nodiscard]] const CreditAmount& outstanding() const { return outstanding_; }

  private:
    struct Loop {
        CreditAmount granted;
        CreditAmount told;
        CreditAmount used;
        CreditAmount done;
        bool left = false;
    };
    void finish(std::map<Link, Loop>::iterator at, const CreditAmount& amount);

    CreditAmount bound_;
    CreditAmount outstanding_;
    Link last_ = 0;
    uint64_t joined_ = 0;
    std::map<Link, Loop> loops_;
};

}  // namespace quorate::cluster
