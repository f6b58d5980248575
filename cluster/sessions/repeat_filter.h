// The listener's side of the outbox: drops hand-overs it has taken before.
//
// A driver sends number n with H and the numbers up to H that are unfinished. A listener has taken
// n before when n is done (n <= H and not listed) or in its seen set, which it prunes by (H, list),
// so that the set stays within the driver's window. The highest (H, list) heard is kept: a late
// repeat with an older H cannot bring back a number that was pruned, and one that is still
// unfinished is not taken for done. A shard keeps its filters in replicated state; a node keeps
// them in memory. A loop's publishes of QoS 2 are filtered in the same way, with nothing unfinished
// up to H: every number up to it is settled.
//
// Thread: its owner's. Owner: ShardState, or the node's delivery.
// Errors: Refused when a stream claims more open numbers than any driver may have.
// Spec: rules R-5.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string_view>
#include <vector>

#include "cluster/sessions/outbox_source.h"
#include "proto/base/result.h"

namespace quorate::storage {
class StateBatch;
class StateStore;
}  // namespace quorate::storage

namespace quorate::cluster {

enum class RepeatVerdict : uint8_t { First, Repeat, Refused };

class RepeatFilters {
  public:
    static constexpr std::size_t kSeenMax = 65'536;  // per stream; far above any window
    static constexpr std::size_t kStreamsMax = 65'536;

    // Marks the number as taken when it is the first time.
    [[nodiscard]] RepeatVerdict take(const OutboxSource& source);
    // Whether take() would answer Repeat.
    [[nodiscard]] bool taken(const OutboxSource& source) const;
    // Forgets streams to an incarnation that is down, and earlier ones of its node.
    void forget_node(Incarnation node);
    // The same of its loops' publishes; `batch` is null for filters in memory. From then on none of
    // them may be taken, or one that comes twice would be taken twice.
    void forget_publishers(Incarnation node, storage::StateBatch* batch);
    // Incarnations whose loops' publishes are remembered, ascending.
    [[nodiscard]] std::vector<Incarnation> publishers() const;

    // Writes what changed since the last call. Only shards need it.
    void end_entry(storage::StateBatch& batch);
    [[nodiscard]] Status load(const storage::StateStore& store);
    [[nodiscard]] Status load_record(std::string_view key, std::string_view value);

    [[nodiscard]] std::size_t size() const { return streams_.size(); }
    [[nodiscard]] std::size_t seen(const OutboxStream& stream) const;
    [[nodiscard]] uint64_t digest() const;

  private:
    struct Stream {
        OutboxNumber high;            // the highest H heard
        std::set<OutboxNumber> open;  // unfinished up to `high`
        std::set<OutboxNumber> seen;  // taken, and not known to be done
        bool dirty = false;

        void learn(const OutboxSource& source);
        [[nodiscard]] bool taken(OutboxNumber n) const {
            return (n <= high && !open.contains(n)) || seen.contains(n);
        }
    };
    static std::string key_of(const OutboxStream& stream);

    std::map<OutboxStream, Stream> streams_;
    std::vector<OutboxStream> dirty_;
};

}  // namespace quorate::cluster
