#include "cluster/group/group_host.h"

#include <array>
#include <condition_variable>
#include <functional>
#include <latch>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include <pthread.h>

#include "proto/base/assert.h"

namespace quorate::cluster {
namespace {
// How often the thread that flushes looks whether it is time, and the durable mark is written.
constexpr std::chrono::milliseconds kHousekeeping{1000};
}  // namespace

class GroupHost::Impl {
    // Hands a worker's flushes to the thread that keeps house.
    struct Flusher final : StateFlusher {
        Flusher(Impl& owner, WorkerId id) : host(owner), worker(id) {}
        void flush(std::function<void()> done) override {
            const std::lock_guard lock(host.house_mutex_);
            host.flushes_.emplace_back(worker, std::move(done));
            host.house_wake_.notify_one();
        }
        Impl& host;
        const WorkerId worker;
    };
    using Flushes = std::vector<std::pair<WorkerId, std::function<void()>>>;

  public:
    explicit Impl(GroupHostOptions options)
        : options_(std::move(options)),
          clock_(options_.clock != nullptr ? *options_.clock : system_clock_) {}
    ~Impl() { stop(); }

    Status open();
    Status add_group(const GroupOptions& options, StateMachine& machine, WorkerId worker);
    Status start();
    void stop();
    Status flush();

    [[nodiscard]] uint32_t workers() const { return static_cast<uint32_t>(workers_.size()); }
    Worker& worker(WorkerId id) { return *workers_.at(id.value()); }
    Worker& worker_of(GroupId id) { return worker(plan_.at(id).worker); }
    Group* group(GroupId id) {
        const auto found = groups_.find(id);
        return found == groups_.end() ? nullptr : found->second;
    }
    std::vector<GroupReport> reports();
    storage::RocksEngine& engine() { return *engine_; }
    storage::DiskState disk_state() { return disk_->state(clock_.now()); }
    void set_disk_marks(storage::DiskMarks marks) { disk_->set_marks(marks); }

  private:
    struct Plan {
        GroupOptions options;
        StateMachine* machine = nullptr;
        WorkerId worker;
    };

    void failed(const Error& error);
    void make_workers();
    void report_loaded();
    void housekeeping();
    void keep_house(std::chrono::nanoseconds& dirty_since);
    void serve(Flushes flushes);
    [[nodiscard]] uint64_t log_bytes() const;
    void report_errors();

    GroupHostOptions options_;
    const SystemClock system_clock_{};
    const Clock& clock_;
    std::unique_ptr<storage::RocksEngine> engine_;
    std::unique_ptr<storage::DiskWatch> disk_;
    std::unique_ptr<storage::LogWriter> writer_;
    std::vector<std::unique_ptr<Flusher>> flushers_;  // by worker
    std::vector<std::unique_ptr<Worker>> workers_;
    std::map<GroupId, Plan> plan_;
    std::map<GroupId, Group*> groups_;  // filled by start(), constant afterwards
    MetricsShard* writer_metrics_ = nullptr;
    MetricsShard* house_metrics_ = nullptr;
    // As reported; the housekeeping thread's.
    std::array<uint64_t, storage::kStorageOps> reported_errors_{};
    uint64_t reported_corrupt_ = 0;
    bool running_ = false;

