#include "cluster/node/node_control.h"

#include <algorithm>
#include <latch>
#include <utility>

#include "cluster/control/placement.h"
#include "cluster/group/group_ids.h"
#include "cluster/meta/replica_id.h"

namespace quorate::cluster {
namespace {

constexpr std::chrono::milliseconds kStartEvery{50};
constexpr std::chrono::seconds kStartFor{2};
constexpr std::chrono::milliseconds kContactEvery{100};
constexpr std::chrono::seconds kSilenceMax{2};  // two election timeouts

std::vector<link::Member> members_of(const Arrival& arrival) {
    std::vector<link::Member> out;
    const BootstrapRecord& record = arrival.record.bootstrap;
    if (record.accepted && record.accepted->cluster_id == record.cluster_id) {
        uint32_t number = 0;
        for (const Candidate& member : record.accepted->members)
            out.push_back({NodeId(++number), member.name, {member.address}});
    }
    if (!arrival.admitted) return out;
    for (const Admission::Member& member : arrival.admitted->members) {
        if (!member.address.empty()) out.push_back({member.node, member.name, {member.address}});
    }
    return out;
}

}  // namespace

NodeControl::NodeControl(NodeControlOptions options, GroupHost& host, link::LinkHost& links,
                         MetaRunner& meta, NodeControlHooks hooks, const Log& log)
    : options_(std::move(options)),
      host_(host),
      links_(links),
      meta_(meta),
      hooks_(std::move(hooks)),
      log_(log),
      file_(options_.data_dir),
      asker_(host, meta),
      view_(kSilenceMax) {
    meta_.watch([this](const MetaView&) { poke(); });
    meta_.set_answered([this](const MetaAnswer& answer) { asker_.answered(answer); });
}

NodeControl::~NodeControl() {
    stop();
}

Result<Identity> NodeControl::enter() {
    auto record = read_record();
    if (!record.ok()) return record.error();
    BootstrapDriver::Options options;
    options.bootstrap = options_.bootstrap;
    options.has_meta = on_disk(kMetaGroup);
    options.seed = options_.seed;
    {
        const std::lock_guard lock(mutex_);
        driver_ = std::make_unique<BootstrapDriver>(std::move(options), file_, std::move(*record),
                                                    links_, log_);
        if (waiting_stopped_) driver_->stop();
    }
    driving_.store(driver_.get());
    auto arrived = driver_->run();
    if (!arrived.ok()) return arrived.error();
    arrival_ = std::move(*arrived);

    const BootstrapRecord& entered = arrival_.record.bootstrap;
    DiskName name{entered.cluster_id, options_.bootstrap.layout};
    if (arrival_.founding) {
        name.layout = arrival_.founding->layout;
    } else if (arrival_.admitted) {
        name.layout = arrival_.admitted->layout;
    } else if (const auto stored = decode_disk_name(host_.engine().cluster_id())) {
        name.layout = stored->layout;
    }
    if (Status named = name_disk(name); !named.ok()) return named.error();
    identity_ = Identity{entered.cluster_id, entered.node, name.layout};
    log_.info("enters its cluster", {{"cluster", link_cluster_id(entered.cluster_id)},
                                     {"node", entered.node.value()},
                                     {"founds", arrival_.founding.has_value()},
                                     {"joins", arrival_.admitted.has_value()}});
    // Early, or others would be refused while the groups are opened.
    members_ = members_of(arrival_);
    links_.become({link_cluster_id(entered.cluster_id), entered.node, Incarnation()});
    links_.set_members(members_);
    return identity_;
}

// A data directory of a process that ran alone is that of node 1 of a cluster of its own.
Result<std::optional<NodeRecord>> NodeControl::read_record() {
    auto record = file_.read();
    if (!record.ok() || *record || !on_disk(kMetaGroup)) return record;
    const auto name = decode_disk_name(host_.engine().cluster_id());
    if (!name) {
        return Error{ErrorCode::Corrupt, "the cluster id of the data directory is damaged"};
    }
    NodeRecord alone;
    alone.bootstrap.candidate = new_token();
    alone.bootstrap.cluster_id = name->cluster_id != 0 ? name->cluster_id : 1;
    alone.bootstrap.node = NodeId(1);
    alone.founded = true;
    if (Status written = file_.write(alone); !written.ok()) return written.error();
    log_.info("a node that ran alone becomes the first of a cluster",
              {{"cluster", link_cluster_id(alone.bootstrap.cluster_id)}});
    return std::optional(std::move(alone));
}

Status NodeControl::name_disk(const DiskName& name) {
    const std::string& stored = host_.engine().cluster_id();
    if (stored.empty()) return host_.engine().set_cluster_id(encode(name));
    const auto known = decode_disk_name(stored);
    const bool same = known && (known->cluster_id == name.cluster_id || known->cluster_id == 0) &&
                      known->layout.shards == name.layout.shards &&
                      known->layout.topic_hash_levels == name.layout.topic_hash_levels;
    if (same) return {};
    return Error{ErrorCode::Corrupt, "the data directory holds groups of cluster " + stored +
                                         ", this node is of cluster " + encode(name) +
                                         "; start with an empty directory"};
}

bool NodeControl::on_disk(GroupId group) const {
    return std::ranges::any_of(host_.on_disk(),
                               [group](const DiskGroup& each) { return each.id == group; });
}

Status NodeControl::add_group(GroupId group, ReplicaId self,
                              const raft::Configuration& configuration) {
    StateMachine* machine = hooks_.groups.machine(group);
    if (machine == nullptr) {
        return Error{ErrorCode::Corrupt, "the data directory holds group " +
                                             std::to_string(group.value()) +
                                             ", which its cluster does not have"};
    }
    GroupOptions options = options_.group;
    options.id = group;
    options.self = self;
    options.configuration = configuration;
    return host_.add_group(options, *machine);
}

Status NodeControl::add_groups() {
    const NodeId self = identity_.node;
    const ReplicaId first = replica_id(self, kFoundingReplica);
    for (const DiskGroup& each : host_.on_disk()) {
        // Who it is and who takes part is on the disk too.
        if (Status added = add_group(each.id, first, {{first}}); !added.ok()) return added;
    }
    if (arrival_.founding) {
        const Proposal& founding = *arrival_.founding;
        const auto founders = static_cast<uint32_t>(founding.members.size());
        for (const FoundingGroup& each :
             founding_groups(founders, founding.replication_factor, founding.layout.shards)) {
            raft::Configuration configuration;
            for (const NodeId node : each.voters)
                configuration.voters.push_back(replica_id(node, kFoundingReplica));
            for (const NodeId node : each.learners)
                configuration.learners.push_back(replica_id(node, kFoundingReplica));
            std::ranges::sort(configuration.voters);
            std::ranges::sort(configuration.learners);
            if (!configuration.contains(first) || on_disk(each.group)) continue;
            if (Status added = add_group(each.group, first, configuration); !added.ok()) {
                return added;
            }
        }
    }
    form_what_it_founded(arrival_.record);
    if (!arrival_.admitted || on_disk(kMetaGroup)) return {};
    return add_group(kMetaGroup, arrival_.admitted->replica, arrival_.admitted->configuration);
}

void NodeControl::form_what_it_founded(const NodeRecord& record) {
    FormCluster form;
    form.cluster_id = identity_.cluster_id;
    const auto& accepted = record.bootstrap.accepted;
    if (!accepted || accepted->cluster_id != identity_.cluster_id) return;
    form.layout = accepted->layout;
    form.replication_factor = accepted->replication_factor;
    for (const Candidate& member : accepted->members)
        form.nodes.push_back({member.name, member.address});
    form.groups = founding_groups(static_cast<uint32_t>(accepted->members.size()),
                                  accepted->replication_factor, accepted->layout.shards);
    meta_.set_formation(form);
}

Result<Incarnation> NodeControl::start_incarnation() {
    const std::string cluster = link_cluster_id(identity_.cluster_id);
    std::vector<std::string> elsewhere = options_.bootstrap.seeds;
    for (const link::Member& member : members_) {
        if (member.node != identity_.node) elsewhere.push_back(member.addresses.front());
    }
    std::erase(elsewhere, options_.bootstrap.address);
    asker_.connect(links_, identity_.node, std::move(elsewhere));
    keeper_ = std::make_unique<CopyKeeper>(
        CopyKeeper::Context{host_, asker_,
                            GroupHooks{hooks_.groups.machine,
                                       [this](GroupId id, Group* group) { group_here(id, group); }},
                            options_.group, identity_.node, [this] { poke(); }},
        log_);
    tell_of_groups();
    serving_.store(true);
    thread_ = std::thread([this] { run(); });
    poke();

    const uint64_t token = new_token();
    const StartNode start{identity_.node, options_.bootstrap.address};
    for (;;) {
        const auto answer = asker_.ask_and_wait(token, start, kStartFor);
        if (answer.ok() && answer->code == MetaCode::Applied) {
            incarnation_.store(answer->incarnation.value());
            links_.become({cluster, identity_.node, answer->incarnation});
            wait_on("");
            poke();
            return answer->incarnation;
        }
        if (answer.ok() && answer->code == MetaCode::Gone) {
            return Error{ErrorCode::InvalidArgument,
                         "node " + std::to_string(identity_.node.value()) +
                             " was decommissioned; start with an empty directory to join anew"};
        }
        if (answer.ok() && answer->code != MetaCode::NotFormed) {
            return Error{ErrorCode::Unavailable,
                         std::string("meta does not start this node: ") + to_string(answer->code)};
        }
        wait_on("a leader of meta, which needs a majority of its voters");
        std::unique_lock lock(mutex_);
        if (changed_.wait_for(lock, kStartEvery, [this] { return waiting_stopped_; })) {
            return Error{ErrorCode::Unavailable, "stopped while this node waited for meta"};
        }
    }
}

void NodeControl::tell_of_groups() {
    const std::vector<GroupReport> reports = host_.reports();
    std::latch told(static_cast<std::ptrdiff_t>(reports.size()));
    for (const GroupReport& report : reports) {
        host_.worker_of(report.id).post_reserved([this, id = report.id, &told] {
            if (Group* group = host_.group(id)) group_here(id, group);
            told.count_down();
        });
    }
    told.wait();
    host_.worker_of(kMetaGroup).post_reserved([this] { watch_contact(); });
}

void NodeControl::group_here(GroupId id, Group* group) {
    if (id == kMetaGroup && group != nullptr) meta_.begin(host_.worker_of(id), *group, true);
    if (id == kMetaGroup && group == nullptr) meta_.end();
    hooks_.groups.here(id, group);
}

void NodeControl::watch_contact() {
    const Group* group = meta_.group();
    // A learner never gives its leader up, but its lease runs out; a voter gives it up when it has
    // not heard of it, or of a majority.
    const bool led = group != nullptr && group->leader().value() != 0;
    const bool votes = led && group->configuration().votes(group->self());
    const bool leased = hooks_.meta_lease ? hooks_.meta_lease().valid : led;
    if (leased || votes) {
        const std::lock_guard lock(mutex_);
        view_.contact(clock_.now());
    }
    const auto timer =
        host_.worker_of(kMetaGroup).call_later(kContactEvery, [this] { watch_contact(); });
    if (!timer.ok()) log_.error("no timer: this node takes itself for cut off");
}

void NodeControl::stop_waiting() {
    const std::lock_guard lock(mutex_);
    waiting_stopped_ = true;
    if (driver_ != nullptr) driver_->stop();
    changed_.notify_all();
}

void NodeControl::stop() {
    stop_waiting();
    {
        const std::lock_guard lock(mutex_);
        stopped_ = true;
        changed_.notify_all();
    }
    if (thread_.joinable()) thread_.join();
}

void NodeControl::poke() {
    const std::lock_guard lock(mutex_);
    poked_ = true;
    changed_.notify_all();
}

void NodeControl::wait_on(const char* what) {
    const std::lock_guard lock(mutex_);
    if (waits_for_ == what) return;
    waits_for_ = what;
    if (*what != 0) log_.info("waits", {{"for", what}});
}

std::string NodeControl::waits_for() const {
    const std::lock_guard lock(mutex_);
    if (incarnation_.load() != 0 || driver_ == nullptr) return waits_for_;
    const std::string earlier = driver_->waits_for();
    return earlier.empty() ? waits_for_ : earlier;
}

NodeStanding NodeControl::standing() const {
    TableView always;
    always.valid = true;
    const TableView meta = hooks_.meta_lease ? hooks_.meta_lease() : always;
    const TableView wildcards = hooks_.wildcards_lease ? hooks_.wildcards_lease() : always;
    const std::lock_guard lock(mutex_);
    if (fenced_) return NodeStanding::Fenced;
    return view_.at(clock_.now(), meta, wildcards);
}

}  // namespace quorate::cluster
