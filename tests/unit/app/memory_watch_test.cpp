#include "broker/app/memory_watch.h"

#include <filesystem>
#include <fstream>

#include <unistd.h>

#include "tests/unit/catch.h"

namespace quorate::broker {
namespace {

// A tree of the system's files as machine_memory() sees it.
class FakeSystem {
  public:
    FakeSystem() {
        char name[] = "/tmp/quorate-memory-XXXXXX";
        root_ = ::mkdtemp(name);
    }
    ~FakeSystem() { std::filesystem::remove_all(root_); }
    void write(const std::string& path, const std::string& text) const {
        const std::filesystem::path file = root_ + path;
        std::filesystem::create_directories(file.parent_path());
        std::ofstream(file) << text;
    }
    [[nodiscard]] uint64_t memory() const { return machine_memory(root_); }

  private:
    std::string root_;
};

TEST_CASE("Levels begin at 70, 80 and 90 percent of the limit") {
    CHECK(overload_level(69, 100) == 0);
    CHECK(overload_level(70, 100) == 1);
    CHECK(overload_level(79, 100) == 1);
    CHECK(overload_level(80, 100) == 2);
    CHECK(overload_level(89, 100) == 2);
    CHECK(overload_level(90, 100) == 3);
    CHECK(overload_level(1000, 100) == 3);
    CHECK(overload_level(1000, 0) == 0);
}

TEST_CASE("What is given up brings the level below the last one") {
    CHECK(excess_bytes(95'000, 100'000) == 10'000);
    CHECK(overload_level(95'000 - excess_bytes(95'000, 100'000), 100'000) < 3);
    CHECK(excess_bytes(50'000, 100'000) == 0);
}

TEST_CASE("A process without control groups has the memory of its machine") {
    const FakeSystem nothing;
    CHECK(nothing.memory() == machine_memory("/nonexistent"));
    CHECK(nothing.memory() > resident_bytes());
}

TEST_CASE("The smallest limit of a control group and those above it counts, version 2") {
    const FakeSystem system;
    system.write("/proc/self/cgroup", "0::/pod/container\n");
    system.write("/sys/fs/cgroup/pod/container/memory.max", "max\n");
    CHECK(system.memory() == machine_memory("/nonexistent"));
    system.write("/sys/fs/cgroup/pod/memory.max", "8388608\n");
    CHECK(system.memory() == 8'388'608);
    system.write("/sys/fs/cgroup/pod/container/memory.max", "4194304\n");
    CHECK(system.memory() == 4'194'304);
    system.write("/sys/fs/cgroup/memory.max", "1048576\n");
    CHECK(system.memory() == 1'048'576);
}

TEST_CASE("The limit of a control group counts, version 1") {
    const FakeSystem system;
    system.write("/proc/self/cgroup", "5:cpu,cpuacct:/a\n4:memory:/docker/x\n");
    system.write("/sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes", "2097152\n");
    system.write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    CHECK(system.memory() == 2'097'152);
}

TEST_CASE("Files that say nothing sensible are no limit") {
    const FakeSystem system;
    system.write("/proc/self/cgroup", "nonsense\n:::\n0::relative\n0::/x\n");
    system.write("/sys/fs/cgroup/x/memory.max", "many\n");
    CHECK(system.memory() == machine_memory("/nonexistent"));
}

}  // namespace
}  // namespace quorate::broker