    std::mutex flush_mutex_;  // one flush at a time
    std::mutex house_mutex_;
    std::condition_variable house_wake_;
    bool house_stopping_ = false;
    Flushes flushes_;  // asked for; one a group at most
    std::thread house_;
};

Status GroupHost::Impl::open() {
    if (options_.workers == 0) return Error{ErrorCode::InvalidArgument, "no workers"};
    storage::StorageOptions storage = options_.storage;
    storage.log_sync_interval = options_.sync_interval.count() > 0;
    storage.on_background_error = [this](const Error& error) { failed(error); };
    Result<std::unique_ptr<storage::RocksEngine>> engine = storage::RocksEngine::open(storage);
    if (!engine) return engine.error();
    engine_ = std::move(*engine);

    storage::DiskWatch::Probe probe = options_.disk_probe;
    if (!probe) probe = [path = options_.storage.data_dir] { return storage::disk_use(path); };
    disk_ = std::make_unique<storage::DiskWatch>(std::move(probe), options_.disk_marks);

    if (options_.metrics != nullptr) {
        writer_metrics_ = &options_.metrics->make_shard();
        house_metrics_ = &options_.metrics->make_shard();
    }
    storage::LogWriterOptions writer;
    writer.sync_interval = options_.sync_interval;
    writer.on_failure = [this](const Error& error) { failed(error); };
    if (writer_metrics_ != nullptr) {
        writer.on_round = [this](const storage::LogRound& round) {
            writer_metrics_->observe<Metric::RaftFsync>(round.write);
            writer_metrics_->observe<Metric::WalWrite>(engine_->log().last_append());
            writer_metrics_->observe<Metric::WalBatchEntries>(round.entries);
        };
    }
    writer_ = std::make_unique<storage::LogWriter>(engine_->log(), std::move(writer));
    make_workers();
    return {};
}

void GroupHost::Impl::make_workers() {
    GroupContext context{engine_->log(), engine_->state(), clock_, disk_.get(), options_.messages};
    for (uint32_t i = 0; i < options_.workers; ++i) {
        WorkerOptions worker;
        worker.id = WorkerId(static_cast<uint16_t>(i));
        flushers_.push_back(std::make_unique<Flusher>(*this, worker.id));
        context.flusher = flushers_.back().get();
        worker.mailbox_tasks_max = options_.mailbox_tasks_max;
        worker.metrics = options_.metrics;
        worker.on_failure = [this](const Error& error) { failed(error); };
        workers_.push_back(std::make_unique<Worker>(std::move(worker), context, *writer_));
    }
}

void GroupHost::Impl::failed(const Error& error) {
    if (options_.log != nullptr) options_.log->error("storage failed", {{"error", error.message}});
    if (!options_.on_failure) QUORATE_FATAL(error.message.c_str());
    options_.on_failure(error);
}

Status GroupHost::Impl::add_group(const GroupOptions& options, StateMachine& machine,
                                  WorkerId worker) {
    ASSERT(!running_, "groups are added before the start");
    if (worker.value() >= workers_.size()) {
        return Error{ErrorCode::InvalidArgument, "no such worker"};
    }
    if (!plan_.emplace(options.id, Plan{options, &machine, worker}).second) {
        return Error{ErrorCode::AlreadyExists,
                     "group " + std::to_string(options.id.value()) + " was added already"};
    }
    return {};
}

Status GroupHost::Impl::start() {
    ASSERT(!running_, "a host starts once");
    running_ = true;
    writer_->start();
    for (const auto& worker : workers_) {
        worker->start();
    }
    std::mutex mutex;
    Status failure;
    std::latch loaded(static_cast<std::ptrdiff_t>(plan_.size()));
    for (const auto& [id, plan] : plan_) {
        Worker& worker = this->worker(plan.worker);
        worker.post_reserved([&, &plan = plan] {
            const Result<Group*> group = worker.runner().add(plan.options, *plan.machine);
            {
                const std::lock_guard lock(mutex);
                if (group) {
                    groups_.emplace(plan.options.id, *group);
                } else {
                    failure = group.error();
                }
            }
            loaded.count_down();
        });
    }
    loaded.wait();
    if (failure) failure = engine_->remove_unnamed_generations();
    if (!failure) {
        stop();
        return failure;
    }
    report_loaded();
    house_ = std::thread([this] { housekeeping(); });
    return {};
}

void GroupHost::Impl::report_loaded() {
    if (options_.log == nullptr) return;
    for (const GroupReport& report : reports()) {
        const std::initializer_list<LogField> fields = {{"group", report.id.value()},
                                                        {"what", report.failure}};
        if (report.health == GroupHealth::Amnesic) {
            options_.log->error("replica has lost what it promised and takes no part; rebuild it",
                                fields);
        } else if (report.health == GroupHealth::Failed) {
            options_.log->error("replica is damaged and takes no part; rebuild it", fields);
        }
    }
}

std::vector<GroupReport> GroupHost::Impl::reports() {
    std::vector<GroupReport> reports;
    std::mutex mutex;
    std::latch done(static_cast<std::ptrdiff_t>(groups_.size()));
    const auto visit = [&](Group* group) {
        {
            const std::lock_guard lock(mutex);
            reports.push_back(GroupReport{group->id(), group->health(), group->failure()});
        }
        done.count_down();
    };
    for (const auto& [id, group] : groups_) {
        if (running_) {
            worker_of(id).post_reserved([&visit, group = group] { visit(group); });
        } else {
            visit(group);
        }
    }
    done.wait();
    return reports;
}

void GroupHost::Impl::stop() {
    if (!running_) return;
    if (house_.joinable()) {
        {
            const std::lock_guard lock(house_mutex_);
            house_stopping_ = true;
        }
        house_wake_.notify_one();
        house_.join();
    }
    for (const auto& worker : workers_) {
        worker->stop();
    }
    writer_->stop();
    running_ = false;
    // Only to start faster next time: everything promised is in the log already.
    Status flushed = engine_->state().flush();
    if (flushed) flushed = engine_->log().write_durable_mark();
    if (!flushed && options_.log != nullptr) {
        options_.log->warn("stopped without a last flush", {{"error", flushed.error().message}});
    }
}

Status GroupHost::Impl::flush() {
    const std::lock_guard one(flush_mutex_);
    // What is read here was written before the flush begins, so the flush covers it.
    std::map<GroupId, LogIndex> synced;
    for (const auto& [id, group] : groups_) {
        synced.emplace(id, group->synced_candidate());
    }
    if (Status flushed = engine_->state().flush(); !flushed) return flushed;
    for (const auto& [id, index] : synced) {
        worker_of(id).post_reserved(
            [this, id = id, index = index] { worker_of(id).runner().state_synced(id, index); });
    }
    return {};
}

uint64_t GroupHost::Impl::log_bytes() const {
    uint64_t bytes = 0;
    for (const auto& [id, group] : groups_)
        bytes += group->log_bytes();
    return bytes;
}

void GroupHost::Impl::report_errors() {
    const storage::StorageCounts& counts = engine_->counts();
    for (std::size_t op = 0; op < storage::kStorageOps; ++op) {
        const uint64_t now = counts.errors(static_cast<storage::StorageOp>(op));
        house_metrics_->add<Metric::StorageErrors>(static_cast<StorageOpLabel>(op),
                                                   now - std::exchange(reported_errors_[op], now));
    }
    const uint64_t corrupt = counts.corrupt_records();
    house_metrics_->add<Metric::CorruptionDetected>(corrupt -
                                                    std::exchange(reported_corrupt_, corrupt));
}

void GroupHost::Impl::housekeeping() {
    ::pthread_setname_np(::pthread_self(), "housekeeping");
    std::chrono::nanoseconds dirty_since{};
    std::unique_lock lock(house_mutex_);
    const auto called = [this] { return house_stopping_ || !flushes_.empty(); };
    for (;;) {
        const bool timed_out = !house_wake_.wait_for(lock, kHousekeeping, called);
        if (house_stopping_) return;
        Flushes flushes = std::exchange(flushes_, {});
        lock.unlock();
        if (timed_out) keep_house(dirty_since);
        if (!flushes.empty()) serve(std::move(flushes));
        lock.lock();
    }
}

// One flush for all that were asked for before it began.
void GroupHost::Impl::serve(Flushes flushes) {
    const Status flushed = engine_->state().flush();
    if (!flushed) {
        failed(flushed.error());
        return;
    }
    for (auto& [worker, done] : flushes) {
        this->worker(worker).post_reserved(std::move(done));
    }
}

void GroupHost::Impl::keep_house(std::chrono::nanoseconds& dirty_since) {
    const std::chrono::nanoseconds now = clock_.now();
    const uint64_t bytes = log_bytes();
    if (house_metrics_ != nullptr) {
        house_metrics_->set<Metric::RaftLogBytes>(bytes);
        report_errors();
    }
    if (bytes == 0) {
        dirty_since = {};
    } else if (dirty_since.count() == 0) {
        dirty_since = now;
    }
    const bool old = dirty_since.count() != 0 && now - dirty_since >= options_.flush_age;
    Status done;
    if (bytes >= options_.flush_log_bytes || old) {
        dirty_since = {};
        done = flush();
        if (!done) failed(done.error());
    }
    done = engine_->log().write_durable_mark();
    if (!done && options_.log != nullptr) {
        options_.log->warn("durable mark not written", {{"error", done.error().message}});
    }
}

GroupHost::GroupHost(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
GroupHost::~GroupHost() = default;

Result<std::unique_ptr<GroupHost>> GroupHost::open(GroupHostOptions options) {
    auto impl = std::make_unique<Impl>(std::move(options));
    if (const Status opened = impl->open(); !opened) return opened.error();
    return std::make_unique<GroupHost>(std::move(impl));
}

Status GroupHost::add_group(const GroupOptions& options, StateMachine& machine) {
    const auto worker = static_cast<uint16_t>(options.id.value() % impl_->workers());
    return impl_->add_group(options, machine, WorkerId(worker));
}
Status GroupHost::add_group(const GroupOptions& options, StateMachine& machine, WorkerId worker) {
    return impl_->add_group(options, machine, worker);
}
Status GroupHost::start() {
    return impl_->start();
}
void GroupHost::stop() {
    impl_->stop();
}
uint32_t GroupHost::workers() const {
    return impl_->workers();
}
Worker& GroupHost::worker(WorkerId id) {
    return impl_->worker(id);
}
Worker& GroupHost::worker_of(GroupId id) {
    return impl_->worker_of(id);
}
Group* GroupHost::group(GroupId id) {
    return impl_->group(id);
}
std::vector<GroupReport> GroupHost::reports() {
    return impl_->reports();
}
storage::RocksEngine& GroupHost::engine() {
    return impl_->engine();
}
storage::DiskState GroupHost::disk_state() {
    return impl_->disk_state();
}
void GroupHost::set_disk_marks(storage::DiskMarks marks) {
    impl_->set_disk_marks(marks);
}
Status GroupHost::flush_now() {
    return impl_->flush();
}

}  // namespace quorate::cluster
