// Whether the leader of a topic's shard may act as owner, and which publishes it may answer.
//
//   read ─► ActGate (table, both leases) ─► own-term entry applied ─► QoS 0: leader lease, and done
//                                                                  └► QoS ≥ 1: open(token)
//   open ─► a leadership round begun afterwards is confirmed ─┐
//        └► every destination has it: complete(token)        ─┴► answer
//
// A round is shared by all publishes that were read before it began. A deposed owner can finish
// none that begins after the new one was elected, so it answers nothing that may have missed a
// subscriber. refused(stale) by any destination means the same, sooner: nothing is answered any
// more in this term, and the loops come back.
//
// Pure. Thread: the worker of the shard. Owner: the Owner of the shard's topics.
// Errors: open() refuses; the caller refuses the item to the loop's stream.
// Spec: rules R-1; Raft §6.4 (read-only queries).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "cluster/lease/act_gate.h"
#include "proto/base/ids.h"

namespace quorate::cluster {

class OwnerGate {
  public:
    explicit OwnerGate(uint32_t open_max = 1U << 20U) : open_max_(open_max) {}

    // This replica leads; it may act when the first entry of `term` is applied.
    void lead(Term term);
    void first_entry_applied(Term term);
    // Leadership is lost: nothing that is open will be answered.
    void follow();

    // In this order, for each batch that was read: `leases` are checked first, then leadership.
    [[nodiscard]] bool may_act(const ActGate& tables, BootTime meta, BootTime wildcards,
                               BootTime now) const;
    // The same for QoS 0, which waits for no round: only while no other leader can exist.
    [[nodiscard]] bool may_send_qos0(BootTime leader_lease, BootTime now) const {
        return leading_ && ready_ && now < leader_lease;
    }

    // A publish of QoS 1 or 2 was read and accepted. False: may not act now, or too many are open.
    [[nodiscard]] bool open(uint64_t token);
    // Every destination applied it, took it, is down, or dropped it by a limit and counted that.
    void complete(uint64_t token, std::vector<uint64_t>& answers);
    // A destination has heard this shard with a higher term.
    void stale();

    // Publishes wait for a leadership round: begin one (Raft's read-index), and give its id.
    [[nodiscard]] bool wants_round() const;
    void round_begun(uint64_t id);
    void round_confirmed(uint64_t id, std::vector<uint64_t>& answers);
    void round_failed(uint64_t id);

    [[nodiscard]] Term term() const { return term_; }
    [[nodiscard]] std::size_t in_progress() const { return open_.size(); }

  private:
    enum class Confirmation : uint8_t { Wanted, Begun, Done };
    struct Open {
        Confirmation confirmation = Confirmation::Wanted;
        bool complete = false;
    };
    void answer_if_done(std::map<uint64_t, Open>::iterator at, std::vector<uint64_t>& answers);

    uint32_t open_max_;
    Term term_;
    bool leading_ = false;
    bool ready_ = false;
    std::map<uint64_t, Open> open_;
    std::size_t wanted_ = 0;  // of open_, without a round
    std::optional<uint64_t> round_;
};

}  // namespace quorate::cluster
