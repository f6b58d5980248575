#include "proto/base/log.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <mutex>
#include <system_error>

#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>
#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/sinks/sink.h>

namespace quorate {
namespace {

constexpr size_t kQueuedLines = 4096;
constexpr size_t kCausePlaces = 1024;
constexpr auto kFlushWait = std::chrono::seconds(2);

// Writes whole lines to a descriptor; called by the writer thread, one line at a time.
class DescriptorSink final : public spdlog::sinks::sink {
  public:
    DescriptorSink(int descriptor, std::string file)
        : descriptor_(descriptor), file_(std::move(file)) {}
    ~DescriptorSink() override {
        if (!file_.empty()) ::close(descriptor_);
    }
    DescriptorSink(const DescriptorSink&) = delete;
    DescriptorSink& operator=(const DescriptorSink&) = delete;

    void log(const spdlog::details::log_msg& msg) override {
        if (reopen_.exchange(false)) open_again();
        line_.assign(msg.payload.data(), msg.payload.size());
        line_ += '\n';
        if (!write_all()) failed_.fetch_add(1);
        const std::lock_guard lock(mutex_);
        ++done_;
        changed_.notify_all();
    }
    void flush() override {}
    void set_pattern(const std::string&) override {}
    void set_formatter(std::unique_ptr<spdlog::formatter>) override {}

    void reopen() { reopen_.store(true); }
    [[nodiscard]] uint64_t failed() const { return failed_.load(); }
    // Waits until `finished(lines done)` or the deadline.
    void wait(const std::function<bool(uint64_t)>& finished) {
        const auto deadline = std::chrono::steady_clock::now() + kFlushWait;
        std::unique_lock lock(mutex_);
        while (!finished(done_) && std::chrono::steady_clock::now() < deadline) {
            changed_.wait_for(lock, std::chrono::milliseconds(10));
        }
    }

  private:
    bool write_all() {
        size_t sent = 0;
        while (sent < line_.size()) {
            const ssize_t n = ::write(descriptor_, line_.data() + sent, line_.size() - sent);
            if (n < 0 && errno == EINTR) continue;
            if (n <= 0) return false;
            sent += static_cast<size_t>(n);
        }
        return true;
    }
    void open_again() {
        if (file_.empty()) return;
        const int fresh = ::open(file_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
        if (fresh < 0) return;  // keep the old file: a log is better than none
        ::close(descriptor_);
        descriptor_ = fresh;
    }

    int descriptor_;
    std::string file_;
    std::string line_;
    std::atomic<bool> reopen_{false};
    std::atomic<uint64_t> failed_{0};
    std::mutex mutex_;  // guards done_
    std::condition_variable changed_;
    uint64_t done_ = 0;
};

// What one cause did in the current second.
struct Cause {
    std::mutex mutex;
    int64_t second = 0;
    uint32_t lines = 0;
    uint64_t suppressed = 0;
    LogLevel level = LogLevel::Info;
    std::string_view component;
    std::string_view message;
};

int64_t this_second() {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::seconds>(now).count();
}

}  // namespace

std::string_view to_string(LogLevel level) {
    switch (level) {
        case LogLevel::Error:
            return "error";
        case LogLevel::Warn:
            return "warn";
        case LogLevel::Info:
            return "info";
        case LogLevel::Debug:
            return "debug";
    }
    return "unknown";
}

class Logger::Impl {
  public:
    Impl(const LogOptions& options, int descriptor)
        : format_(options.format),
          lines_per_second_(options.lines_per_second),
          level_(options.level),
          sink_(std::make_shared<DescriptorSink>(descriptor, options.file)),
          pool_(std::make_shared<spdlog::details::thread_pool>(kQueuedLines, 1)),
          spdlog_(std::make_shared<spdlog::async_logger>(
              "quorate", sink_, pool_, spdlog::async_overflow_policy::overrun_oldest)) {
        spdlog_->set_level(spdlog::level::trace);
        spdlog_->flush_on(spdlog::level::off);
    }

    void set_level(LogLevel level) { level_.store(level, std::memory_order_relaxed); }
    [[nodiscard]] bool enabled(LogLevel level) const {
        return level <= level_.load(std::memory_order_relaxed);
    }

    void write(const LogLine& line) {
        uint64_t before = 0;
        if (!admit(line, before)) return;
        if (before > 0) report(line.level, line.component, line.message, before);
        post(line);
    }

    void report_suppressed() {
        const int64_t second = this_second();
        for (Cause& cause : causes_) {
            std::unique_lock lock(cause.mutex);
            if (cause.suppressed == 0 || cause.second == second) continue;
            const uint64_t count = std::exchange(cause.suppressed, 0);
            const LogLevel level = cause.level;
            const std::string_view component = cause.component;
            const std::string_view message = cause.message;
            lock.unlock();
            report(level, component, message, count);
        }
    }

