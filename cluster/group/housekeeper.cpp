#include "cluster/group/housekeeper.h"

#include <map>

#include <pthread.h>

#include "proto/base/assert.h"

namespace quorate::cluster {
namespace {
// How often it looks whether it is time to flush, and writes the durable mark.
constexpr std::chrono::milliseconds kRound{1000};

constexpr const char* kRebuild =
    "restore this node's data directory from a backup or, where other nodes have replicas of all "
    "its groups, start it with an empty one: they send it everything";
}  // namespace

void log_unsound(const Log& log, GroupId group, GroupHealth health, const std::string& failure) {
    const std::initializer_list<LogField> fields = {
        {"group", group.value()}, {"what", failure}, {"rebuild", kRebuild}};
    switch (health) {
        case GroupHealth::Sound:
            return;
        case GroupHealth::Amnesic:
            log.error("replica has lost what it promised and takes no part", fields);
            return;
        case GroupHealth::Failed:
            log.error("replica is damaged and takes no part", fields);
            return;
    }
}

void Housekeeper::start(std::vector<Kept> groups) {
    ASSERT(!thread_.joinable(), "a house is kept once");
    groups_ = std::move(groups);
    for (const Kept& kept : groups_)
        told_.push_back(kept.group->health() != GroupHealth::Sound);
    thread_ = std::thread([this] { run(); });
}

void Housekeeper::stop() {
    if (!thread_.joinable()) return;
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
}

void Housekeeper::ask(Worker& worker, std::function<void()> done) {
    const std::lock_guard lock(mutex_);
    asked_.emplace_back(&worker, std::move(done));
    wake_.notify_one();
}

Status Housekeeper::flush() {
    const std::lock_guard one(flush_mutex_);
    // What is read here was written before the flush begins, so the flush covers it.
    std::vector<LogIndex> synced;
    synced.reserve(groups_.size());
    for (const Kept& kept : groups_) {
        synced.push_back(kept.group->synced_candidate());
    }
    if (Status flushed = engine_.state().flush(); !flushed) return flushed;
    for (std::size_t i = 0; i < groups_.size(); ++i) {
        const Kept& kept = groups_[i];
        kept.worker->post_reserved([kept, index = synced[i]] {
            kept.worker->runner().state_synced(kept.group->id(), index);
        });
    }
    return {};
}

uint64_t Housekeeper::log_bytes() const {
    uint64_t bytes = 0;
    for (const Kept& kept : groups_) {
        bytes += kept.group->log_bytes();
    }
    return bytes;
}

void Housekeeper::report_errors() {
    const storage::StorageCounts& counts = engine_.counts();
    for (std::size_t op = 0; op < storage::kStorageOps; ++op) {
        const uint64_t now = counts.errors(static_cast<storage::StorageOp>(op));
        options_.metrics->add<Metric::StorageErrors>(
            static_cast<StorageOpLabel>(op), now - std::exchange(reported_errors_[op], now));
    }
    const uint64_t corrupt = counts.corrupt_records();
    options_.metrics->add<Metric::CorruptionDetected>(corrupt -
                                                      std::exchange(reported_corrupt_, corrupt));
}

// A replica that stopped since the start: its worker knows why.
void Housekeeper::report_unsound() {
    for (std::size_t at = 0; at < groups_.size(); ++at) {
        const Kept& kept = groups_[at];
        const bool sound = kept.group->health() == GroupHealth::Sound;
        if (!sound && !told_[at] && options_.log != nullptr) {
            kept.worker->post_reserved([group = kept.group, &log = *options_.log] {
                log_unsound(log, group->id(), group->health(), group->failure());
            });
        }
        told_[at] = !sound;
    }
}

void Housekeeper::run() {
    ::pthread_setname_np(::pthread_self(), "housekeeping");
    std::unique_lock lock(mutex_);
    const auto called = [this] { return stopping_ || !asked_.empty(); };
    for (;;) {
        const bool timed_out = !wake_.wait_for(lock, kRound, called);
        if (stopping_) return;
        Asked asked = std::exchange(asked_, {});
        lock.unlock();
        if (timed_out) look();
        if (!asked.empty()) serve(std::move(asked));
        lock.lock();
    }
}

// One flush for all that were asked for before it began. With a mark, since what it says of a
// replica that began anew is what its old name had promised: after a crash it would be missed.
void Housekeeper::serve(Asked asked) {
    if (const Status flushed = engine_.state().flush(); !flushed) {
        options_.failed(flushed.error());
        return;
    }
    for (auto& [worker, done] : asked) {
        worker->post_reserved(std::move(done));
    }
    write_mark();
}

void Housekeeper::write_mark() {
    const Status marked = engine_.log().write_durable_mark();
    if (!marked && options_.log != nullptr) {
        options_.log->warn("durable mark not written", {{"error", marked.error().message}});
    }
}

void Housekeeper::look() {
    const std::chrono::nanoseconds now = clock_.now();
    const uint64_t bytes = log_bytes();
    report_unsound();
    if (options_.metrics != nullptr) {
        options_.metrics->set<Metric::RaftLogBytes>(bytes);
        report_errors();
    }
    if (bytes == 0) {
        dirty_since_ = {};
    } else if (dirty_since_.count() == 0) {
        dirty_since_ = now;
    }
    const bool old = dirty_since_.count() != 0 && now - dirty_since_ >= options_.flush_age;
    if (bytes >= options_.flush_log_bytes || old) {
        dirty_since_ = {};
        if (const Status done = flush(); !done) options_.failed(done.error());
    }
    write_mark();
}

}  // namespace quorate::cluster
