// The cluster as the broker sees it: the one header of this folder tree that a front-end includes
// besides loop_port.h.
//
// Opens the data directory, recovers all groups, gives this start of the node its incarnation, and
// hands every front-end loop its port. On a single node every group has this one voter; the rules
// are those of a cluster of many.
//
// Thread: one at a time, the program's main thread, unless a method says otherwise. Owner: the
// broker. Errors: of `open` and `start`: Locked, Corrupt, Io with text for the operator (exit 3).
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cluster/group/group_host.h"
#include "cluster/router/loop_port.h"
#include "cluster/sessions/shared_dispatcher.h"
#include "cluster/shard/shard_state.h"
#include "proto/base/environment.h"
#include "proto/base/ids.h"
#include "proto/base/log.h"
#include "proto/base/metrics.h"
#include "proto/base/result.h"

namespace quorate::cluster {

// What makes this process one node of many.
struct NodeOptions {
    struct TlsFiles {
        std::string cert;  // PEM
        std::string key;   // PEM
        std::string ca;    // PEM
    };

    bool clustered = false;    // false: alone; it opens no link and reads nothing else here
    Logger* logger = nullptr;  // of the links; outlives the cluster
    // This start of the node is at an end: the process has to stop. Once, on a thread of its own.
    std::function<void(const std::string& why)> fenced;
    std::string name;                // unique in the cluster
    std::string listen;              // of the links: a numeric address and a port
    std::string advertise;           // host:port that others use to reach it
    std::vector<std::string> seeds;  // host:port of any nodes
    uint32_t expect = 1;             // nodes with empty disks that form a new cluster
    uint32_t replication_factor = 3;
    std::optional<TlsFiles> tls;
    bool allow_plaintext = false;  // links without TLS beyond loopback
    uint64_t abandoned = 0;        // a cluster that is given up; 0: none
    // Called some times a second, on another thread, while open() or start() waits for other nodes,
    // with what for, for people. False ends the wait: Unavailable.
    std::function<bool(const std::string& waits_for)> waiting{};
};

struct ClusterOptions {
    GroupHostOptions host;
    NodeOptions node;
    uint16_t loops = 1;
    ShardLayout layout{64, 0};  // as stored in the data directory, once it has been made
    ShardOptions shard;
    uint64_t retained_max = 1'000'000;   // topics with a retained message, over all shards
    uint32_t shared_member_window = 32;  // messages a connection may have from a shared group
    SharedStrategy shared_strategy = SharedStrategy::RoundRobin;
    uint64_t unread_bytes_max = 32ULL << 20;            // of each thread, see Exchange
    std::chrono::milliseconds publish_timeout{10'000};  // among other nodes
    uint64_t seed = 1;
};

// Sums over all shards, for metrics and $SYS.
struct ClusterCounts {
    ShardCounts shards;
    ShardCounters counters;
    uint64_t filters = 0;            // in the directory
    uint64_t unread_bytes = 0;       // of messages between threads, see Exchange
    uint64_t unread_dropped = 0;     // QoS 0, because of them
    uint64_t publishes_cut_off = 0;  // at owners, see Owner::cut_off
    uint32_t groups = 0;
    uint32_t groups_leading = 0;
    uint32_t groups_unsound = 0;
    uint64_t loop_parcels = 0;  // that wait for the loops
};

class Cluster {
    struct Passkey {};  // only open() makes one
    class Impl;

  public:
    Cluster(Passkey, std::unique_ptr<Impl> impl);
    [[nodiscard]] static Result<std::unique_ptr<Cluster>> open(ClusterOptions options,
                                                               const Log& log);
    ~Cluster();
    Cluster(const Cluster&) = delete;
    Cluster& operator=(const Cluster&) = delete;

    // Recovers and begins to serve; afterwards ports can be made.
    [[nodiscard]] Status start();
    // Every group led and every owed NodeDown proposed: a broker that is ready serves at once.
    [[nodiscard]] bool wait_until_serving(std::chrono::milliseconds limit);
    // After the loops have stopped. Idempotent.
    void stop();

    // One for each loop, before its thread runs. `tell` is called when something has come for
    // LoopPort::receive(), by the thread that sent it: with the sender's loop when it was sent in
    // that loop's turn, with nothing when it came from another thread.
    [[nodiscard]] std::unique_ptr<LoopPort> make_port(
        LoopId loop, LoopSink& sink, std::function<void(std::optional<LoopId> sender)> tell);

    [[nodiscard]] Incarnation incarnation() const;
    [[nodiscard]] const ShardLayout& layout() const;
    // The counts as the workers last reported them, at most a second old. Thread: any.
    [[nodiscard]] ClusterCounts counts() const;
    // Sessions of all shards, as of the last applied entries. Thread: any.
    [[nodiscard]] const std::atomic<int64_t>& sessions() const;
    // Why this node should be sent no clients, for people; empty: it should. A group is unsound or
    // not led, the disk is full, or among other nodes: no quorum, suspended. Thread: any.
    [[nodiscard]] std::string not_ready() const;
    [[nodiscard]] std::vector<GroupReport> reports();
    [[nodiscard]] GroupHost& host();

  private:
    std::unique_ptr<Impl> impl_;
};

}  // namespace quorate::cluster
