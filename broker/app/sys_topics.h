// The `$SYS` topics: what the broker says of itself to people who subscribe to `$SYS/#`; a node of
// a cluster below its own name.
//
// They are retained, so a new subscriber sees them at once; a value is published when it has
// changed. Names follow the custom of other brokers where one exists.
//
// Thread: the loop that publishes them. Owner: the broker. Errors: none.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "cluster/router/cluster.h"
#include "proto/base/metrics.h"

namespace quorate::broker {

class SysTopics {
  public:
    using Publish = std::function<void(std::string_view topic, std::string_view payload)>;

    // `prefix`: "$SYS/broker", or that of this node.
    SysTopics(const Metrics& metrics, const cluster::Cluster& cluster, std::string version,
              std::string prefix)
        : metrics_(metrics),
          cluster_(cluster),
          version_(std::move(version)),
          prefix_(std::move(prefix)) {}

    // Publishes what has changed since the last call.
    void publish(uint64_t uptime_s, const Publish& publish);
    // The next call publishes everything.
    void forget() { published_.clear(); }

  private:
    // `name`: below the prefix.
    void value(std::string_view name, std::string payload, const Publish& publish);
    void number(std::string_view name, uint64_t number, const Publish& publish);

    const Metrics& metrics_;
    const cluster::Cluster& cluster_;
    std::string version_;
    std::string prefix_;
    std::map<std::string, std::string, std::less<>> published_;
};

}  // namespace quorate::broker
