// Writes retained messages on many topics, then reads them with fresh wildcard subscriptions and
// checks that each is there once, with RETAIN set and undamaged. The topics are emptied at the end.
//
// Thread: that of the caller. Spec: MQTT 5 §3.3.1.3 (RETAIN), §3.8.3.1 (Retain Handling).
#pragma once

#include "bench/load/measure/process_probe.h"
#include "bench/load/report.h"

namespace quorate::bench {

[[nodiscard]] Result run_retained(const Options& options, const ProcessProbe& probe);

}  // namespace quorate::bench
