#include "cluster/group/worker.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include <pthread.h>

#include "proto/base/assert.h"
#include "proto/base/mailbox.h"

namespace quorate::cluster {

class Worker::Impl {
  public:
    Impl(WorkerOptions options, GroupContext context, storage::LogSink& sink)
        : options_(std::move(options)),
          clock_(context.clock),
          mailbox_(options_.mailbox_tasks_max, [this] { wake(); }),
          runner_(
              context, sink,
              GroupRunnerOptions{options_.tick,
                                 [this] { mailbox_.push_reserved([this] { runner_.log_done(); }); },
                                 options_.on_failure}) {}
    ~Impl() { ASSERT(!thread_.joinable(), "a worker is stopped before it is destroyed"); }

    void start() {
        ASSERT(!thread_.joinable(), "a worker starts once");
        if (options_.metrics != nullptr) metrics_ = &options_.metrics->make_shard();
        thread_ = std::thread([this] { run(); });
    }

    void stop() {
        if (!thread_.joinable()) return;
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
        }
        wake();
        thread_.join();
    }

    bool post(Task& task) { return mailbox_.try_push(task); }
    void post_reserved(Task task) { mailbox_.push_reserved(std::move(task)); }

    Result<TimerId> call_later(std::chrono::nanoseconds delay, Task task) {
        if (timers_.size() >= options_.timers_max) {
            return Error{ErrorCode::LimitExceeded, "too many timers on this worker"};
        }
        ++last_timer_;
        const std::chrono::nanoseconds due = clock_.now() + std::max(delay, {});
        timers_.emplace(std::pair(due, last_timer_), std::move(task));
        due_of_.emplace(last_timer_, due);
        return last_timer_;
    }

    void cancel(TimerId timer) {
        const auto found = due_of_.find(timer);
        if (found == due_of_.end()) return;
        timers_.erase(std::pair(found->second, timer));
        due_of_.erase(found);
    }

    void on_turn_end(std::function<void()> hook) {
        ASSERT(!thread_.joinable(), "hooks are added before the start");
        hooks_.push_back(std::move(hook));
    }

    GroupRunner& runner() { return runner_; }
    [[nodiscard]] WorkerId id() const { return options_.id; }
    [[nodiscard]] const Clock& clock() const { return clock_; }
    [[nodiscard]] bool in_thread() const { return std::this_thread::get_id() == thread_.get_id(); }
    [[nodiscard]] uint64_t heartbeat() const { return turns_.load(std::memory_order_relaxed); }

  private:
    void wake() {
        {
            const std::lock_guard lock(mutex_);
            signalled_ = true;
        }
        wake_.notify_one();
    }

    void run() noexcept {
        const std::string name = "worker-" + std::to_string(options_.id.value());
        ::pthread_setname_np(::pthread_self(), name.c_str());
        for (;;) {
            turns_.fetch_add(1, std::memory_order_relaxed);
            const bool more = turn();
            if (more) continue;
            if (finished()) return;
            wait();
        }
    }

    // True when there is more to do at once.
    bool turn() {
        mailbox_.take(tasks_);
        taken_ = tasks_.size();
        for (Task& task : tasks_) {
            task();
        }
        tasks_.clear();
        run_timers();
        const bool more = runner_.turn();
        count(runner_.figures(), runner_.counters());
        for (const std::function<void()>& hook : hooks_) {
            hook();
        }
        return more;
    }

    void run_timers() {
        if (timers_.empty()) return;
        const std::chrono::nanoseconds now = clock_.now();
        while (!timers_.empty() && timers_.begin()->first.first <= now) {
            Task task = std::move(timers_.begin()->second);
            due_of_.erase(timers_.begin()->first.second);
            timers_.erase(timers_.begin());
            task();
        }
    }

    void count(const TurnFigures& figures, const GroupCounters& now) {
        if (metrics_ == nullptr) return;
        metrics_->set<Metric::QueueDepth>(StageLabel::Worker, taken_);
        metrics_->set<Metric::QueueDepth>(StageLabel::LogWriter, runner_.requests_in_flight());
        metrics_->set<Metric::RaftProposalsPending>(now.proposals_pending);
        for (const std::chrono::nanoseconds took : now.commits)
            metrics_->observe<Metric::RaftCommit>(took);
        metrics_->add<Metric::RaftProposalsFailed>(now.proposals_failed -
                                                   reported_.proposals_failed);
        reported_.proposals_failed = now.proposals_failed;
        if (now.state_checks != reported_.state_checks ||
            now.states_differ != reported_.states_differ ||
            now.appends_refused != reported_.appends_refused) {
            count_rare(now);
        }
        if (now.roles != reported_.roles || now.elections_lost != reported_.elections_lost ||
            now.leader_changes != reported_.leader_changes) {
            count_roles(now);
        }
        if (figures.entries_written > 0) {
            metrics_->add<Metric::RaftProposals>(figures.entries_written);
        }
        if (figures.entries_applied > 0) {
            metrics_->add<Metric::RaftCommands>(figures.commands_applied);
            metrics_->observe<Metric::RaftApply>(figures.apply);
        }
    }

