// A process's lanes to the shard: numbers commands, keeps what is unanswered, looks for whoever
// leads and sends everything again when that changes, or when nobody answers for a while.
//
// *Thread*: one. *Owner*: a front-end or a replica's process; dies with it. *Spec*: R-3.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "cluster/router/lane_client.h"
#include "tests/sim/replicated/stage.h"

namespace quorate::sim::replicated {

class LaneSender {
  public:
    LaneSender(Stage& stage, uint32_t node, Incarnation incarnation);

    // Requires: of a lane of this sender. False when the window is full.
    [[nodiscard]] bool submit(const cluster::Command& command);
    // Sends what was submitted.
    void flush();
    // A replica says that it leads.
    void hear(Term term, uint32_t replica);
    // Asks again, perhaps somebody else, when nothing was heard for too long.
    void poll();
    // The token of what is answered now for the first time.
    [[nodiscard]] std::optional<uint64_t> answered(const cluster::Answer& answer);
    // Sends what is unanswered once more to whoever it knew, and nothing else ever.
    void straggle();

    [[nodiscard]] std::size_t unanswered() const;
    [[nodiscard]] Term heard() const { return heard_; }
    [[nodiscard]] std::optional<uint32_t> leader() const { return leader_; }
    [[nodiscard]] Incarnation incarnation() const { return incarnation_; }
    [[nodiscard]] bool fenced() const { return fenced_; }

  private:
    void resend();

    Stage& stage_;
    const uint32_t node_;
    const Incarnation incarnation_;
    std::map<cluster::LaneClass, cluster::LaneClient> lanes_;
    cluster::CommandParcel parcel_;
    Term heard_;
    std::optional<uint32_t> leader_;
    Micros progress_ = 0;  // when something was heard last
    Micros resent_ = 0;
    uint32_t silences_ = 0;  // in a row
    bool fenced_ = false;
};

}  // namespace quorate::sim::replicated
