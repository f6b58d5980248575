#include "cluster/steward/table_lease.h"

#include <utility>

#include "cluster/meta/replica_id.h"
#include "cluster/steward/lease_items.h"

namespace quorate::cluster {
namespace {

void add_nodes(const raft::Configuration& configuration, std::set<NodeId>& nodes) {
    configuration.for_each([&nodes](ReplicaId replica) { nodes.insert(node_of(replica)); });
}

}  // namespace

TableLease::TableLease(GroupId group, NodeId node, const Clock& clock, Send send,
                       const LeaseTimes& times)
    : id_(group),
      node_(node),
      clock_(clock),
      send_(std::move(send)),
      times_(times),
      granter_(times) {}

void TableLease::begin(Incarnation self) {
    holder_.emplace(self, times_);
    holder_->shown(shown_);
    drive();
}

void TableLease::set_group(Group* group) {
    if (group != group_) follow();
    group_ = group;
}

// Every node of the last committed configuration and of those after it: whoever may have a lease
// of an earlier leader.
std::set<NodeId> TableLease::named_since_commit() const {
    std::set<NodeId> nodes;
    if (group_ == nullptr) return nodes;
    const LogIndex committed = group_->committed();
    for (const raft::ConfigurationEntry& entry : group_->configurations()) {
        if (entry.index <= committed) nodes.clear();
        add_nodes(entry.configuration, nodes);
    }
    return nodes;
}

// Nodes that the last committed configuration names, and that are there when the change under way
// is complete.
std::set<NodeId> TableLease::staying() const {
    std::set<NodeId> known;
    std::set<NodeId> newest;
    if (group_ == nullptr) return known;
    const LogIndex committed = group_->committed();
    for (const raft::ConfigurationEntry& entry : group_->configurations()) {
        if (entry.index > committed) break;
        known.clear();
        add_nodes(entry.configuration, known);
    }
    add_nodes(group_->configuration().completed(), newest);
    std::erase_if(known, [&](NodeId node) { return !newest.contains(node); });
    return known;
}

void TableLease::lead(Term term, LogIndex first) {
    const BootTime now = clock_.now();
    term_ = term;
    told_made_ = LogIndex();
    stopped_.clear();
    members_ = named_since_commit();
    const std::vector<NodeId> members(members_.begin(), members_.end());
    granter_.begin(first, members, now);
    for (const auto& [node, incarnation] : down_) {
        granter_.down(incarnation);
    }
    granter_.committed(committed_, now);
    drive();
}

void TableLease::follow() {
    if (!term_) return;
    term_.reset();
    granter_.end();
    members_.clear();
    stopped_.clear();
}

void TableLease::take_members(BootTime now) {
    const std::set<NodeId> named = named_since_commit();
    const std::set<NodeId> staying = this->staying();
    for (const NodeId node : members_) {
        if (!staying.contains(node)) granter_.leave(node);
    }
    std::erase_if(members_, [&named](NodeId node) { return !named.contains(node); });
    for (const NodeId node : staying) {
        if (!members_.insert(node).second) continue;
        granter_.add_member(node, now);
        if (const auto down = down_.find(node); down != down_.end()) granter_.down(down->second);
    }
}

void TableLease::stop(const std::vector<NodeId>& nodes) {
    if (!term_) return;
    const std::set<NodeId> before = std::exchange(stopped_, {nodes.begin(), nodes.end()});
    for (const NodeId node : stopped_) {
        granter_.leave(node);
    }
    const std::set<NodeId> staying = this->staying();
    for (const NodeId node : before) {
        if (staying.contains(node) && !stopped_.contains(node)) {
            granter_.add_member(node, clock_.now());
        }
    }
}

std::vector<NodeId> TableLease::leased() const {
    std::vector<NodeId> nodes;
    const BootTime now = clock_.now();
    for (const NodeId node : members_) {
        if (!granter_.may_leave(node, now)) nodes.push_back(node);
    }
    return nodes;
}

void TableLease::committed(LogIndex index) {
    committed_ = index;
    if (term_) granter_.committed(index, clock_.now());
    drive();
}

void TableLease::shown(LogIndex index) {
    shown_ = std::max(shown_, index);
    if (holder_) holder_->shown(shown_);
    drive();
}

void TableLease::down(Incarnation incarnation) {
    Incarnation& last = down_[node_of(incarnation)];
    if (incarnation <= last) return;
    last = incarnation;
    granter_.down(incarnation);
}

void TableLease::arrived(NodeId from, std::string_view item) {
    const std::optional<LeaseItem> decoded = decode_lease_item(item);
    if (!decoded || decoded->group != id_) return;
    const BootTime now = clock_.now();
    if (const auto* asked = std::get_if<LeaseRequest>(&decoded->body)) {
        if (node_of(asked->holder) == from) request(*asked, now);
    } else if (holder_) {
        holder_->answer(std::get<LeaseAnswer>(decoded->body), now);
        publish();
    }
    drive();
}

void TableLease::tick() {
    drive();
}

void TableLease::request(const LeaseRequest& request, BootTime now) {
    if (!term_) return;
    take_members(now);
    std::vector<LeaseAnswer> answers;
    granter_.request(request, now, answers);
    deliver(answers, now);
}

void TableLease::deliver(const std::vector<LeaseAnswer>& answers, BootTime now) {
    for (const LeaseAnswer& answer : answers) {
        if (node_of(answer.holder) != node_) {
            send_(node_of(answer.holder), encode_lease_item(id_, answer));
        } else if (holder_) {
            holder_->answer(answer, now);
            publish();
        }
    }
}

// A leader that has just changed hears at once: it begins with an entry, which is then shown.
void TableLease::ask(BootTime now) {
    if (!holder_ || group_ == nullptr) return;
    const ReplicaId leader = group_->leader();
    if (leader.value() == 0) return;
    const NodeId to = node_of(leader);
    if (to == node_ && !term_) return;  // it leads, and may not say so yet
    const std::optional<LeaseRequest> asked = holder_->request(now);
    if (!asked) return;
    if (to == node_) {
        request(*asked, now);
    } else {
        send_(to, encode_lease_item(id_, *asked));
    }
}

void TableLease::begin_round() {
    if (!term_ || group_ == nullptr || !granter_.wants_round()) return;
    const uint64_t round = ++last_round_;
    granter_.round_begun(round);
    const Status begun =
        group_->read([this, round](bool confirmed) { round_ended(round, confirmed); });
    if (!begun) granter_.round_failed(round);
}

void TableLease::round_ended(uint64_t round, bool confirmed) {
    if (!confirmed) {
        granter_.round_failed(round);
        return;
    }
    const BootTime now = clock_.now();
    std::vector<LeaseAnswer> answers;
    granter_.round_confirmed(round, now, answers);
    deliver(answers, now);
}

void TableLease::publish() {
    until_.store(holder_->until().count(), std::memory_order_release);
    suspended_.store(holder_->suspended(), std::memory_order_release);
    fenced_.store(holder_->fenced(), std::memory_order_release);
}

LogIndex TableLease::made() {
    return granter_.made(clock_.now());
}

void TableLease::tell_made(BootTime now) {
    const LogIndex made = granter_.made(now);
    if (made <= told_made_) return;
    told_made_ = made;
    last_made_.store(made.value(), std::memory_order_release);
    if (on_made) on_made(made);
}

void TableLease::drive() {
    const BootTime now = clock_.now();
    if (term_) take_members(now);
    ask(now);
    if (!term_) return;
    begin_round();
    tell_made(now);
}

std::vector<TableGranter::Report> TableLease::report() {
    if (!term_) return {};
    std::vector<TableGranter::Report> reports = granter_.report(clock_.now());
    const std::set<NodeId> named = named_since_commit();
    std::erase_if(reports, [&](const auto& each) { return !named.contains(each.node); });
    return reports;
}

}  // namespace quorate::cluster
