// Who may speak to a group, and what comes next from each: lanes, incarnations that are down, and
// the highest term heard from each source shard. All of it is replicated.
//
// Thread: the group's worker. Owner: ShardState or WildcardState.
// Errors: check() says what to do with a command; load answers Corrupt with the key.
// Spec: rules R-0 (Fence), R-3 (Lanes).
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string_view>
#include <vector>

#include "cluster/shard/command.h"
#include "proto/base/ids.h"
#include "proto/base/result.h"

namespace quorate::storage {
class StateBatch;
class StateStore;
}  // namespace quorate::storage

namespace quorate::cluster {

enum class LaneVerdict : uint8_t {
    Apply,
    Duplicate,    // applied before: answer from state
    Gap,          // refuse, not counted
    Fenced,       // the incarnation is down: refuse, not counted
    StaleSource,  // an older term of its source: refuse, number consumed; also of a repeat
};

class Producers {
  public:
    // Counts the number when the verdict is Apply or StaleSource.
    [[nodiscard]] LaneVerdict check(const CommandHeader& header);
    [[nodiscard]] CommandNumber expected(const Lane& lane) const;

    // A limit refused the command that check() has just counted: whoever sends it again, because
    // the answer was lost, must not take its number for success.
    void note_refused(const CommandHeader& header);
    // Of a Duplicate: whether it was refused. A lane's last kRefusedMax refusals are remembered;
    // what is as old as one before them, and can hardly be unanswered still, passes for refused.
    [[nodiscard]] bool was_refused(const CommandHeader& header) const;
    static constexpr std::size_t kRefusedMax = 64;

    // This incarnation and all earlier ones of its node may not speak any more; their lanes go.
    // Never falls.
    void node_down(Incarnation incarnation, storage::StateBatch& batch);
    [[nodiscard]] bool down(Incarnation incarnation) const;
    // Those that have a lane, ascending.
    [[nodiscard]] std::vector<Incarnation> incarnations() const;

    void end_entry(storage::StateBatch& batch);
    [[nodiscard]] Status load(const storage::StateStore& store);
    [[nodiscard]] Status load_record(std::string_view key, std::string_view value);

    [[nodiscard]] std::size_t lanes() const { return lanes_.size(); }
    [[nodiscard]] uint64_t digest() const;

  private:
    struct Counted {
        CommandNumber last;
        CommandNumber forgotten;             // refusals up to here are not remembered
        std::vector<CommandNumber> refused;  // ascending
    };
    [[nodiscard]] LaneVerdict repeated(const CommandHeader& header) const;
    static void put(storage::StateBatch& batch, const Lane& lane, const Counted& counted);
    [[nodiscard]] static bool read(RecordReader& in, Counted& counted);

    std::map<Lane, Counted> lanes_;
    std::map<NodeId, Incarnation> first_up_;
    std::map<ShardId, Term> heard_;
    std::set<Lane> dirty_lanes_;
    std::set<ShardId> dirty_heard_;
};

}  // namespace quorate::cluster
