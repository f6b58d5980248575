// What NodeControl looks after while the node runs, and how it admits others.
#include <algorithm>
#include <utility>

#include "cluster/group/group_ids.h"
#include "cluster/node/node_control.h"

namespace quorate::cluster {
namespace {

constexpr std::chrono::seconds kLookEvery{1};
constexpr std::chrono::seconds kJoinFor{2};
constexpr std::chrono::seconds kWidenFor{10};

}  // namespace

void NodeControl::run() {
    std::unique_lock lock(mutex_);
    while (!stopped_) {
        poked_ = false;
        lock.unlock();
        look();
        lock.lock();
        changed_.wait_for(lock, kLookEvery, [this] { return poked_ || stopped_; });
    }
}

void NodeControl::look() {
    const MetaView now = meta_.view();
    const MetaState& meta = *now.state;
    if (meta.node(identity_.node) == nullptr) return;
    look_at(meta);
    const Incarnation own(incarnation_.load());
    if (own.value() != 0) check_fence(meta);
    // It holds what was committed after this start.
    const Incarnation running = meta.node(identity_.node)->running;
    if (own.value() != 0 && running >= own) caught_up_ = true;
    if (!caught_up_) return;
    widen(meta);
    if (!arrival_.record.founded) note_founded();
    keeper_->step(meta, arrival_.record.founded);
}

void NodeControl::look_at(const MetaState& meta) {
    std::vector<link::Member> members = link_members(meta, identity_.node);
    const auto same = [](const link::Member& one, const link::Member& other) {
        return one.node == other.node && one.name == other.name && one.addresses == other.addresses;
    };
    if (!std::ranges::equal(members, members_, same)) {
        members_ = members;
        links_.set_members(std::move(members));
    }
    std::vector<PeerState> peers;
    for (const auto& [id, node] : meta.nodes())
        peers.push_back({id, node.running, node.first_up});
    if (peers == peers_) return;
    peers_ = std::move(peers);
    if (hooks_.peers) hooks_.peers(peers_);
}

void NodeControl::check_fence(const MetaState& meta) {
    const Incarnation own(incarnation_.load());
    if (fence_told_ || !meta.down(own)) return;
    // Older than this start: not caught up yet.
    const MetaNode& self = *meta.node(identity_.node);
    if (own >= make_incarnation(identity_.node, self.next_incarnation)) return;
    fence_told_ = true;
    {
        const std::lock_guard lock(mutex_);
        fenced_ = true;
    }
    std::string why = "the cluster has ended this start of the node, which it did not hear in time";
    if (self.state == NodeState::Gone) {
        why = "this node was decommissioned and holds nothing any more";
    } else if (self.running > own) {
        why = "another process was started as this node";
    }
    log_.error("this node is fenced", {{"why", why}});
    if (hooks_.fenced) hooks_.fenced(why);
}

// All that it begins with is on the disk: what is missing from now on was lost.
void NodeControl::note_founded() {
    const auto stored = host_.engine().log().groups();
    if (!stored.ok()) return;
    const auto there = [&](GroupId id) { return std::ranges::find(*stored, id) != stored->end(); };
    if (!there(kMetaGroup)) return;
    if (arrival_.founding) {
        for (const GroupReport& report : host_.reports()) {
            if (!there(report.id)) return;
        }
    }
    NodeRecord record = arrival_.record;
    record.founded = true;
    if (Status written = file_.write(record); !written.ok()) {
        log_.error("the node's file could not be written", {{"error", written.error().message}});
        return;
    }
    arrival_.record = std::move(record);
}

// A node that ran alone had one copy of everything; with others to come there are to be more.
void NodeControl::widen(const MetaState& meta) {
    const uint32_t wanted = options_.bootstrap.replication_factor;
    const bool alone = meta.nodes().size() == 1 && meta.cluster().replication_factor == 1;
    if (!alone || wanted <= 1 || std::exchange(widening_, true)) return;
    asker_.ask(SetReplication{wanted}, kWidenFor, [this](const Result<MetaAnswer>& answer) {
        if (!answer.ok()) {
            log_.warn("the replication factor could not be set; it is still 1",
                      {{"error", answer.error().message}});
        }
    });
}

void NodeControl::on_question(const link::QuestionView& question, link::AnswerDoor door) {
    if (question.kind == kBootstrapQuestion) {
        BootstrapDriver* driver = driving_.load();
        if (driver != nullptr) driver->on_question(question.bytes, std::move(door));
        return;
    }
    if (!serving_.load()) {
        return door.answer(Error{ErrorCode::Unavailable, "this node is of no cluster yet"});
    }
    if (question.kind == kMetaQuestion) return asker_.on_question(question, std::move(door));
    if (question.kind == kAdmissionQuestion) return admit(question, std::move(door));
    door.answer(Error{ErrorCode::InvalidArgument, "a question of an unknown kind"});
}

void NodeControl::admit(const link::QuestionView& question, link::AnswerDoor door) {
    const auto request = decode_admission_request(as_text(question.bytes));
    if (!request.ok()) return door.answer(request.error());
    const MetaView view = meta_.view();
    if (view.state->cluster_id() == 0) {
        return door.answer(Error{ErrorCode::Unavailable, "this node is of no cluster yet"});
    }
    for (const auto& [id, node] : view.state->nodes()) {
        if (node.join_token != request->token) continue;
        return door.answer(encode(admission_of(*view.state, id)));
    }
    {
        const std::lock_guard lock(mutex_);
        const bool full = newcomers_.size() >= kNewcomersMax;
        if (full || !newcomers_.try_emplace(request->token, std::move(door)).second) return;
    }
    log_.info("a node asks to join", {{"name", request->name}, {"address", request->address}});
    asker_.ask(request->token, JoinNode{request->name, request->address}, kJoinFor,
               [this, token = request->token](const Result<MetaAnswer>& answer) {
                   admitted(token, answer);
               });
}

void NodeControl::admitted(uint64_t token, const Result<MetaAnswer>& answer) {
    std::optional<link::AnswerDoor> door;
    {
        const std::lock_guard lock(mutex_);
        auto found = newcomers_.extract(token);
        if (!found) return;
        door = std::move(found.mapped());
    }
    if (!answer.ok()) return door->answer(answer.error());
    Admission admission;
    if (answer->code == MetaCode::Applied)
        admission = admission_of(*meta_.view().state, answer->node);
    admission.code = answer->code;
    admission.node = answer->node;
    door->answer(encode(admission));
}

}  // namespace quorate::cluster
