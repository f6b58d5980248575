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
        case GroupHealth::Removed:
            return;
        case GroupHealth::Amnesic:
            log.error("replica has lost what it promised and takes no part", fields);
            return;
        case GroupHealth::Failed:
            log.error("replica is damaged and takes no part", fields);
            return;
    }
}

void Housekeeper::start() {
    ASSERT(!thread_.joinable(), "a house is kept once");
    {
        // The owner has reported what it found.
        const std::lock_guard lock(groups_mutex_);
        for (Kept& kept : groups_)
            kept.told = kept.group->health() != GroupHealth::Sound;
    }
    thread_ = std::thread([this] { run(); });
}

void Housekeeper::keep(const Group& group, Worker& worker) {
    const std::lock_guard lock(groups_mutex_);
    groups_.push_back(Kept{++last_serial_, &group, &worker, false});
}

void Housekeeper::forget(const Group& group) {
    const std::lock_guard lock(groups_mutex_);
    std::erase_if(groups_, [&group](const Kept& kept) { return kept.group == &group; });
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
    std::map<uint64_t, LogIndex> synced;
    {
        const std::lock_guard lock(groups_mutex_);
        for (const Kept& kept : groups_) {
            synced.emplace(kept.serial, kept.group->synced_candidate());
        }
    }
    if (Status flushed = engine_.state().flush(); !flushed) return flushed;
    // It says nothing of a group that was made since, also if one of the same id was there before.
    const std::lock_guard lock(groups_mutex_);
    for (const Kept& kept : groups_) {
        const auto read = synced.find(kept.serial);
        if (read == synced.end()) continue;
        kept.worker->post_reserved(
            [worker = kept.worker, id = kept.group->id(), index = read->second] {
                worker->runner().state_synced(id, index);
            });
    }
    return {};
}

uint64_t Housekeeper::log_bytes() {
    const std::lock_guard lock(groups_mutex_);
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
    const std::lock_guard lock(groups_mutex_);
    uint64_t stopped = 0;
    for (Kept& kept : groups_) {
        const bool sound = kept.group->health() == GroupHealth::Sound;
        if (!sound && !kept.told && options_.log != nullptr) {
            kept.worker->post_reserved(
                [worker = kept.worker, id = kept.group->id(), &log = *options_.log] {
                    const Group* group = worker->group(id);
                    if (group != nullptr) log_unsound(log, id, group->health(), group->failure());
                });
        }
        kept.told = !sound;
        if (!sound && kept.group->health() != GroupHealth::Removed) ++stopped;
    }
    if (options_.metrics != nullptr) options_.metrics->set<Metric::RaftStopped>(stopped);
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
