// The group that a script commands, one thing at a time: nothing happens by itself.
//
// Replicas are numbers. Messages wait on the network until they are delivered or dropped, writes
// until they are completed, what a node wants done until it is asked for (`ready`). Commands:
//
//     add-nodes N | add-newcomer           voters 1 to N, or one more replica that nobody knows
//     set OPTION N                         quiesce-rounds, hold-log-rounds, hand-over-rounds
//     campaign N | tick N [COUNT] | wake N | priority N P
//     propose N TEXT | read-index N | transfer-leader N TO
//     change N 1,2,3 [learners 4,5] | known N 1,2,3
//     ready N | write N                    take what it wants done; complete its oldest write
//     deliver [FROM->TO] | drop [FROM->TO] what is under way now, on all links or one
//     block FROM->TO | heal                a link that loses everything from now on
//     stabilize [N...] [quietly]           all of it until nothing happens, at some or all replicas
//     restart N | cut N INDEX              a crash that loses unfinished writes; compaction
//     status | log N                       what each is; entries, `*` durable
//
// A line of output is what a replica was told, wants done or has become. *Thread*: one.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/raft/raft_cluster.h"

namespace quorate::raft::test {

[[nodiscard]] std::string describe(const Message& message);
[[nodiscard]] std::string describe(const Configuration& configuration);
[[nodiscard]] std::string describe(const Entry& entry);
[[nodiscard]] std::string describe(EntryId id);
[[nodiscard]] std::string describe(const PendingWrite& write);

class ScriptGroup {
  public:
    // Carries out one line; what was said to it, a line each.
    [[nodiscard]] std::string run(const std::string& line);

  private:
    using Link = std::pair<uint64_t, uint64_t>;
    using Words = std::vector<std::string>;

    void dispatch(const Words& words);
    void command(const std::string& name, const Words& words);
    void at_node(const std::string& name, const Words& words, Replica& one);
    void add(uint64_t id);
    void set(const Words& words);
    // `asked`: also says that there was nothing.
    void ready(Replica& one, bool asked);
    void write(Replica& one);
    void changed(Replica& one);
    void post(std::vector<Message>& messages);
    void deliver(std::optional<Link> link);
    void drop(std::optional<Link> link);
    void stabilize(const std::vector<uint64_t>& only);
    void status();
    void log(Replica& one);
    [[nodiscard]] Replica* replica(uint64_t id);
    void say(const std::string& line) { said_ += line + "\n"; }
    void say(const Replica& one, const std::string& line);

    struct Seen {  // of a replica, when it was last spoken of
        Role role = Role::Follower;
        Term term;
        ReplicaId leader;
        bool quiescent = false;
        std::size_t reads = 0;
        std::size_t reads_failed = 0;
        std::size_t applied = 0;
        Configuration configuration;
        EntryId base;
    };
    Configuration first_;
    RaftOptions options_;
    std::vector<std::unique_ptr<Replica>> replicas_;
    std::vector<Seen> seen_;
    std::deque<Message> network_;
    std::set<Link> blocked_;
    std::set<ReplicaId> touched_;  // since what they want done was taken
    std::string said_;
};

}  // namespace quorate::raft::test
