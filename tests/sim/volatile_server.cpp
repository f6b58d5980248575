// `quorate-volatile`: the whole server on a disk that exists for tests only.
//
// What is not synced is in the process's memory only, so that SIGKILL is a power loss. Everything
// else is the product: the same command line, the same exit codes. Where QUORATE_FAULTS names a
// FIFO, each line written to it is a fault:
//
//     fail_sync N      the N-th sync from now fails once, and what it should have written is gone
//     space_left N     appends fail with "no space" after so many more bytes; "none": never
//     sync_delay N     every sync takes so many milliseconds
//     disk_used N      the volume reports so many percent in use
//
// "injected: LINE" on standard error says that it holds from now on.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

#include "broker/app/server.h"
#include "cluster/router/cluster.h"
#include "tests/sim/faulty_file_system.h"

namespace {

using quorate::sim::FaultyFileSystem;

struct Disk {
    std::shared_ptr<FaultyFileSystem> files = std::make_shared<FaultyFileSystem>();
    std::atomic<uint64_t> percent_used{0};
};

void inject(Disk& disk, const std::string& line) {
    const std::size_t space = line.find(' ');
    if (space == std::string::npos) return;
    const std::string fault = line.substr(0, space);
    const std::string word = line.substr(space + 1);
    const uint64_t number = std::strtoull(word.c_str(), nullptr, 10);
    if (fault == "fail_sync") disk.files->fail_sync_in(number);
    if (fault == "sync_delay") disk.files->set_sync_delay(std::chrono::milliseconds(number));
    if (fault == "disk_used") disk.percent_used.store(number);
    if (fault == "space_left") {
        disk.files->set_space_left(word == "none" ? std::nullopt : std::optional(number));
    }
}

// Ends with the process.
void read_faults(Disk& disk, int fifo) {
    std::string line;
    char next = 0;
    while (::read(fifo, &next, 1) == 1) {
        if (next != '\n') {
            line.push_back(next);
            continue;
        }
        inject(disk, line);
        std::fprintf(stderr, "injected: %s\n", line.c_str());
        line.clear();
    }
}

}  // namespace

int main(int argc, char** argv) {
    // Lives as long as the thread that injects: for ever.
    static Disk disk;
    quorate::broker::ServerSeams seams;
    seams.adjust_cluster = [](quorate::cluster::ClusterOptions& options) {
        options.host.storage.file_system = disk.files;
        const char* faults = std::getenv("QUORATE_FAULTS");
        if (faults == nullptr) return;
        options.host.disk_probe = [] {
            return quorate::storage::DiskUse{100, disk.percent_used.load()};
        };
        // Open for both, so that no writer's end ends the reading.
        const int fifo = ::open(faults, O_RDWR | O_CLOEXEC);
        if (fifo >= 0) std::thread([fifo] { read_faults(disk, fifo); }).detach();
    };
    return quorate::broker::run_server(argc, argv, seams);
}
