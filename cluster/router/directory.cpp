#include "cluster/router/directory.h"

namespace quorate::cluster {

Directory::Directory(std::size_t readers)
    : tables_(readers, [this] { wake(); }), thread_([this] { run(); }) {}

Directory::~Directory() {
    stop();
}

void Directory::change(std::vector<DirectoryOp> ops, Task shown) {
    {
        const std::lock_guard lock(mutex_);
        waiting_.push_back({std::move(ops), std::move(shown)});
        woken_ = true;
    }
    awake_.notify_one();
}

void Directory::wake() {
    {
        const std::lock_guard lock(mutex_);
        woken_ = true;
    }
    awake_.notify_one();
}

void Directory::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        woken_ = true;
    }
    awake_.notify_one();
    if (thread_.joinable()) thread_.join();
}

void Directory::run() {
    std::vector<Change> taken;
    std::vector<Task> staged;   // wait for the next publish
    std::vector<Task> showing;  // wait for the readers to leave the older table
    for (;;) {
        bool stopping = false;
        {
            std::unique_lock lock(mutex_);
            awake_.wait(lock, [this] { return woken_; });
            woken_ = false;
            stopping = stopping_;
            taken.swap(waiting_);
        }
        for (Change& change : taken) {
            for (DirectoryOp& op : change.ops)
                tables_.stage(std::move(op));
            staged.push_back(std::move(change.shown));
        }
        taken.clear();
        // Two rounds: the end of one grace period lets the next change be published at once.
        for (int round = 0; round < 2; ++round) {
            if (!tables_.reclaim()) break;
            for (Task& task : showing)
                task();
            showing.clear();
            if (staged.empty()) break;
            tables_.publish();
            showing.swap(staged);
            filters_.store(tables_.newest().filters(), std::memory_order_relaxed);
        }
        if (tables_.reclaim()) {
            for (Task& task : showing)
                task();
            showing.clear();
        }
        if (stopping) return;
    }
}

}  // namespace quorate::cluster
