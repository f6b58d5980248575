// What a forwarded publish costs on a link: CPU time of two processes, a sender and a receiver, per
// item, by the number of items in a message.
//
// The sender offers items of the shape of a publish as long as there is room and then pauses, so
// that messages are as full as they may be; the receiver looks at every item. CPU time is that of
// the whole process (getrusage), the offering thread and gRPC's threads included.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include "cluster/link/link.h"

namespace {

using namespace quorate;
using namespace quorate::link;

constexpr uint32_t kSender = 1;
constexpr uint32_t kReceiver = 2;

double cpu_seconds() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

class Counter final : public LinkHandler {
  public:
    void on_up(const StreamId& stream) noexcept override {
        if (stream.direction == Direction::Out && stream.traffic == TrafficClass::Publishes) {
            up = true;
        }
    }
    void on_down(const StreamId& /*stream*/, LinkEnd /*end*/) noexcept override {}
    void on_batch(const StreamId& /*from*/, ReceivedBatch batch) noexcept override {
        BatchReader reader = batch.items();
        uint64_t seen = 0;
        while (const auto item = reader.next()) {
            ++seen;
            visited += static_cast<uint64_t>(item->front()) + static_cast<uint64_t>(item->back());
        }
        items.fetch_add(seen);
    }
    void on_question(const QuestionView& /*question*/, AnswerDoor /*answer*/) noexcept override {}

    std::atomic<bool> up{false};
    std::atomic<uint64_t> items{0};
    uint64_t visited = 0;  // so that the compiler keeps the visits
};

struct Settings {
    double seconds = 2;
    uint32_t batch = 0;
    std::string tls;  // folder with cert.pem, key.pem, ca.pem, good for names sender and receiver
    uint16_t peer_port = 0;
};

// One side: its host and what it needs.
struct Side {
    Side(uint32_t node, const Settings& settings) {
        LogOptions log;
        log.to_stderr = true;
        log.level = LogLevel::Warn;
        logger = std::move(Logger::open(log)).value();
        LinkOptions options;
        options.listen = "127.0.0.1:0";
        options.self = {"bench", NodeId(node), make_incarnation(NodeId(node), 1)};
        for (QueueLimits& each : options.queues)
            each.batch_items = std::max(1U, settings.batch);
        if (!settings.tls.empty()) {
            options.tls = LinkTlsFiles{settings.tls + "/cert.pem", settings.tls + "/key.pem",
                                       settings.tls + "/ca.pem"};
        }
        auto started = LinkHost::start(options, counter, metrics, *logger);
        if (!started) {
            fmt::print(stderr, "{}\n", started.error().message);
            std::exit(1);
        }
        host = std::move(started).value();
    }
    void knows(uint32_t node, uint16_t port) const {
        const char* name = node == kSender ? "sender" : "receiver";
        host->set_members({{NodeId(node), name, {"127.0.0.1:" + std::to_string(port)}}});
    }

    Counter counter;
    Metrics metrics;
    std::unique_ptr<Logger> logger;
    std::unique_ptr<LinkHost> host;
};

// Answers each line on standard input with "CPU ITEMS"; ends with the input.
int run_receiver(const Settings& settings) {
    Side side(kReceiver, settings);
    side.knows(kSender, settings.peer_port);
    fmt::print("{}\n", side.host->port());
    std::fflush(stdout);
    char line[16];
    while (std::fgets(line, sizeof(line), stdin) != nullptr) {
        fmt::print("{} {}\n", cpu_seconds(), side.counter.items.load());
        std::fflush(stdout);
    }
    return 0;
}

// The other process.
class Child {
  public:
    explicit Child(const std::vector<std::string>& arguments) {
        int in[2];
        int out[2];
        if (::pipe(in) != 0 || ::pipe(out) != 0) std::exit(1);
        pid_ = ::fork();
        if (pid_ == 0) {
            ::dup2(in[0], 0);
            ::dup2(out[1], 1);
            for (const int each : {in[0], in[1], out[0], out[1]})
                ::close(each);
            std::vector<char*> argv;
            for (const std::string& each : arguments)
                argv.push_back(const_cast<char*>(each.c_str()));
            argv.push_back(nullptr);
            ::execv("/proc/self/exe", argv.data());
            std::_Exit(127);
        }
        ::close(in[0]);
        ::close(out[1]);
        to_ = ::fdopen(in[1], "w");
        from_ = ::fdopen(out[0], "r");
    }
    ~Child() {
        std::fclose(to_);
        std::fclose(from_);
        int status = 0;
        ::waitpid(pid_, &status, 0);
    }
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;

