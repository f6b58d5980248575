// The server as a function: command line, log, signals, exit codes.
//
// 0 clean stop, 1 runtime failure, 2 bad configuration, 3 data directory unusable.
//
// Thread: the program's main thread; it returns when the server has stopped. Errors: on stderr, and
// as exit code.
#pragma once

#include <functional>

namespace quorate::cluster {
struct ClusterOptions;
}

namespace quorate::broker {

// Where another program than `quorate` may differ: servers under test, on disks that fail. The
// configuration reaches none of it.
struct ServerSeams {
    // Called once, on the options that were made of the configuration, before the data directory is
    // opened. Empty: they stay as they are.
    std::function<void(cluster::ClusterOptions&)> adjust_cluster;
};

[[nodiscard]] int run_server(int argc, char** argv, const ServerSeams& seams = {});

}  // namespace quorate::broker
