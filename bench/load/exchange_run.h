// Runs an exchange from beginning to end, on one thread or with the pairs divided among several,
// and samples the broker's processes at both ends of the measured time.
//
// Thread: starts those beyond the first itself and waits for them.
#pragma once

#include "bench/load/measure/process_probe.h"
#include "bench/load/report.h"

namespace quorate::bench {

[[nodiscard]] Result run_exchange(const Options& options, const ProcessProbe& probe);

}  // namespace quorate::bench
