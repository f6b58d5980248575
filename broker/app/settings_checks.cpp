// What a configuration asks of the machine: files that can be used, memory that suffices.
#include <cerrno>
#include <cstring>
#include <string_view>

#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "broker/app/settings.h"

namespace quorate::broker {
namespace {

constexpr uint64_t kMib = 1U << 20;

void check_tls(const TlsFiles& files, const std::string& section,
               std::vector<ConfigProblem>& problems) {
    for (const TlsFault& fault : check_tls_files(tls_options(files))) {
        std::string_view key;
        switch (fault.option) {
            case TlsFault::Option::Certificate:
                key = "cert";
                break;
            case TlsFault::Option::Key:
                key = "key";
                break;
            case TlsFault::Option::Authority:
            case TlsFault::Option::Revocations:
                key = "ca";
                break;
        }
        problems.push_back({fmt::format("{}.{}", section, key), fault.expected});
    }
}

// A file that is there and can be read or written (`mode` of access()), or that can be made.
void check_file(const std::string& file, int mode, const std::string& option,
                std::vector<ConfigProblem>& problems) {
    if (file.empty()) return;
    struct stat status {};
    int failure = 0;
    if (::stat(file.c_str(), &status) == 0) {
        if (S_ISDIR(status.st_mode)) {
            failure = EISDIR;
        } else if (::access(file.c_str(), mode) != 0) {
            failure = errno;
        }
    } else if (mode == R_OK || errno != ENOENT) {
        failure = errno;
    } else {
        const std::size_t slash = file.rfind('/');
        const std::string folder = slash == std::string::npos ? "." : file.substr(0, slash + 1);
        if (::access(folder.c_str(), W_OK | X_OK) != 0) failure = errno;
    }
    if (failure == 0) return;
    problems.push_back(
        {option, fmt::format("expected a file to {}, \"{}\": {}",
                             mode == R_OK ? "read" : "append to", file, std::strerror(failure))});
}

void check_memory(const Config& config, std::vector<ConfigProblem>& problems) {
    const uint64_t limit = memory_high_water(config);
    const std::vector<MemoryBound> bounds = memory_bounds(config);
    uint64_t sum = 0;
    std::string parts;
    for (const MemoryBound& bound : bounds) {
        sum += bound.bytes;
        parts +=
            fmt::format("{}{} {} MiB", parts.empty() ? "" : ", ", bound.what, bound.bytes / kMib);
    }
    if (sum < limit) return;
    problems.push_back(
        {"limits.memory_high_water",
         fmt::format(
             "expected more than {} MiB, got {} MiB{}: the node itself may hold {}; lower "
             "one of these, storage.write_buffer first, or give it more memory",
             sum / kMib, limit / kMib,
             config.limits.memory_high_water.value == 0 ? ", three quarters of the machine" : "",
             parts),
         "storage.write_buffer"});
}

}  // namespace

std::vector<MemoryBound> memory_bounds(const Config& config) {
    const uint64_t loops = loop_count(config);
    const cluster::ClusterOptions cluster = cluster_options(config, loop_count(config));
    const uint64_t threads = loops + cluster.host.workers;
    const EventLoopOptions loop = event_loop_options(config);
    // Two stores of RocksDB, for log and state, with up to three write buffers each.
    return {{"6 x storage.write_buffer", 6 * config.storage.write_buffer.value},
            {"storage.block_cache", config.storage.block_cache.value},
            {"limits.max_unauthenticated_bytes", config.limits.max_unauthenticated_bytes.value},
            {"mail that threads have not read (node.loops, node.workers)",
             threads * cluster.unread_bytes_max},
            {"buffers of the loops (node.loops)",
             loops * (loop.chunk_pool_bytes_max + 2 * loop.read_buffer_bytes)}};
}

std::vector<ConfigProblem> check_surroundings(const Config& config) {
    std::vector<ConfigProblem> problems;
    for (std::size_t i = 0; i < config.listeners.size(); ++i)
        check_tls(config.listeners[i].tls, fmt::format("listeners[{}].tls", i), problems);
    check_tls(config.cluster.tls, "cluster.tls", problems);
    check_tls(config.admin.tls, "admin.tls", problems);
    check_file(config.admin.tokens_file, R_OK, "admin.tokens_file", problems);
    check_file(config.log.file, W_OK, "log.file", problems);
    check_memory(config, problems);
    return problems;
}

}  // namespace quorate::broker