    void flush() {
        const uint64_t goal = posted_.load();
        sink_->wait([&](uint64_t done) { return done + pool_->overrun_counter() >= goal; });
    }
    void reopen() { sink_->reopen(); }

    [[nodiscard]] uint64_t lines(LogLevel level) const {
        return lines_[static_cast<size_t>(level)].load(std::memory_order_relaxed);
    }
    [[nodiscard]] uint64_t suppressed() const { return suppressed_.load(); }
    [[nodiscard]] uint64_t lost() const {
        return lost_.load() + sink_->failed() + pool_->overrun_counter();
    }
    void count_lost() { lost_.fetch_add(1); }

  private:
    // False when the cause has had its lines for this second. `before` is what was suppressed in
    // earlier seconds and not yet told.
    bool admit(const LogLine& line, uint64_t& before) {
        if (lines_per_second_ == 0) return true;
        const size_t hash = std::hash<std::string_view>{}(line.component) * 31 +
                            std::hash<std::string_view>{}(line.message);
        Cause& cause = causes_[hash % kCausePlaces];
        const int64_t second = this_second();
        const std::lock_guard lock(cause.mutex);
        if (cause.second != second) {
            cause.second = second;
            cause.lines = 0;
            before = std::exchange(cause.suppressed, 0);
        }
        if (cause.lines < lines_per_second_) {
            ++cause.lines;
            return true;
        }
        ++cause.suppressed;
        cause.level = line.level;
        cause.component = line.component;
        cause.message = line.message;
        suppressed_.fetch_add(1, std::memory_order_relaxed);
        return false;
    }

    void report(LogLevel level, std::string_view component, std::string_view message,
                uint64_t count) {
        post({level, component, "lines suppressed", {{"cause", message}, {"lines", count}}});
    }

    void post(const LogLine& line) {
        const std::string text = format_line(line, format_);
        posted_.fetch_add(1);
        lines_[static_cast<size_t>(line.level)].fetch_add(1, std::memory_order_relaxed);
        spdlog_->log(spdlog::level::info, spdlog::string_view_t(text.data(), text.size()));
    }

    const LogFormat format_;
    const uint32_t lines_per_second_;
    std::atomic<LogLevel> level_;
    std::shared_ptr<DescriptorSink> sink_;
    // spdlog's async_logger shares its pool and sinks by contract; nobody else holds them.
    std::shared_ptr<spdlog::details::thread_pool> pool_;
    std::shared_ptr<spdlog::async_logger> spdlog_;
    std::array<Cause, kCausePlaces> causes_;
    std::array<std::atomic<uint64_t>, 4> lines_{};
    std::atomic<uint64_t> posted_{0};
    std::atomic<uint64_t> suppressed_{0};
    std::atomic<uint64_t> lost_{0};
};

Logger::Logger(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Logger::~Logger() = default;

Result<std::unique_ptr<Logger>> Logger::open(const LogOptions& options) {
    int descriptor = options.to_stderr ? STDERR_FILENO : STDOUT_FILENO;
    if (!options.file.empty()) {
        descriptor = ::open(options.file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
        if (descriptor < 0) {
            return Error{ErrorCode::Io, fmt::format("cannot open the log file {}: {}", options.file,
                                                    std::generic_category().message(errno))};
        }
    }
    try {
        return std::make_unique<Logger>(std::make_unique<Impl>(options, descriptor));
    } catch (const std::exception& failure) {
        return Error{ErrorCode::Io, fmt::format("cannot start the log: {}", failure.what())};
    }
}

void Logger::set_level(LogLevel level) {
    impl_->set_level(level);
}
bool Logger::enabled(LogLevel level) const {
    return impl_->enabled(level);
}

void Logger::write(LogLevel level, LogText component, LogText message,
                   std::initializer_list<LogField> fields) {
    if (!impl_->enabled(level)) return;
    try {
        impl_->write({level, component.view(), message.view(), fields});
    } catch (...) {  // out of memory or a failed lock: a log line is never worth more than that
        impl_->count_lost();
    }
}

void Logger::reopen() {
    impl_->reopen();
}
void Logger::flush() {
    impl_->flush();
}
void Logger::report_suppressed() {
    impl_->report_suppressed();
}
uint64_t Logger::lines(LogLevel level) const {
    return impl_->lines(level);
}
uint64_t Logger::suppressed_lines() const {
    return impl_->suppressed();
}
uint64_t Logger::lost_lines() const {
    return impl_->lost();
}

}  // namespace quorate