    std::string read_line() {
        char line[128];
        return std::fgets(line, sizeof(line), from_) != nullptr ? line : "";
    }
    struct Figures {
        double cpu = 0;
        uint64_t items = 0;
    };
    Figures ask() {
        std::fputs("?\n", to_);
        std::fflush(to_);
        const std::string line = read_line();
        char* end = nullptr;
        Figures out;
        out.cpu = std::strtod(line.c_str(), &end);
        out.items = std::strtoull(end, nullptr, 10);
        return out;
    }

  private:
    pid_t pid_ = -1;
    std::FILE* to_ = nullptr;
    std::FILE* from_ = nullptr;
};

bool run_sender(const Settings& settings) {
    const auto side = std::make_unique<Side>(kSender, settings);
    Child child({"link_bench", "--receiver", "--batch", std::to_string(settings.batch),
                 "--peer-port", std::to_string(side->host->port()), "--tls", settings.tls});
    side->knows(kReceiver,
                static_cast<uint16_t>(std::strtoul(child.read_line().c_str(), nullptr, 10)));
    const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!side->counter.up) {
        if (std::chrono::steady_clock::now() > patience) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    const std::string head = std::string(10, 'h') + std::string(32, 't');
    const std::string payload(64, 'p');
    const Target target{NodeId(kReceiver), TrafficClass::Publishes, {}};
    const Child::Figures before = child.ask();
    const double cpu_before = cpu_seconds();
    const auto start = std::chrono::steady_clock::now();
    const auto end = start + std::chrono::duration_cast<std::chrono::nanoseconds>(
                                 std::chrono::duration<double>(settings.seconds));
    uint64_t offered = 0;
    while (std::chrono::steady_clock::now() < end) {
        for (int i = 0; i < 256; ++i) {
            if (side->host->offer(target, as_bytes(head), as_bytes(payload)) == Offer::Taken) {
                ++offered;
                continue;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
            break;
        }
    }
    Child::Figures after = child.ask();
    while (after.items - before.items < offered) {
        if (std::chrono::steady_clock::now() > end + std::chrono::seconds(10)) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        after = child.ask();
    }
    const double elapsed =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const double sender = (cpu_seconds() - cpu_before) * 1e6 / static_cast<double>(offered);
    const double receiver = (after.cpu - before.cpu) * 1e6 / static_cast<double>(offered);
    fmt::print("{:>5} {:>10.0f} {:>10.3f} {:>10.3f} {:>10.3f}\n", settings.batch,
               static_cast<double>(offered) / elapsed, sender, receiver, sender + receiver);
    std::fflush(stdout);
    return true;
}

}  // namespace

int main(int argc, char** argv) {
    Settings settings;
    bool receiver = false;
    std::vector<uint32_t> batches{1, 16, 64, 256};
    CLI::App app("CPU time of a link between two processes, in microseconds an item");
    app.add_option("--seconds", settings.seconds, "time of each measurement");
    app.add_option("--batches", batches, "items in a message, at most 256")->delimiter(',');
    app.add_option("--tls", settings.tls, "folder with cert.pem, key.pem and ca.pem");
    app.add_flag("--receiver", receiver, "the other process; started by the first one");
    app.add_option("--batch", settings.batch, "of the other process");
    app.add_option("--peer-port", settings.peer_port, "of the other process");
    CLI11_PARSE(app, argc, argv);
    if (receiver) return run_receiver(settings);
    fmt::print("{:>5} {:>10} {:>10} {:>10} {:>10}\n", "batch", "items/s", "sender", "receiver",
               "both");
    for (const uint32_t batch : batches) {
        settings.batch = batch;
        if (!run_sender(settings)) {
            fmt::print(stderr, "the items did not arrive\n");
            return 1;
        }
    }
    return 0;
}
