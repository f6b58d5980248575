// From the configuration to the plain options of each part: the one place that knows both.
//
// Thread: any; pure functions, but for the checks, which look at files and at the machine.
#pragma once

#include <string>
#include <vector>

#include "broker/app/front_end.h"
#include "broker/config/checks.h"
#include "broker/config/config.h"
#include "broker/net/listener.h"
#include "cluster/router/cluster.h"
#include "proto/base/log.h"

namespace quorate::broker {

[[nodiscard]] uint16_t loop_count(const Config& config);
// node.name, or its default.
[[nodiscard]] std::string node_name(const Config& config);
[[nodiscard]] FrontEndOptions front_end_options(const Config& config, uint16_t loops);
[[nodiscard]] cluster::ClusterOptions cluster_options(const Config& config, uint16_t loops);
[[nodiscard]] storage::DiskMarks disk_marks(const Config& config);
[[nodiscard]] EventLoopOptions event_loop_options(const Config& config);
[[nodiscard]] ListenerOptions listener_options(const Config& config, const ListenerConfig& listener,
                                               uint16_t index);
[[nodiscard]] TlsOptions tls_options(const TlsFiles& files);
[[nodiscard]] LogOptions log_options(const LogConfig& log);
// `never` as a time that sums and differences of times can bear: a hundred years.
[[nodiscard]] Milliseconds bounded(Milliseconds time);
// What the text of a configuration does not tell: whether the files it names can be opened and hold
// what they should, and whether what the node may hold in any case stays below its memory.
[[nodiscard]] std::vector<ConfigProblem> check_surroundings(const Config& config);

// A part of the memory that is the node's own: neither a client's nor given back under pressure.
struct MemoryBound {
    std::string what;  // with the option that changes it, if one does
    uint64_t bytes = 0;
};
[[nodiscard]] std::vector<MemoryBound> memory_bounds(const Config& config);
// limits.memory_high_water, or its default: three quarters of what the machine gives.
[[nodiscard]] uint64_t memory_high_water(const Config& config);

}  // namespace quorate::broker
