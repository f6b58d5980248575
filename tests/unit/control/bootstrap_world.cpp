#include "tests/unit/control/bootstrap_world.h"

#include <algorithm>
#include <utility>

namespace quorate::cluster::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kStep{100};

}  // namespace

std::string BootstrapWorld::name(std::size_t index) {
    return "n" + std::to_string(index + 1);
}

BootstrapWorld::BootstrapWorld(std::vector<StartPlan> plans, uint64_t seed) : random_(seed) {
    for (StartPlan& plan : plans) {
        Node& node = nodes_.emplace_back();
        node.starts_at = plan.first_start;
        node.plan = std::move(plan);
    }
}

void BootstrapWorld::run_with_faults(seconds time) {
    run(time, true);
}

void BootstrapWorld::run_in_peace(seconds time) {
    for (Node& node : nodes_) {
        node.deaf_until = Time{};
        if (!node.process) node.starts_at = std::min<Time>(node.starts_at, now_);
    }
    run(time, false);
}

void BootstrapWorld::run(seconds time, bool faults) {
    const Time end = now_ + time;
    while (now_ < end && violation_.empty()) {
        now_ += kStep;
        for (std::size_t i = 0; i < nodes_.size(); ++i)
            step(i, faults);
        while (!letters_.empty() && letters_.begin()->first <= now_) {
            const Letter letter = std::move(letters_.begin()->second);
            letters_.erase(letters_.begin());
            deliver(letter, faults);
        }
    }
}

void BootstrapWorld::step(std::size_t index, bool faults) {
    Node& node = nodes_[index];
    if (!node.refused.empty()) return;
    if (!node.process) {
        if (now_ < node.starts_at) return;
        BootstrapOptions options;
        options.name = options.address = name(index);
        options.seeds = node.plan.seeds;
        options.expect = node.plan.expect;
        options.ask_every = seconds(1);
        node.process = std::make_unique<Bootstrap>(options, node.disk, random_.next());
        BootstrapActions actions;
        node.process->start(now_, actions);
        return take(index, std::move(actions), faults);
    }
    if (faults && random_.chance(1, 400)) return crash(index, faults);
    if (faults && random_.chance(1, 300)) node.deaf_until = now_ + seconds(random_.below(15));
    if (!node.plan.seeds.empty() && random_.chance(1, 100)) {
        // A name that stands for nothing, for a while.
        const std::string& seed = node.plan.seeds[random_.below(node.plan.seeds.size())];
        const bool nowhere = faults && random_.chance(1, 2);
        node.process->resolved(seed, nowhere ? std::vector<std::string>{} : std::vector{seed});
    } else if (!faults) {
        for (const std::string& seed : node.plan.seeds)
            node.process->resolved(seed, {seed});
    }
    if (node.writing && node.written_at <= now_) return write_down(index, faults);
    BootstrapActions actions;
    node.process->tick(now_, actions);
    take(index, std::move(actions), faults);
}

