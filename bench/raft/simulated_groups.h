// Raft groups of three replicas in one thread, for the benchmark of the core: a network that
// delivers at once, and disks that are as fast as memory and keep nothing.
//
// What is measured is the core of all three replicas: stepping, Ready and bookkeeping, no copy of
// a payload and no system call. *Thread*: one. *Owner*: the benchmark.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cluster/raft/raft_node.h"

namespace quorate::bench {

class SimulatedGroup {
  public:
    struct Options {
        bool encode = false;          // every message passes through its bytes
        uint32_t quiesce_rounds = 0;  // as of the core
        std::size_t log_memory_bytes = 16U << 10U;
        uint64_t seed = 1;
    };

    explicit SimulatedGroup(const Options& options);
    ~SimulatedGroup();

    // Makes the first replica the leader, and everybody follow it.
    void elect();
    // At the leader, which must be that one.
    void propose(const SharedBytes& payload);
    // Until nobody has anything to do.
    void settle();
    // A tick at each replica that needs one, then as `settle`. False when nobody needed one.
    bool tick();

    // Commands that all three replicas applied.
    [[nodiscard]] uint64_t applied_everywhere() const;
    [[nodiscard]] bool quiescent() const;
    // Messages that were delivered since the begin.
    [[nodiscard]] uint64_t messages() const { return messages_; }

  private:
    class NoReader;
    static constexpr uint32_t kReplicas = 3;

    bool turn(uint32_t replica);
    void deliver(std::vector<raft::Message>& messages);

    const Options options_;
    std::unique_ptr<NoReader> reader_;
    std::vector<std::unique_ptr<raft::RaftNode>> nodes_;
    std::array<uint64_t, kReplicas> commands_{};
    std::vector<raft::Message> network_;
    std::vector<raft::Message> arriving_;
    std::string bytes_;
    uint64_t messages_ = 0;
};

}  // namespace quorate::bench
