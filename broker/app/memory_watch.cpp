#include "broker/app/memory_watch.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <fstream>
#include <limits>
#include <optional>
#include <string_view>

#include <unistd.h>

namespace quorate::broker {
namespace {

constexpr uint64_t kPublishersWait = 70;  // percent
constexpr uint64_t kConnectsRefused = 80;
constexpr uint64_t kShed = 90;
constexpr uint64_t kShedTo = 85;

uint64_t page_bytes() {
    return static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

// A file that holds one number; nothing for "max" and for what cannot be read.
std::optional<uint64_t> number_in(const std::string& path) {
    std::ifstream in(path);
    std::string word;
    if (!(in >> word)) return std::nullopt;
    uint64_t number = 0;
    const auto parsed = std::from_chars(word.data(), word.data() + word.size(), number);
    if (parsed.ec != std::errc()) return std::nullopt;
    return number;
}

// The smallest `file` of the control group at `base` + `group` and of all above it.
uint64_t smallest_limit(const std::string& base, std::string group, const char* file) {
    uint64_t least = std::numeric_limits<uint64_t>::max();
    for (;;) {
        const std::string folder = group == "/" ? base : base + group;
        if (const auto limit = number_in(folder + "/" + file)) least = std::min(least, *limit);
        if (group.size() <= 1) return least;
        group.resize(std::max<std::size_t>(group.rfind('/'), 1));
    }
}

// True when `list`, as in "cpu,memory", names the controller.
bool names(std::string_view list, std::string_view controller) {
    while (!list.empty()) {
        const std::size_t comma = std::min(list.find(','), list.size());
        if (list.substr(0, comma) == controller) return true;
        list.remove_prefix(std::min(comma + 1, list.size()));
    }
    return false;
}

// Lines of /proc/self/cgroup: "0::/path" of version 2, "7:memory:/path" of version 1.
uint64_t group_limit(const std::string& root) {
    uint64_t least = std::numeric_limits<uint64_t>::max();
    std::ifstream in(root + "/proc/self/cgroup");
    for (std::string line; std::getline(in, line);) {
        const std::size_t first = line.find(':');
        const std::size_t second = line.find(':', std::min(first, line.size() - 1) + 1);
        if (first == std::string::npos || second == std::string::npos) continue;
        const std::string controllers = line.substr(first + 1, second - first - 1);
        const std::string group = line.substr(second + 1);
        if (group.empty() || group.front() != '/') continue;
        const std::string base = root + "/sys/fs/cgroup";
        if (controllers.empty()) {
            least = std::min(least, smallest_limit(base, group, "memory.max"));
        } else if (names(controllers, "memory")) {
            least =
                std::min(least, smallest_limit(base + "/memory", group, "memory.limit_in_bytes"));
        }
    }
    return least;
}

}  // namespace

uint64_t resident_bytes() {
    std::FILE* file = std::fopen("/proc/self/statm", "re");
    if (file == nullptr) return 0;
    unsigned long long total = 0;
    unsigned long long resident = 0;
    const int read = std::fscanf(file, "%llu %llu", &total, &resident);
    std::fclose(file);
    return read == 2 ? resident * page_bytes() : 0;
}

uint64_t machine_memory(const std::string& root) {
    const long pages = ::sysconf(_SC_PHYS_PAGES);
    const uint64_t machine = pages > 0 ? static_cast<uint64_t>(pages) * page_bytes() : 0;
    const uint64_t group = group_limit(root);
    return machine == 0 ? group : std::min(machine, group);
}

uint8_t overload_level(uint64_t used, uint64_t limit) {
    if (limit == 0) return 0;
    const auto percent =
        static_cast<uint64_t>(static_cast<double>(used) * 100.0 / static_cast<double>(limit));
    if (percent >= kShed) return 3;
    if (percent >= kConnectsRefused) return 2;
    return percent >= kPublishersWait ? 1 : 0;
}

uint64_t excess_bytes(uint64_t used, uint64_t limit) {
    const uint64_t most = limit / 100 * kShedTo;
    return used > most ? used - most : 0;
}

}  // namespace quorate::broker
