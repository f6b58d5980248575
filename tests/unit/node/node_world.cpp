#include "tests/unit/node/node_world.h"

#include <cstdlib>
#include <utility>
#include <variant>

#include "cluster/group/group_ids.h"
#include "cluster/meta/replica_id.h"
#include "tests/unit/catch.h"
#include "tests/unit/link/node.h"

namespace quorate::test {

using namespace cluster;

namespace {

constexpr std::chrono::milliseconds kSteward{50};

}  // namespace

bool soon(const std::function<bool()>& condition) {
    for (int tries = 0; tries < 6; ++tries) {
        if (link::eventually(condition)) return true;
    }
    return false;
}

NodeInWorld::NodeInWorld(std::string name, Metrics& metrics, Logger& logger)
    : name_(std::move(name)),
      metrics_(metrics),
      logger_(logger),
      dir_(std::make_unique<TempDir>()),
      post_(node_of) {
    open_links("127.0.0.1:0");
    address_ = "127.0.0.1:" + std::to_string(links_->port());
}

NodeInWorld::~NodeInWorld() {
    stop();
}

void NodeInWorld::open_links(const std::string& listen) {
    link::LinkOptions options;
    options.listen = listen;
    auto started = link::LinkHost::start(options, *this, metrics_, logger_);
    REQUIRE(started.ok());
    links_ = std::move(*started);
}

void NodeInWorld::lose_disk() {
    REQUIRE(host_ == nullptr);
    dir_ = std::make_unique<TempDir>();
}

void NodeInWorld::lose_copy(GroupId group) {
    REQUIRE(host_ == nullptr);
    GroupHostOptions options;
    options.storage.data_dir = dir_->path();
    auto opened = GroupHost::open(options);
    REQUIRE(opened.ok());
    REQUIRE((*opened)->start().ok());
    std::promise<Status> removed;
    (*opened)->remove(group, [&removed](Status status) { removed.set_value(std::move(status)); });
    REQUIRE(removed.get_future().get().ok());
    (*opened)->stop();
}

void NodeInWorld::start(std::vector<std::string> seeds, uint32_t expect) {
    seeds_ = std::move(seeds);
    expect_ = expect;
    if (links_ == nullptr) open_links(address_);
    GroupHostOptions options;
    options.storage.data_dir = dir_->path();
    options.workers = 2;
    options.messages = &post_;
    auto opened = GroupHost::open(options);
    REQUIRE(opened.ok());
    host_ = std::move(*opened);
    meta_ = std::make_unique<MetaRunner>(Log(logger_, "meta"));
    machines_[kWildcardsGroup] = std::make_unique<sim::ToyMachine>();
    for (uint32_t shard = 0; shard < NodeWorld::kShards; ++shard)
        machines_[group_of(ShardId(shard))] = std::make_unique<sim::ToyMachine>();

    NodeControlOptions control;
    control.data_dir = dir_->path();
    control.bootstrap.name = name_;
    control.bootstrap.address = address_;
    control.bootstrap.seeds = seeds_;
    control.bootstrap.expect = expect_;
    control.bootstrap.layout = ShardLayout{NodeWorld::kShards, 0};
    control.seed = std::hash<std::string>{}(dir_->path());
    control.group.seed = control.seed;
    NodeControlHooks hooks;
    hooks.groups.machine = [this](GroupId group) { return machine(group); };
    hooks.groups.here = [this](GroupId id, Group* group) {
        if (group != nullptr) lead(id);
    };
    hooks.fenced = [this](const std::string& why) {
        const std::lock_guard lock(mutex_);
        fenced_ = why;
    };
    hooks.peers = [this](const std::vector<PeerState>& peers) {
        const std::lock_guard lock(mutex_);
        peers_ = peers;
    };
    control_ = std::make_unique<NodeControl>(control, *host_, *links_, *meta_, hooks,
                                             Log(logger_, "node"));
    controlling_.store(control_.get());
    for (uint32_t shard = 0; shard < NodeWorld::kShards; ++shard)
        catch_up_[group_of(ShardId(shard))] = CatchUp(std::chrono::milliseconds(200));
    catch_up_[kMetaGroup] = catch_up_[kWildcardsGroup] = CatchUp(std::chrono::milliseconds(200));
    starting_ = std::async(std::launch::async, [this] { return bring_up(); });
}

Result<Incarnation> NodeInWorld::bring_up() {
    const auto entered = control_->enter();
    if (!entered.ok()) return entered.error();
    identity_ = *entered;
    if (Status added = control_->add_groups(); !added.ok()) return added.error();
    if (Status running = host_->start(); !running.ok()) return running.error();
    post_.connect(*links_, *host_);
    return control_->start_incarnation();
}

bool NodeInWorld::starting() const {
    return starting_.valid() &&
           starting_.wait_for(std::chrono::seconds(0)) != std::future_status::ready;
}

Result<Incarnation> NodeInWorld::started() {
    REQUIRE(starting_.wait_for(std::chrono::seconds(90)) == std::future_status::ready);
    return starting_.get();
}

void NodeInWorld::stop() {
    if (control_ != nullptr) control_->stop_waiting();
    if (starting_.valid()) starting_.wait();
    if (control_ != nullptr) control_->stop();
    post_.disconnect();
    if (links_ != nullptr) links_->stop();
    if (host_ != nullptr) host_->stop();
    controlling_.store(nullptr);
    links_.reset();
    control_.reset();
    host_.reset();
    meta_.reset();
    machines_.clear();
    identity_.reset();
    const std::lock_guard lock(mutex_);
    fenced_.clear();
}

std::string NodeInWorld::fenced() const {
    const std::lock_guard lock(mutex_);
    return fenced_;
}

std::vector<PeerState> NodeInWorld::peers() const {
    const std::lock_guard lock(mutex_);
    return peers_;
}

std::map<GroupId, ReplicaId> NodeInWorld::copies() {
    std::map<GroupId, ReplicaId> out;
    for (const GroupReport& report : host_->reports())
        out[report.id] = report.replica;
    return out;
}

StateMachine* NodeInWorld::machine(GroupId group) {
    if (group == kMetaGroup) return meta_.get();
    const auto found = machines_.find(group);
    return found == machines_.end() ? nullptr : found->second.get();
}

void NodeInWorld::on_question(const link::QuestionView& question, link::AnswerDoor door) noexcept {
    NodeControl* control = controlling_.load();
    if (control != nullptr) control->on_question(question, std::move(door));
}

// On the worker of the group, again and again.
void NodeInWorld::lead(GroupId id) {
    Worker& worker = host_->worker_of(id);
    Group* group = host_->group(id);
    if (group == nullptr) return;
    if (group->leading() && stewards_.load()) lead_once(*group);
    worker.call_later(kSteward, [this, id] { lead(id); }).ignore_because("a test's");
}

void NodeInWorld::lead_once(Group& group) {
    CatchUp& sampled = catch_up_.at(group.id());
    sampled.sample(group.committed(), host_->worker_of(group.id()).clock().now());
    LedGroupView view;
    view.group = group.id();
    view.self = group.self();
    view.configuration = group.configuration();
    view.configuration_index = group.configuration_index();
    view.committed = view.configuration_index <= group.committed();
    view.transferring = group.transferring();
    for (const GroupFollower& follower : group.followers()) {
        if (!follower.recently_active || !sampled.caught_up(follower.match)) continue;
        view.caught_up.push_back(follower.replica);
        if (follower.priority == 0) view.unwilling.push_back(follower.replica);
    }
    const GroupStep step = next_step(*meta_->view().state, view);
    if (const auto* change = std::get_if<ChangeConfiguration>(&step)) {
        group.change(change->to).ignore_because("it comes again");
    } else if (const auto* transfer = std::get_if<TransferLeadership>(&step)) {
        group.transfer(transfer->to).ignore_because("it comes again");
    } else if (const auto* report = std::get_if<ReportConfigured>(&step)) {
        control_->asker().ask(Configured{group.id(), report->index, report->configuration},
                              std::chrono::seconds(2), [](const Result<MetaAnswer>&) {});
    }
}

NodeWorld::NodeWorld() {
    LogOptions log;
    log.to_stderr = true;
    log.level = std::getenv("NODE_WORLD_LOG") != nullptr ? LogLevel::Info : LogLevel::Error;
    auto opened = Logger::open(log);
    REQUIRE(opened.ok());
    logger_ = std::move(opened).value();
}

NodeInWorld& NodeWorld::add(const std::string& name) {
    nodes_.push_back(std::make_unique<NodeInWorld>(name, metrics_, *logger_));
    return *nodes_.back();
}

void NodeWorld::start_all(uint32_t expect) {
    for (const auto& node : nodes_)
        node->start(addresses(), expect);
}

std::vector<std::string> NodeWorld::addresses() const {
    std::vector<std::string> out;
    for (const auto& node : nodes_)
        out.push_back(node->address());
    return out;
}

}  // namespace quorate::test
