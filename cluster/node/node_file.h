// What a node keeps about its membership besides its groups: one small file in its data directory.
//
//     <data_dir>/node    version, checksum, BootstrapRecord, whether its first copies were made
//
// Written whole, synced and renamed into place, and the directory synced: a power loss leaves the
// old content or the new one. A process that runs alone has no such file.
//
// Thread: one at a time. Owner: the node's start. Errors: read: Corrupt with text for the operator
// (exit 3), Io; write: Io. Spec: rules "Bootstrap", R-8.
#pragma once

#include <optional>
#include <string>

#include "cluster/control/bootstrap_messages.h"
#include "proto/base/result.h"

namespace quorate::cluster {

struct NodeRecord {
    BootstrapRecord bootstrap;
    // Every copy that this node began with was on this disk once: what is missing now was lost.
    bool founded = false;
};

class NodeFile {
  public:
    // Requires: the directory exists, and this process holds its lock.
    explicit NodeFile(std::string data_dir) : directory_(std::move(data_dir)) {}

    // Nothing: there is no such file.
    [[nodiscard]] Result<std::optional<NodeRecord>> read() const;
    // On stable storage when it returns.
    [[nodiscard]] Status write(const NodeRecord& record) const;

  private:
    std::string directory_;
};

// For a process that is to run alone: InvalidArgument when the data directory is that of a node of
// a cluster, which cannot serve without its links.
[[nodiscard]] Status check_runs_alone(const std::string& data_dir);

}  // namespace quorate::cluster
