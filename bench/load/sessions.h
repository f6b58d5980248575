// Durable sessions: each subscribes and goes away, messages are published meanwhile, all come back,
// and each must find its session and get exactly its messages, in order. The sessions are removed
// at the end.
//
// Thread: that of the caller. Spec: MQTT 5 §4.1 (Session State), §4.4 (Message delivery retry).
#pragma once

#include "bench/load/measure/process_probe.h"
#include "bench/load/report.h"

namespace quorate::bench {

[[nodiscard]] Result run_sessions(const Options& options, const ProcessProbe& probe);

}  // namespace quorate::bench
