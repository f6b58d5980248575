// From the configuration to the plain options of each part: the one place that knows both.
//
// Thread: any; pure functions.
#pragma once

#include "broker/app/front_end.h"
#include "broker/config/config.h"
#include "broker/net/listener.h"
#include "cluster/router/cluster.h"

namespace quorate::broker {

[[nodiscard]] uint16_t loop_count(const Config& config);
[[nodiscard]] FrontEndOptions front_end_options(const Config& config, uint16_t loops);
[[nodiscard]] cluster::ClusterOptions cluster_options(const Config& config, uint16_t loops);
[[nodiscard]] storage::DiskMarks disk_marks(const Config& config);
[[nodiscard]] EventLoopOptions event_loop_options(const Config& config);
[[nodiscard]] ListenerOptions listener_options(const Config& config, const ListenerConfig& listener,
                                               uint16_t index);
[[nodiscard]] TlsOptions tls_options(const TlsFiles& files);

}  // namespace quorate::broker