void BootstrapWorld::crash(std::size_t index, bool faults) {
    Node& node = nodes_[index];
    node.process.reset();
    node.starts_at = now_ + milliseconds(random_.below(faults ? 8'000 : 100));
    if (!node.writing) return;
    ++crashes_while_writing;
    if (random_.chance(1, 2)) {
        node.disk = std::move(node.writing);
        check(index, *node.disk);
    }
    node.writing.reset();
}

void BootstrapWorld::write_down(std::size_t index, bool faults) {
    Node& node = nodes_[index];
    if (faults && random_.chance(1, 10)) return crash(index, faults);
    const auto before = node.disk;
    node.disk = std::move(node.writing);
    node.writing.reset();
    if (before && node.disk->proposed > before->proposed) ++proposals;
    if (before && before->accepted && !node.disk->accepted) ++withdrawn;
    check(index, *node.disk);
    BootstrapActions actions;
    node.process->persisted(now_, actions);
    if (faults && random_.chance(1, 10)) return crash(index, faults);
    take(index, std::move(actions), faults);
}

void BootstrapWorld::take(std::size_t index, BootstrapActions actions, bool faults) {
    Node& node = nodes_[index];
    if (actions.persist) {
        // As a disk would: what cannot be read back is no record.
        auto read = decode_bootstrap_record(encode(*actions.persist));
        if (!read.ok()) violation_ = "a record that cannot be read";
        node.writing = std::move(*read);
        node.written_at = now_ + milliseconds(random_.below(400));
    }
    for (const AskNode& each : actions.asks) {
        for (std::size_t to = 0; to < nodes_.size(); ++to) {
            if (name(to) == each.address) post({index, to, false, encode(each.request)}, faults);
        }
    }
    if (const auto* refuse = std::get_if<Refuse>(&actions.outcome)) node.refused = refuse->why;
    if (const auto* wanted = std::get_if<Join>(&actions.outcome)) join(index, *wanted, faults);
}

// Asks the member for a node id; at once, or never.
void BootstrapWorld::join(std::size_t index, const Join& wanted, bool faults) {
    if (faults && random_.chance(1, 3)) return;
    const auto member = std::ranges::find_if(nodes_, [&](const Node& node) {
        return node.process && node.process->in_cluster() && node.disk &&
               node.disk->cluster_id == wanted.cluster_id;
    });
    if (member == nodes_.end()) return;
    ++joins;
    BootstrapActions actions;
    nodes_[index].process->joined(wanted.cluster_id, NodeId(99), actions);
    take(index, std::move(actions), faults);
}

void BootstrapWorld::post(Letter letter, bool faults) {
    if (faults && random_.chance(1, 10)) return;
    const uint64_t copies = faults && random_.chance(1, 10) ? 2 : 1;
    for (uint64_t copy = 0; copy < copies; ++copy) {
        uint64_t late = random_.below(200);
        if (faults) late = random_.below(random_.chance(1, 20) ? 20'000 : 1'500);
        letters_.emplace(now_ + milliseconds(late), letter);
    }
}

void BootstrapWorld::deliver(const Letter& letter, bool faults) {
    Node& node = nodes_[letter.to];
    if (!node.process || !node.refused.empty() || now_ < node.deaf_until) return;
    BootstrapActions actions;
    if (letter.answer) {
        const auto standing = decode_standing(letter.bytes);
        if (!standing.ok()) violation_ = "an answer that cannot be read";
        node.process->answered(name(letter.from), *standing, now_, actions);
    } else {
        const auto request = decode_bootstrap_request(letter.bytes);
        if (!request.ok()) violation_ = "a request that cannot be read";
        const Standing answer = node.process->requested(*request, now_, actions);
        post({letter.to, letter.from, true, encode(answer)}, faults);
    }
    take(letter.to, std::move(actions), faults);
}

bool BootstrapWorld::related(std::size_t one, std::size_t other) const {
    std::set<std::string> near{nodes_[one].plan.seeds.begin(), nodes_[one].plan.seeds.end()};
    if (near.contains(name(other))) return true;
    const auto& seeds = nodes_[other].plan.seeds;
    return std::ranges::any_of(
        seeds, [&](const std::string& seed) { return seed == name(one) || near.contains(seed); });
}

void BootstrapWorld::check(std::size_t index, const BootstrapRecord& record) {
    Node& node = nodes_[index];
    if (node.cluster != 0 && record.cluster_id != node.cluster) {
        violation_ = name(index) + " changed its cluster";
    }
    if (record.cluster_id == 0 || node.cluster != 0) return;
    node.cluster = record.cluster_id;
    if (!record.accepted) return;
    const auto [set, first] = sets_.try_emplace(record.cluster_id, record.accepted->members);
    if (!first && set->second != record.accepted->members) {
        violation_ = "a cluster of two founding sets";
    }
    // Not only who got as far as this: all of the set, and whoever they share a seed with.
    for (std::size_t member = 0; member < nodes_.size(); ++member) {
        const bool in = std::ranges::any_of(record.accepted->members, [&](const Candidate& each) {
            return each.address == name(member);
        });
        if (in) founders_[record.cluster_id].insert(member);
    }
    for (const auto& [cluster, members] : founders_) {
        if (cluster == record.cluster_id) continue;
        for (const std::size_t one : members) {
            for (const std::size_t other : founders_[record.cluster_id]) {
                if (one == other || related(one, other)) {
                    violation_ = "two clusters, of " + name(one) + " and of " + name(other);
                }
            }
        }
    }
}

uint64_t BootstrapWorld::common_cluster() const {
    const uint64_t first = nodes_.front().cluster;
    const bool common =
        std::ranges::all_of(nodes_, [first](const Node& node) { return node.cluster == first; });
    return common ? first : 0;
}

std::string BootstrapWorld::describe() const {
    std::string out;
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
        const Node& node = nodes_[i];
        out += name(i) + " expects " + std::to_string(node.plan.expect) + " seeds";
        for (const std::string& seed : node.plan.seeds)
            out += " " + seed;
        out += ": cluster " + std::to_string(node.cluster % 10'000) + " " + node.refused;
        if (node.process) out += " waits for " + node.process->waits_for();
        out += "\n";
    }
    return out;
}

}  // namespace quorate::cluster::test
