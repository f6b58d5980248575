#include "cluster/group/group_host.h"

#include <algorithm>
#include <functional>
#include <latch>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "cluster/group/housekeeper.h"
#include "proto/base/assert.h"

namespace quorate::cluster {

class GroupHost::Impl {
    // Hands a worker's flushes to the thread that keeps house.
    struct Flusher final : StateFlusher {
        Flusher(Impl& owner, WorkerId id) : host(owner), worker(id) {}
        void flush(std::function<void()> done) override {
            host.house_->ask(host.worker(worker), std::move(done));
        }
        Impl& host;
        const WorkerId worker;
    };

  public:
    explicit Impl(GroupHostOptions options)
        : options_(std::move(options)),
          clock_(options_.clock != nullptr ? *options_.clock : system_clock_) {}
    ~Impl() { stop(); }

    Status open();
    Status add_group(const GroupOptions& options, StateMachine& machine, WorkerId worker);
    Status start();
    void stop();
    Status flush() { return house_->flush(); }

    [[nodiscard]] uint32_t workers() const { return static_cast<uint32_t>(workers_.size()); }
    Worker& worker(WorkerId id) { return *workers_.at(id.value()); }
    Worker& worker_of(GroupId id) {
        const auto planned = plan_.find(id);
        if (planned != plan_.end()) return worker(planned->second.worker);
        return *workers_[id.value() % workers_.size()];
    }
    Group* group(GroupId id) { return worker_of(id).group(id); }
    [[nodiscard]] const std::vector<DiskGroup>& on_disk() const { return on_disk_; }
    void create(const GroupOptions& options, StateMachine& machine,
                std::function<void(Result<Group*>)> done);
    void remove(GroupId id, std::function<void(Status)> done);
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
    void make_house();
    Status read_disk();
    Status load_groups();
    void report_loaded();

