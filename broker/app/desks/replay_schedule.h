// Whose page of retained messages is asked for next: clients take turns page by page, each has one
// replay and one page of it under way at a time, and a client without room waits aside.
//
// Pure. Thread: the loop's. Owner: the RetainedDesk. Errors: none. Bounded: a client waits with at
// most one replay of a filter, so with no more than it has subscriptions; a SUBSCRIBE of the same
// filter before the first page was asked for takes the earlier one's place.
// Spec: MQTT 5 §3.3.1.3, §3.8.4.
#pragma once

#include <compare>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "broker/mqtt/host.h"
#include "cluster/router/traffic.h"

namespace quorate::broker {

class ReplaySchedule {
  public:
    struct Who {
        uint32_t slot = 0;
        uint32_t generation = 0;
        auto operator<=>(const Who&) const = default;
    };
    struct Replay {
        SubscribeEntry entry;
        uint32_t subscription_id = 0;
        cluster::ReplayId id;                       // of a durable session,
        cluster::RetainedCursor noted;              // and how far its shard knows it to be
        std::vector<cluster::RetainedCursor> todo;  // where to begin on the workers still to ask
        bool whole_worker = false;
        bool begun = false;
    };
    // What comes after a page.
    enum class Then : uint8_t {
        GoOn,  // when it is the client's turn again
        Wait,  // for wake()
        Done,  // with this replay
    };

    void add(Who who, Replay&& replay);
    // The subscription ended: a page of it that is under way is nobody's.
    void cancel(Who who, std::string_view filter);
    // The client's end.
    void drop(Who who);

    // The client whose turn it is while fewer than `pages_max` pages are under way. Must be
    // followed by ask(), wait() or drop().
    [[nodiscard]] std::optional<Who> next(uint32_t pages_max);
    // The client's replay under way, or the one it begins with; null: it has none.
    [[nodiscard]] Replay* front(Who who);
    // Its page is asked for under `token`.
    void ask(Who who, uint64_t token);
    void wait(Who who);
    // Pages under way, with their replays; those that are nobody's any more are forgotten.
    struct Page {
        uint64_t token = 0;
        Who who;
        const Replay* replay = nullptr;
    };
    [[nodiscard]] std::vector<Page> under_way();
    // The page will not come: its replay goes on where it was when it is the client's turn again.
    void lost(uint64_t token);
    // The page has come. Null: cancelled or dropped meanwhile. Otherwise settle() must follow.
    [[nodiscard]] Replay* arrived(uint64_t token, Who& who);
    void settle(Who who, Then then);
    // There may be room again.
    void wake(Who who);

    [[nodiscard]] std::vector<Who> waiting() const { return {waiting_.begin(), waiting_.end()}; }
    [[nodiscard]] bool busy(uint32_t pages_max) const { return pages_.size() >= pages_max; }
    [[nodiscard]] std::size_t replays() const;

  private:
    struct Client {
        std::deque<Replay> replays;  // the first is under way
        uint64_t token = 0;          // of the page that is asked for; 0: none
        bool cancelled = false;      // the first, while its page is under way
        uint64_t place = 0;          // in ready_; 0: not there
    };

    void list(Who who, Client& client);
    void pop(Who who, Client& client);

    std::map<Who, Client> clients_;
    std::map<uint64_t, Who> ready_;  // by when their turns come
    uint64_t next_place_ = 1;
    std::set<Who> waiting_;
    std::map<uint64_t, Who> pages_;
};

}  // namespace quorate::broker
