// How what happens on a front-end loop is counted: the words of the channel and of the sockets in
// the words of the metrics.
//
// Thread: the loop's. Owner: none; free functions.
#pragma once

#include "broker/mqtt/host.h"
#include "broker/mqtt/limits.h"
#include "broker/net/connection.h"
#include "broker/net/connection_set.h"
#include "broker/net/listener.h"
#include "cluster/shard/shard_state.h"
#include "proto/base/metrics.h"
#include "proto/mqtt/types.h"

namespace quorate::broker {

[[nodiscard]] TransportLabel transport_label(TransportKind kind);
[[nodiscard]] ProtocolLabel protocol_label(mqtt::ProtocolVersion version);

// Why a connection ended, and how a CONNECT did.
[[nodiscard]] DisconnectReason disconnect_reason(const CloseCause& cause);
[[nodiscard]] ConnectResult connect_result(mqtt::ReasonCode reason);

// Adds what `now` has more than `reported`, which becomes equal.
void report_channel_counters(MetricsShard& metrics, const ChannelCounters& now,
                             ChannelCounters& reported);
// The same for what the state machines of all shards counted.
void report_shard_counters(MetricsShard& metrics, const cluster::ShardCounters& now,
                           cluster::ShardCounters& reported);
// The same for one listener.
void report_listener_counts(MetricsShard& metrics, const ListenerCounts& now,
                            ListenerCounts& reported);
// The same for the sockets of a loop.
void report_net_counters(MetricsShard& metrics, const NetCounters& now, NetCounters& reported);
// Ends that are the protocol's business.
void count_protocol_error(MetricsShard& metrics, const CloseCause& cause);
// Ends that are the transport's.
void count_end(MetricsShard& metrics, EndCause cause, const Connection& connection);

}  // namespace quorate::broker
