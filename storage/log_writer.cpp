#include "storage/log_writer.h"

#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <pthread.h>

#include "proto/base/assert.h"

namespace quorate::storage {
namespace {

using SteadyClock = std::chrono::steady_clock;

// Larger rounds would hold up everybody's sync for one giant's sake.
constexpr std::size_t kRoundBytesMax = std::size_t{64} << 20;

}  // namespace

class LogWriter::Impl {
  public:
    Impl(LogStore& store, LogWriterOptions options) : store_(store), options_(std::move(options)) {}
    ~Impl() { stop(); }

    void start() {
        ASSERT(!thread_.joinable(), "a log writer starts once");
        thread_ = std::thread([this] { run(); });
    }

    void stop() {
        if (!thread_.joinable()) return;
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
        }
        wake_.notify_one();
        thread_.join();
    }

    void submit(LogRequest request) {
        bool first = false;
        {
            const std::lock_guard lock(mutex_);
            first = waiting_.empty();
            waiting_.push_back(std::move(request));
        }
        if (first) wake_.notify_one();
    }

  private:
    void run() noexcept {
        ::pthread_setname_np(::pthread_self(), "log-writer");
        std::vector<LogRequest> taken;
        while (wait_for_work(taken)) {
            if (!taken.empty() && !write_rounds(taken)) return;
            taken.clear();
            if (unsynced_ && SteadyClock::now() >= sync_due_ && !sync()) return;
        }
        if (unsynced_) (void)sync();
    }

    // False when it is time to end and nothing waits.
    bool wait_for_work(std::vector<LogRequest>& taken) {
        std::unique_lock lock(mutex_);
        const auto ready = [this] { return stopping_ || !waiting_.empty(); };
        if (unsynced_) {
            wake_.wait_until(lock, sync_due_, ready);
        } else {
            wake_.wait(lock, ready);
        }
        waiting_.swap(taken);
        return !taken.empty() || !stopping_;
    }

    // Usually one round; more when the requests are very large.
    bool write_rounds(std::vector<LogRequest>& taken) {
        std::size_t begin = 0;
        while (begin < taken.size()) {
            LogRound round;
            batches_.clear();
            std::size_t end = begin;
            while (end < taken.size() && (end == begin || round.bytes < kRoundBytesMax)) {
                round.entries += taken[end].batch.entries();
                round.bytes += taken[end].batch.bytes();
                batches_.push_back(std::move(taken[end].batch));
                ++end;
            }
            round.requests = end - begin;
            if (!write(round)) return false;
            for (; begin < end; ++begin) {
                if (taken[begin].done) taken[begin].done();
            }
        }
        return true;
    }

    bool write(LogRound& round) {
        const bool buffered = options_.sync_interval.count() > 0;
        const auto started = SteadyClock::now();
        const Status written =
            store_.write(batches_, buffered ? Durability::Buffered : Durability::Synced);
        if (!written) return fail(written.error());
        round.write = SteadyClock::now() - started;
        if (buffered && !unsynced_) {
            unsynced_ = true;
            sync_due_ = started + options_.sync_interval;
        }
        if (options_.on_round) options_.on_round(round);
        return true;
    }

    bool sync() {
        unsynced_ = false;
        const Status synced = store_.sync();
        return synced.ok() || fail(synced.error());
    }

    // Always false.
    bool fail(const Error& error) {
        if (!options_.on_failure) QUORATE_FATAL(error.message.c_str());
        options_.on_failure(error);
        return false;
    }

    LogStore& store_;
    const LogWriterOptions options_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::vector<LogRequest> waiting_;
    bool stopping_ = false;
    std::thread thread_;

    // Of the thread.
    std::vector<LogBatch> batches_;
    bool unsynced_ = false;
    SteadyClock::time_point sync_due_;
};

LogWriter::LogWriter(LogStore& store, LogWriterOptions options)
    : impl_(std::make_unique<Impl>(store, std::move(options))) {}
LogWriter::~LogWriter() = default;
void LogWriter::start() {
    impl_->start();
}
void LogWriter::stop() {
    impl_->stop();
}
void LogWriter::submit(LogRequest request) {
    impl_->submit(std::move(request));
}

}  // namespace quorate::storage
