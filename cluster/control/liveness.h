// Who is alive: what the leader of `meta` does about silent nodes, and what each node may say of
// itself.
//
//   leader: silent for a whole lease ─► IncarnationDown     answers but lags ─► suspended: it hands
//                                                           its leaders over itself
//   node:   Fenced > Minority > Suspended > Serving         the worst that holds
//
// How it is driven: `incarnations_down` by the runner of `meta` while it leads, once a tick, with
// TableGranter::report(); what it answers is proposed, again until it is applied. NodeView by each
// node: `contact` whenever its replica of `meta` hears its leader, or leads and has passed a round
// of check-quorum; `lease` with what its TableHolder says. Suspended is the flag of LedGroupView.
//
// Pure; time is an argument. Thread: one at a time. Errors: none. Spec: R-10 (suspended, down),
// G10, reliability 3.6 (readiness).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "cluster/lease/lease.h"
#include "cluster/lease/table_granter.h"
#include "cluster/meta/meta_state.h"
#include "proto/base/ids.h"

namespace quorate::cluster {

// Only what `meta` still takes for running, and nothing that has started since the report.
[[nodiscard]] std::vector<IncarnationDown> incarnations_down(
    const MetaState& meta, std::span<const TableGranter::Report> reports);

enum class NodeStanding : uint8_t {
    Serving,
    Suspended,  // without a valid lease of both tables: leads nothing, its clients stay
    Minority,   // it hears no leader of `meta`: it refuses honestly
    Fenced,     // its incarnation is down: the process ends
};
[[nodiscard]] const char* to_string(NodeStanding standing);

// What the TableHolder of `meta` or of `wildcards` says, at the moment of the question.
struct TableView {
    bool valid = false;
    bool suspended = false;
    bool fenced = false;
};

class NodeView {
  public:
    using Time = std::chrono::nanoseconds;

    // Minority after `silence_max` without contact: two election timeouts.
    explicit NodeView(Time silence_max) : silence_max_(silence_max) {}

    void contact(Time now) { last_contact_ = now; }
    [[nodiscard]] NodeStanding at(Time now, const TableView& meta,
                                  const TableView& wildcards) const;

  private:
    Time silence_max_;
    std::optional<Time> last_contact_;
};

}  // namespace quorate::cluster