    GroupHostOptions options_;
    const SystemClock system_clock_{};
    const Clock& clock_;
    std::unique_ptr<storage::RocksEngine> engine_;
    std::unique_ptr<storage::DiskWatch> disk_;
    std::unique_ptr<storage::LogWriter> writer_;
    std::vector<std::unique_ptr<Flusher>> flushers_;  // by worker
    std::vector<std::unique_ptr<Worker>> workers_;
    std::vector<DiskGroup> on_disk_;
    std::map<GroupId, Plan> plan_;  // constant once it runs
    MetricsShard* writer_metrics_ = nullptr;
    bool running_ = false;
    std::unique_ptr<Housekeeper> house_;  // gone before those it keeps house for
};

Status GroupHost::Impl::open() {
    if (options_.workers == 0) return Error{ErrorCode::InvalidArgument, "no workers"};
    storage::StorageOptions storage = options_.storage;
    storage.log_sync_interval = options_.sync_interval.count() > 0;
    storage.on_background_error = [this](const Error& error) { failed(error); };
    Result<std::unique_ptr<storage::RocksEngine>> engine = storage::RocksEngine::open(storage);
    if (!engine) return engine.error();
    engine_ = std::move(*engine);
    if (Status read = read_disk(); !read) return read;

    storage::DiskWatch::Probe probe = options_.disk_probe;
    if (!probe) probe = [path = options_.storage.data_dir] { return storage::disk_use(path); };
    disk_ = std::make_unique<storage::DiskWatch>(std::move(probe), options_.disk_marks);

    if (options_.metrics != nullptr) {
        writer_metrics_ = &options_.metrics->make_shard();
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
    make_house();
    return {};
}

Status GroupHost::Impl::read_disk() {
    const Result<std::vector<GroupId>> groups = engine_->log().groups();
    if (!groups) return groups.error();
    for (const GroupId id : *groups) {
        const Result<storage::GroupMeta> meta = engine_->log().meta(id);
        if (!meta && meta.error().code == ErrorCode::Io) return meta.error();
        on_disk_.push_back(DiskGroup{id, meta ? meta->replica : ReplicaId(), meta.ok()});
    }
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

void GroupHost::Impl::make_house() {
    Housekeeper::Options house;
    house.flush_log_bytes = options_.flush_log_bytes;
    house.flush_age = options_.flush_age;
    if (options_.metrics != nullptr) house.metrics = &options_.metrics->make_shard();
    house.log = options_.log;
    house.failed = [this](const Error& error) { failed(error); };
    house_ = std::make_unique<Housekeeper>(*engine_, clock_, std::move(house));
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
    const Status failure = load_groups();
    if (!failure) {
        stop();
        return failure;
    }
    report_loaded();
    house_->start();
    return {};
}

// Each worker its own, at the same time. Then all stand still while the generations that no log
// names are removed: a group that ran could already be receiving a snapshot into such a one.
Status GroupHost::Impl::load_groups() {
    std::mutex mutex;
    Status failure;
    const auto count = static_cast<std::ptrdiff_t>(workers_.size());
    std::latch loaded(count);
    std::latch removed(1);
    std::latch left(count);
    const auto load = [&](uint16_t at) {
        for (const auto& [id, plan] : plan_) {
            if (plan.worker.value() != at) continue;
            const Result<Group*> group = workers_[at]->runner().add(plan.options, *plan.machine);
            const std::lock_guard lock(mutex);
            if (group) {
                house_->keep(**group, *workers_[at]);
            } else {
                failure = group.error();
            }
        }
        loaded.count_down();
        removed.wait();
        left.count_down();
    };
    for (uint16_t i = 0; i < workers_.size(); ++i) {
        workers_[i]->post_reserved([&load, i] { load(i); });
    }
    loaded.wait();
    if (failure) failure = engine_->remove_unnamed_generations();
    removed.count_down();
    left.wait();
    return failure;
}

void GroupHost::Impl::report_loaded() {
    if (options_.log == nullptr) return;
    for (const GroupReport& report : reports()) {
        log_unsound(*options_.log, report.id, report.health, report.failure);
    }
}

void GroupHost::Impl::create(const GroupOptions& options, StateMachine& machine,
                             std::function<void(Result<Group*>)> done) {
    Worker& worker = worker_of(options.id);
    worker.post_reserved([this, &worker, &machine, options, done = std::move(done)] {
        const Result<Group*> added = worker.runner().add(options, machine);
        if (added) house_->keep(**added, worker);
        if (done) done(added);
    });
}

void GroupHost::Impl::remove(GroupId id, std::function<void(Status)> done) {
    Worker& worker = worker_of(id);
    worker.post_reserved([this, &worker, id, done = std::move(done)] {
        if (const Group* group = worker.group(id)) house_->forget(*group);
        const Status begun = worker.runner().remove(id, [done] {
            if (done) done({});
        });
        if (!begun && done) done(begun);
    });
}

std::vector<GroupReport> GroupHost::Impl::reports() {
    std::vector<GroupReport> reports;
    std::mutex mutex;
    std::latch done(static_cast<std::ptrdiff_t>(workers_.size()));
    const auto visit = [&](Worker& worker) {
        {
            const std::lock_guard lock(mutex);
            worker.runner().for_each([&reports](const Group& group) {
                reports.push_back(GroupReport{group.id(), group.self(), group.health(),
                                              group.configuration_index(), group.failure()});
            });
        }
        done.count_down();
    };
    for (const auto& worker : workers_) {
        if (running_) {
            worker->post_reserved([&visit, &worker] { visit(*worker); });
        } else {
            visit(*worker);
        }
    }
    done.wait();
    std::ranges::sort(reports, {}, &GroupReport::id);
    return reports;
}

void GroupHost::Impl::stop() {
    if (!running_) return;
    house_->stop();
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
const std::vector<DiskGroup>& GroupHost::on_disk() const {
    return impl_->on_disk();
}
void GroupHost::create(const GroupOptions& options, StateMachine& machine,
                       std::function<void(Result<Group*>)> done) {
    impl_->create(options, machine, std::move(done));
}
void GroupHost::remove(GroupId id, std::function<void(Status)> done) {
    impl_->remove(id, std::move(done));
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