    void count_rare(const GroupCounters& now) {
        metrics_->add<Metric::RaftStateChecks>(ResultLabel::Ok,
                                               now.state_checks - reported_.state_checks);
        metrics_->add<Metric::RaftStateChecks>(ResultLabel::Failed,
                                               now.states_differ - reported_.states_differ);
        metrics_->add<Metric::RaftAppendsRefused>(now.appends_refused - reported_.appends_refused);
        reported_.appends_refused = now.appends_refused;
        reported_.state_checks = now.state_checks;
        reported_.states_differ = now.states_differ;
    }

    void count_roles(const GroupCounters& now) {
        using raft::Role;
        const auto of = [&now](Role role) { return now.roles[static_cast<std::size_t>(role)]; };
        metrics_->set<Metric::RaftGroups>(RaftRoleLabel::Leader, of(Role::Leader));
        metrics_->set<Metric::RaftGroups>(RaftRoleLabel::Follower, of(Role::Follower));
        metrics_->set<Metric::RaftGroups>(RaftRoleLabel::Candidate,
                                          of(Role::PreCandidate) + of(Role::Candidate));
        metrics_->add<Metric::RaftElections>(ResultLabel::Ok,
                                             now.elections_won - reported_.elections_won);
        metrics_->add<Metric::RaftElections>(ResultLabel::Failed,
                                             now.elections_lost - reported_.elections_lost);
        metrics_->add<Metric::RaftLeaderChanges>(now.leader_changes - reported_.leader_changes);
        reported_.roles = now.roles;
        reported_.elections_won = now.elections_won;
        reported_.elections_lost = now.elections_lost;
        reported_.leader_changes = now.leader_changes;
    }

    // Stopping, and nothing is posted, proposed or with the log writer any more.
    bool finished() {
        const std::lock_guard lock(mutex_);
        return stopping_ && runner_.requests_in_flight() == 0 && mailbox_.size() == 0;
    }

    void wait() {
        std::optional<std::chrono::nanoseconds> deadline = runner_.next_tick();
        if (!timers_.empty()) {
            const std::chrono::nanoseconds due = timers_.begin()->first.first;
            deadline = deadline ? std::min(*deadline, due) : due;
        }
        std::unique_lock lock(mutex_);
        const auto ready = [this] { return signalled_; };
        if (deadline) {
            wake_.wait_for(lock, *deadline - clock_.now(), ready);
        } else {
            wake_.wait(lock, ready);
        }
        signalled_ = false;
    }

    const WorkerOptions options_;
    const Clock& clock_;
    std::mutex mutex_;
    std::condition_variable wake_;
    bool signalled_ = false;
    bool stopping_ = false;
    Mailbox<Task> mailbox_;
    std::thread thread_;
    std::atomic<uint64_t> turns_{0};

    // Of the thread.
    GroupRunner runner_;
    std::vector<Task> tasks_;
    std::size_t taken_ = 0;  // tasks of this turn
    std::map<std::pair<std::chrono::nanoseconds, TimerId>, Task> timers_;
    std::unordered_map<TimerId, std::chrono::nanoseconds> due_of_;
    TimerId last_timer_;
    std::vector<std::function<void()>> hooks_;
    MetricsShard* metrics_ = nullptr;
    GroupCounters reported_;  // as last added to the metrics
};

Worker::Worker(WorkerOptions options, GroupContext context, storage::LogSink& sink)
    : impl_(std::make_unique<Impl>(std::move(options), context, sink)) {}
Worker::~Worker() = default;
void Worker::start() {
    impl_->start();
}
void Worker::stop() {
    impl_->stop();
}
bool Worker::post(Task& task) {
    return impl_->post(task);
}
void Worker::post_reserved(Task task) {
    impl_->post_reserved(std::move(task));
}
Result<TimerId> Worker::call_later(std::chrono::nanoseconds delay, Task task) {
    return impl_->call_later(delay, std::move(task));
}
void Worker::cancel(TimerId timer) {
    impl_->cancel(timer);
}
void Worker::on_turn_end(std::function<void()> hook) {
    impl_->on_turn_end(std::move(hook));
}
Group* Worker::group(GroupId id) {
    return impl_->runner().find(id);
}
GroupRunner& Worker::runner() {
    return impl_->runner();
}
WorkerId Worker::id() const {
    return impl_->id();
}
const Clock& Worker::clock() const {
    return impl_->clock();
}
bool Worker::in_thread() const {
    return impl_->in_thread();
}
uint64_t Worker::heartbeat() const {
    return impl_->heartbeat();
}

}  // namespace quorate::cluster
