// Opens many connections, holds them, and tells what each costs the broker: time to connect and
// memory.
//
// A source address of 127.0.0.0/8 is used for 4000 connections at most when the broker is on
// loopback: with a single one the kernel's search for a free port would be what is measured.
//
// Thread: that of the caller.
#pragma once

#include "bench/load/measure/process_probe.h"
#include "bench/load/report.h"

namespace quorate::bench {

[[nodiscard]] Result run_conns(const Options& options, const ProcessProbe& probe);

}  // namespace quorate::bench
