// Several nodes that start, in virtual time: their disks, and a network that loses, doubles and
// delays. Everything follows from one seed.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "cluster/control/bootstrap.h"
#include "proto/base/environment.h"

namespace quorate::cluster::test {

// How a node is configured. Nodes are called "n1" and so on, also their addresses.
struct StartPlan {
    std::vector<std::string> seeds;
    uint32_t expect = 1;
    std::chrono::seconds first_start{0};
};

class BootstrapWorld {
  public:
    BootstrapWorld(std::vector<StartPlan> plans, uint64_t seed);

    // Lost, doubled and late messages, crashes, nodes that hear nothing, names without addresses.
    void run_with_faults(std::chrono::seconds time);
    void run_in_peace(std::chrono::seconds time);

    // Empty: at most one cluster among nodes that share a seed, and none that ever changed.
    [[nodiscard]] const std::string& violation() const { return violation_; }
    // The cluster that all nodes are in; 0: there is none.
    [[nodiscard]] uint64_t common_cluster() const;
    [[nodiscard]] std::string describe() const;

    uint64_t crashes_while_writing = 0;
    uint64_t proposals = 0;
    uint64_t withdrawn = 0;
    uint64_t joins = 0;

  private:
    using Time = Bootstrap::Time;
    struct Node {
        StartPlan plan;
        std::optional<BootstrapRecord> disk;
        std::optional<BootstrapRecord> writing;
        Time written_at{};
        std::unique_ptr<Bootstrap> process;
        Time starts_at{};
        Time deaf_until{};
        std::string refused;
        uint64_t cluster = 0;  // as its disk said when it was last in one
    };
    struct Letter {
        std::size_t from = 0;
        std::size_t to = 0;
        bool answer = false;
        std::string bytes;
    };

    void run(std::chrono::seconds time, bool faults);
    void step(std::size_t index, bool faults);
    void crash(std::size_t index, bool faults);
    void take(std::size_t index, BootstrapActions actions, bool faults);
    void join(std::size_t index, const Join& join, bool faults);
    void write_down(std::size_t index, bool faults);
    void post(Letter letter, bool faults);
    void deliver(const Letter& letter, bool faults);
    void check(std::size_t index, const BootstrapRecord& record);
    [[nodiscard]] bool related(std::size_t one, std::size_t other) const;
    [[nodiscard]] static std::string name(std::size_t index);

    std::vector<Node> nodes_;
    Random random_;
    Time now_{};
    std::multimap<Time, Letter> letters_;
    std::map<uint64_t, std::set<std::size_t>> founders_;  // by cluster
    std::map<uint64_t, std::vector<Candidate>> sets_;
    std::string violation_;
};

}  // namespace quorate::cluster::test
