// Stands between a group and its state machine and compares every step with what was before, in any
// life of the process.
//
// *Thread*: the simulation's. *Owner*: it makes one per group and life; the History lives on.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "cluster/group/state_machine.h"
#include "tests/sim/disk_simulation.h"

namespace quorate::sim {

// What was applied, for ever: survives every crash.
struct History {
    struct Entry {
        EntryId id;
        ClusterTime time;
        std::vector<std::string> commands;
    };
    std::map<uint64_t, uint64_t> digests;  // index: state after it
    std::map<uint64_t, Entry> entries;     // by index
    uint64_t acknowledged = 0;
};

class Observer final : public cluster::StateMachine {
  public:
    Observer(Subject& subject, History& history, std::string& violation, bool observe)
        : subject_(subject), history_(history), violation_(violation), observe_(observe) {}

    [[nodiscard]] Status load(storage::StateStore& store, LogIndex applied,
                              ClusterTime time) override {
        const Status loaded = subject_.machine().load(store, applied, time);
        if (loaded) compare(applied.value(), "R4: a state was loaded that never was");
        return loaded;
    }
    [[nodiscard]] Status apply(const cluster::CommandEntry& entry,
                               storage::StateBatch& batch) override {
        remember(entry);
        const Status applied = subject_.machine().apply(entry, batch);
        if (applied) compare(entry.id.index.value(), "R4: the same index led to another state");
        return applied;
    }
    void applied(LogIndex index) override {
        subject_.machine().applied(index);
        history_.acknowledged = std::max(history_.acknowledged, index.value());
    }
    void on_leader(Term term) override { subject_.machine().on_leader(term); }
    void on_follower(Term term) override { subject_.machine().on_follower(term); }

  private:
    void remember(const cluster::CommandEntry& entry) {
        History::Entry& kept = history_.entries[entry.id.index.value()];
        kept = History::Entry{entry.id, entry.time, {}};
        cluster::CommandReader commands = entry.commands;
        while (const auto command = commands.next())
            kept.commands.emplace_back(*command);
    }
    void compare(uint64_t index, const char* what) {
        if (!observe_) return;
        const auto [known, first] = history_.digests.emplace(index, subject_.digest());
        // The state between two known indexes is that of the lower one (entries without commands).
        if (known->second != subject_.digest() && violation_.empty()) violation_ = what;
    }

    Subject& subject_;
    History& history_;
    std::string& violation_;
    const bool observe_;
};

}  // namespace quorate::sim
