#include "cluster/node/meta_runner.h"

#include <utility>

#include "cluster/control/liveness.h"

namespace quorate::cluster {
namespace {

constexpr std::chrono::milliseconds kTick{100};
constexpr std::chrono::seconds kAgain{1};

}  // namespace

uint64_t new_token() {
    const uint64_t token = system_seed();
    return token != 0 ? token : 1;
}

MetaRunner::MetaRunner(const Log& log, const PlannerOptions& options)
    : log_(log), planner_(options), tokens_(system_seed()) {
    // style-exempt(shared_ptr): see MetaView.
    view_.state = std::make_shared<const MetaState>();
}

void MetaRunner::set_leadership(std::function<void(Term)> leads, std::function<void()> follows) {
    leads_ = std::move(leads);
    follows_ = std::move(follows);
}

void MetaRunner::set_formation(const FormCluster& formation) {
    formation_.clear();
    encode_meta_command(formation_, new_token(), formation);
}

void MetaRunner::begin(Worker& worker, Group& group, bool planning) {
    worker_ = &worker;
    group_ = &group;
    planning_ = planning;
    if (leading_) tick();
}

void MetaRunner::end() {
    group_ = nullptr;
}

// What leads a cluster out of trouble must pass on a disk that is nearly full, and is little.
Status MetaRunner::propose(std::string_view command) {
    if (group_ == nullptr) return Error{ErrorCode::NotLeader, "meta is not here"};
    return group_->propose(command, Growth::Frees);
}

MetaView MetaRunner::view() const {
    const std::lock_guard lock(mutex_);
    return view_;
}

Status MetaRunner::load(storage::StateStore& store, LogIndex applied, ClusterTime) {
    answers_.clear();
    if (Status loaded = state_.load(store); !loaded.ok()) return loaded;
    publish(applied, true);
    return {};
}

Status MetaRunner::apply(const CommandEntry& entry, storage::StateBatch& batch) {
    CommandReader reader = entry.commands;
    while (const auto command = reader.next()) {
        auto answer = state_.apply(*command, batch);
        if (!answer.ok()) return answer.error();
        answers_.push_back(*answer);
    }
    if (!reader.finished()) return Error{ErrorCode::Corrupt, "entry with damaged commands"};
    return {};
}

void MetaRunner::applied(LogIndex index) {
    publish(index, !answers_.empty());
    for (const MetaAnswer& answer : std::exchange(answers_, {})) {
        planned_.erase(answer.token);
        if (answered_) answered_(answer);
    }
    if (leading_ && planned_.empty()) {
        plan_at_ = {};
        work_soon();
    }
}

void MetaRunner::publish(LogIndex applied, bool changed) {
    MetaView now;
    {
        const std::lock_guard lock(mutex_);
        // style-exempt(shared_ptr): see MetaView.
        if (changed) view_.state = std::make_shared<const MetaState>(state_);
        view_.applied = applied;
        now = view_;
    }
    for (const Watcher& watcher : watchers_)
        watcher(now);
}

void MetaRunner::on_leader(Term term) {
    log_.debug("leads", {{"term", term.value()}});
    leading_ = true;
    planner_.begin();
    planned_.clear();
    started_.clear();
    plan_at_ = form_at_ = {};
    if (leads_) leads_(term);
    tick();
}

void MetaRunner::on_follower(Term) {
    leading_ = false;
    planned_.clear();
    if (follows_) follows_();
}

void MetaRunner::unloaded() {
    if (leading_) on_follower(Term());
    end();
}

// Not within the turn in which it was applied: what is proposed there waits for the next anyway.
void MetaRunner::work_soon() {
    if (worker_ == nullptr || !planning_ || std::exchange(working_soon_, true)) return;
    worker_->post_reserved([this] {
        working_soon_ = false;
        work();
    });
}

void MetaRunner::tick() {
    if (worker_ == nullptr || !planning_ || !leading_ || ticking_) return;
    work_soon();
    const auto timer = worker_->call_later(kTick, [this] {
        ticking_ = false;
        tick();
    });
    ticking_ = timer.ok();
    if (!ticking_) log_.error("the leader of meta has no timer: nothing is moved or ended");
}

void MetaRunner::work() {
    if (!leading_ || group_ == nullptr) return;
    const Time now = worker_->clock().now();
    if (state_.cluster_id() == 0) {
        if (formation_.empty() || now < form_at_) return;
        form_at_ = now + kAgain;
        propose(formation_).ignore_because("proposed again in a second");
        return;
    }
    if (now >= plan_at_) {
        plan_at_ = now + kAgain;
        plan(now);
        end_incarnations(now);
    }
}

void MetaRunner::plan(Time now) {
    planned_.clear();
    for (const MetaCommandBody& body : planner_.plan(state_, now))
        propose_own(body);
}

void MetaRunner::end_incarnations(Time now) {
    if (!reports_) return;
    for (const auto& [node, known] : state_.nodes()) {
        auto& [running, since] = started_[node];
        if (running != known.running) started_[node] = {known.running, now};
    }
    for (const IncarnationDown& down : incarnations_down(state_, reports_())) {
        if (started_[node_of(down.incarnation)].second + LeaseTimes().owed() > now) continue;
        log_.info("the incarnation of a silent node ends",
                  {{"node", node_of(down.incarnation).value()},
                   {"incarnation", down.incarnation.value()}});
        propose_own(down);
    }
}

void MetaRunner::propose_own(const MetaCommandBody& body) {
    uint64_t token = 0;
    while (token == 0)
        token = tokens_.next();
    std::string command;
    encode_meta_command(command, token, body);
    if (propose(command).ok()) planned_.insert(token);
}

}  // namespace quorate::cluster
