#include "cluster/node/bootstrap_driver.h"

#include <algorithm>
#include <utility>

#include "cluster/node/names.h"

namespace quorate::cluster {
namespace {

constexpr std::chrono::milliseconds kTurn{50};
constexpr std::chrono::milliseconds kAskDeadline{1000};
constexpr std::chrono::milliseconds kResolveEvery{1000};
constexpr std::chrono::milliseconds kAdmissionEvery{300};
constexpr std::chrono::milliseconds kAdmissionDeadline{3000};
constexpr std::chrono::seconds kTellEvery{5};

template <class Kind>
bool is(const BootstrapOutcome& outcome) {
    return std::holds_alternative<Kind>(outcome);
}

}  // namespace

BootstrapDriver::BootstrapDriver(Options options, NodeFile file, std::optional<NodeRecord> record,
                                 link::LinkHost& links, const Log& log)
    : options_(std::move(options)),
      file_(std::move(file)),
      links_(links),
      log_(log),
      bootstrap_(options_.bootstrap,
                 record ? std::optional(record->bootstrap) : std::optional<BootstrapRecord>(),
                 options_.seed),
      record_(record ? std::move(*record) : NodeRecord()) {}

Result<Arrival> BootstrapDriver::run() {
    Lock lock(mutex_);
    // Silent until it is known what their names stand for.
    for (const std::string& seed : options_.bootstrap.seeds)
        bootstrap_.resolved(seed, {});
    settle_until_ = bootstrap_.in_cluster() ? now() + options_.settle : now();
    bootstrap_.start(now(), pending_);
    while (!stopped_) {
        resolve();
        bootstrap_.tick(now(), pending_);
        if (Status done = carry_out(lock); !done.ok()) return done.error();
        if (auto arrived = arrival()) return *std::move(arrived);
        tell_what_it_waits_for();
        changed_.wait_for(lock, kTurn);
    }
    return Error{ErrorCode::Unavailable, "stopped while this node waited for its cluster"};
}

void BootstrapDriver::stop() {
    const Lock lock(mutex_);
    stopped_ = true;
    changed_.notify_all();
}

void BootstrapDriver::on_question(ByteView bytes, link::AnswerDoor answer) {
    const Result<BootstrapRequest> request = decode_bootstrap_request(as_text(bytes));
    if (!request.ok()) return answer.answer(request.error());
    const Lock lock(mutex_);
    answer.answer(encode(bootstrap_.requested(*request, now(), pending_)));
    if (pending_.persist) changed_.notify_all();
}

std::string BootstrapDriver::waits_for() const {
    const Lock lock(mutex_);
    return admission_waits_.empty() ? bootstrap_.waits_for() : admission_waits_;
}

// Until nothing is left to do now. The file is written without the lock: others are answered
// meanwhile, from what was durable before.
Status BootstrapDriver::carry_out(Lock& lock) {
    while (pending_.persist || !pending_.asks.empty() || !is<std::monostate>(pending_.outcome) ||
           admission_answer_) {
        BootstrapActions now_due = std::exchange(pending_, BootstrapActions{});
        if (!now_due.asks.empty()) send(now_due.asks);
        if (now_due.persist) {
            NodeRecord record{std::move(*now_due.persist), record_.founded};
            lock.unlock();
            const Status written = file_.write(record);
            lock.lock();
            if (!written.ok()) return written;
            record_ = std::move(record);
            bootstrap_.persisted(now(), pending_);
        }
        if (Status taken = take_outcome(std::move(now_due.outcome)); !taken.ok()) return taken;
        if (!admission_answer_) continue;
        Result<Admission> answer = *std::exchange(admission_answer_, std::nullopt);
        if (!answer.ok()) {
            admission_waits_ = "its admission by " + admits_ + ": " + answer.error().message;
        } else if (Status taken = take_admission(std::move(*answer)); !taken.ok()) {
            return taken;
        }
    }
    if (wants_admission()) ask_admission();
    return {};
}

Status BootstrapDriver::take_outcome(BootstrapOutcome outcome) {
    if (const auto* refuse = std::get_if<Refuse>(&outcome)) {
        const bool disk = record_.bootstrap.cluster_id != 0;
        return Error{disk ? ErrorCode::Corrupt : ErrorCode::InvalidArgument, refuse->why};
    }
    if (const auto* join = std::get_if<Join>(&outcome)) {
        admits_ = join->address;
        return {};
    }
    if (is<std::monostate>(outcome)) return {};
    outcome_ = std::move(outcome);
    return lost_meta();
}

// A copy of `meta` that was here once and is gone had given promises.
Status BootstrapDriver::lost_meta() const {
    if (options_.has_meta || !record_.founded) return {};
    return Error{ErrorCode::Corrupt,
                 "the data directory is that of node " +
                     std::to_string(record_.bootstrap.node.value()) +
                     ", but its copy of the group meta is gone; start with an empty directory, so "
                     "that the node joins anew"};
}

void BootstrapDriver::resolve() {
    const bool all = resolved_.size() + resolving_.size() >= options_.bootstrap.seeds.size();
    // A node of a cluster looks its seeds up once.
    if (all && (bootstrap_.in_cluster() || now() < resolve_at_)) return;
    resolve_at_ = now() + kResolveEvery;
    for (const std::string& seed : options_.bootstrap.seeds) {
        if (!resolving_.insert(seed).second) continue;
        const Status asked =
            links_.resolve({seed}, [this, seed](std::vector<std::string> addresses) {
                const Lock lock(mutex_);
                resolving_.erase(seed);
                resolved_.insert(seed);
                resolved_at_ = now();
                bootstrap_.resolved(seed, std::move(addresses));
                changed_.notify_all();
            });
        if (!asked.ok()) resolving_.erase(seed);
    }
}

void BootstrapDriver::send(const std::vector<AskNode>& asks) {
    asked_.clear();
    for (const AskNode& ask : asks) {
        asked_.insert(ask.address);
        if (!asking_.insert(ask.address).second) continue;
        const Status asked =
            links_.ask({ask.address, kBootstrapQuestion, kAskDeadline}, encode(ask.request),
                       [this, address = ask.address](const Result<std::string>& reply) {
                           const Lock lock(mutex_);
                           asking_.erase(address);
                           heard_.insert(address);
                           // Silence and strangers' bytes are the same: it is asked again.
                           if (reply.ok()) {
                               const Result<Standing> standing = decode_standing(*reply);
                               if (standing.ok())
                                   bootstrap_.answered(address, *standing, now(), pending_);
                           }
                           changed_.notify_all();
                       });
        if (!asked.ok()) asking_.erase(ask.address);
    }
}

// Every seed was looked up, and every address asked: what can be known of other clusters is.
bool BootstrapDriver::settled() const {
    if (now() >= settle_until_) return true;
    if (resolved_.size() < options_.bootstrap.seeds.size()) return false;
    // The round of questions that follows has left by then.
    if (now() < resolved_at_ + options_.bootstrap.ask_every + kTurn) return false;
    return std::ranges::includes(heard_, asked_);
}

bool BootstrapDriver::wants_admission() const {
    if (admitted_ || record_.founded || options_.has_meta) return false;
    if (is<Resume>(outcome_)) return true;
    return is<std::monostate>(outcome_) && !admits_.empty();
}

void BootstrapDriver::ask_admission() {
    if (admission_asked_ || now() < admission_at_) return;
    admission_at_ = now() + kAdmissionEvery;
    const auto& seeds = options_.bootstrap.seeds;
    if (is<Resume>(outcome_)) {
        if (seeds.empty()) {
            admission_waits_ = "a seed in its configuration, which has to admit it";
            return;
        }
        admits_ = seeds[admission_turn_++ % seeds.size()];
    }
    const AdmissionRequest request{record_.bootstrap.candidate, options_.bootstrap.name,
                                   options_.bootstrap.address};
    const Status asked = links_.ask({admits_, kAdmissionQuestion, kAdmissionDeadline},
                                    encode(request), [this](const Result<std::string>& reply) {
                                        const Lock lock(mutex_);
                                        admission_asked_ = false;
                                        if (reply.ok()) {
                                            admission_answer_ = decode_admission(*reply);
                                        } else {
                                            admission_answer_ = reply.error();
                                        }
                                        changed_.notify_all();
                                    });
    admission_asked_ = asked.ok();
}

Status BootstrapDriver::take_admission(Admission admission) {
    switch (admission.code) {
        case MetaCode::Applied:
            break;
        case MetaCode::Exists:
            admission_waits_ = "its name: node " + std::to_string(admission.node.value()) +
                               " of the cluster, which runs, is called " + options_.bootstrap.name +
                               " too";
            return {};
        case MetaCode::AddressTaken:
            admission_waits_ =
                "its address " + options_.bootstrap.address + ", which another node that runs has";
            return {};
        default:
            return Error{ErrorCode::InvalidArgument, "the cluster does not admit this node: " +
                                                         std::string(to_string(admission.code))};
    }
    if (const auto* resume = std::get_if<Resume>(&outcome_)) {
        if (admission.cluster_id != resume->cluster_id || admission.node != resume->node) {
            return Error{ErrorCode::Corrupt,
                         "the data directory is that of node " +
                             std::to_string(resume->node.value()) + " of cluster " +
                             link_cluster_id(resume->cluster_id) +
                             ", which its seeds do not know; start with an empty directory, so "
                             "that the node joins anew"};
        }
    }
    if (admission.replica.value() == 0) {
        admission_waits_ = "the leader of meta to give it a copy";
        return {};
    }
    admission_waits_.clear();
    if (is<std::monostate>(outcome_)) {
        bootstrap_.joined(admission.cluster_id, admission.node, pending_);
    }
    admitted_ = std::move(admission);
    return {};
}

std::optional<Arrival> BootstrapDriver::arrival() const {
    Arrival out{record_, std::nullopt, std::nullopt};
    if (const auto* found = std::get_if<Found>(&outcome_)) {
        if (!settled()) return std::nullopt;
        if (!record_.founded) out.founding = found->proposal;
        return out;
    }
    if (!is<Resume>(outcome_) || !settled()) return std::nullopt;
    if (!options_.has_meta) {
        if (!admitted_) return std::nullopt;
        out.admitted = admitted_;
    }
    return out;
}

void BootstrapDriver::tell_what_it_waits_for() {
    const std::string& now_waits =
        admission_waits_.empty() ? bootstrap_.waits_for() : admission_waits_;
    if (now_waits == told_ || now_waits.empty()) return;
    if (told_at_ && now() < *told_at_ + kTellEvery) return;
    told_ = now_waits;
    told_at_ = now();
    log_.info("waits", {{"for", told_}});
}

}  // namespace quorate::cluster
