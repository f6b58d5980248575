#include "tests/sim/search/world.h"

#include <algorithm>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "proto/base/assert.h"
#include "tests/sim/message_text.h"

namespace quorate::sim {
namespace {

using Kind = SearchStep::Kind;

// A member with so many under way waits for its disk.
constexpr std::size_t kWritesMax = 2;

std::string encode_state(EntryId applied) {
    return fmt::format("{}/{}", applied.index.value(), applied.term.value());
}

}  // namespace

std::string SearchWorld::describe(const SearchStep& step) const {
    const uint32_t node = step.node + 1U;
    const uint32_t other = step.other + 1U;
    switch (step.kind) {
        case Kind::Deliver: {
            const raft::Message& message = flights_[step.other]->message;
            return fmt::format("{} <- {} of term {}: {}", node, message.from.value(),
                               message.term.value(), describe_body(message.body));
        }
        case Kind::Elect:
            return fmt::format("{} stands for election", node);
        case Kind::Inform:
            return fmt::format("{} hears of the term of {}", node, other);
        case Kind::Heartbeat:
            return fmt::format("{} sends heartbeats", node);
        case Kind::Answer:
            return fmt::format("{} gets an answer to a heartbeat of {}", node, other);
        case Kind::Write:
            return fmt::format("{} completes a write", node);
        case Kind::Propose:
            return fmt::format("{} proposes", node);
        case Kind::Change:
            return fmt::format("{} changes the members", node);
        case Kind::Transfer:
            return fmt::format("{} hands over to {}", node, other);
        case Kind::Cut:
            return fmt::format("{} cuts its log", node);
        case Kind::Crash:
            return fmt::format("{} crashes, {} writes kept", node, step.other);
    }
    return "nothing";
}

SearchWorld::SearchWorld(SearchContext& context)
    : first_(context.scope.members),
      leaders_(context.scope.terms + 1),
      reached_(context.scope.terms + 1),
      committed_(std::make_shared<std::vector<raft::Entry>>()) {
    for (uint32_t i = 0; i < kSearchNodes; ++i) {
        members_[i] = std::make_shared<Member>();
        members_[i]->disk.configuration = first_;
        members_[i]->start(i, context.scope, context.reader);
        members_[i]->print(context.renamings, context.scope.crashes > 0);
    }
}

Member& SearchWorld::own(uint32_t at) {
    members_[at] = std::make_shared<Member>(*members_[at]);
    return *members_[at];
}

void SearchWorld::steps(const SearchContext& context, std::vector<SearchStep>& out) const {
    const SearchScope& scope = context.scope;
    out.clear();
    const auto busy = [this](uint32_t at) { return members_[at]->writes.size() >= kWritesMax; };
    for (uint8_t k = 0; k < flights_.size(); ++k) {
        const auto to = static_cast<uint8_t>(flights_[k]->message.to.value() - 1);
        // One more that makes its receiver campaign.
        const bool beyond = std::holds_alternative<raft::TimeoutNow>(flights_[k]->message.body) &&
                            members_[to]->node->term().value() >= scope.terms;
        if (!beyond && !busy(to)) out.push_back({Kind::Deliver, to, k});
    }
    for (uint8_t i = 0; i < kSearchNodes; ++i) {
        const Member& member = *members_[i];
        const raft::RaftNode& node = *member.node;
        if (!member.writes.empty()) out.push_back({Kind::Write, i, 0});
        if (crashed_ < scope.crashes) {
            for (uint8_t kept = 0; kept <= member.writes.size(); ++kept) {
                out.push_back({Kind::Crash, i, kept});
            }
        }
        if (busy(i)) continue;
        for (uint8_t j = 0; j < kSearchNodes; ++j) {
            if (node.term() < members_[j]->node->term()) out.push_back({Kind::Inform, i, j});
        }
        if (cut_ < scope.cuts && member.writes.empty() &&
            member.applied.index > member.disk.base.index) {
            out.push_back({Kind::Cut, i, 0});
        }
        if (node.role() != raft::Role::Leader) {
            const bool may = node.term().value() < scope.terms && node.may_campaign();
            if (may) out.push_back({Kind::Elect, i, 0});
            continue;
        }
        out.push_back({Kind::Heartbeat, i, 0});
        if (proposed_ < scope.proposals) out.push_back({Kind::Propose, i, 0});
        if (changed_ == 0 && !scope.target.voters.empty()) out.push_back({Kind::Change, i, 0});
        for (uint8_t j = 0; j < kSearchNodes; ++j) {
            if (j == i) continue;
            out.push_back({Kind::Answer, i, j});
            if (transferred_ < scope.transfers) out.push_back({Kind::Transfer, i, j});
        }
    }
}

Finding SearchWorld::take(SearchContext& context, const SearchStep& step) {
    Member& member = own(step.node);
    context.reader.disk = &member.disk;
    const raft::Configuration counted = member.node->configuration();
    Finding found = act(context, step, member);
    if (found.empty()) found = check(step.node, counted);
    if (found.empty()) found = turn(context, step.node, member);
    if (found.empty()) found = check_matching(step.node);
    if (!found.empty()) return found;
    member.print(context.renamings, crashed_ < context.scope.crashes);
    std::erase_if(flights_, [&](const auto& flight) { return stale(context, flight->message); });
    return {};
}

Finding SearchWorld::act(SearchContext& context, const SearchStep& step, Member& member) {
    raft::RaftNode& node = *member.node;
    const ReplicaId self(uint64_t{step.node} + 1);
    const ReplicaId other(uint64_t{step.other} + 1);
    switch (step.kind) {
        case Kind::Deliver: {
            const FlightRef flight = flights_[step.other];
            flights_.erase(flights_.begin() + step.other);
            node.step(flight->message);
            break;
        }
        case Kind::Elect:
            return elect(step.node, member);
        case Kind::Inform:
            node.step(
                {other, self, members_[step.other]->node->term(), raft::AppendEntriesReply{}});
            break;
        case Kind::Heartbeat:
            node.tick();
            break;
        case Kind::Answer:
            // Twice: the first may only tell the leader that nothing has moved since.
            node.step({other, self, node.term(), raft::HeartbeatReply{{}, raft::kNormalPriority}});
            node.step({other, self, node.term(), raft::HeartbeatReply{{}, raft::kNormalPriority}});
            break;
        case Kind::Write:
            return complete(context, step.node, member);
        case Kind::Propose:
            if (node.propose(SharedBytes()).ok()) ++proposed_;
            break;
        case Kind::Change:
            if (node.change(context.scope.target).ok()) ++changed_;
            break;
        case Kind::Transfer:
            if (node.transfer(other).ok()) ++transferred_;
            break;
        case Kind::Cut:
            cut(member);
            break;
        case Kind::Crash:
            return crash(context, step, member);
    }
    return {};
}

Finding SearchWorld::elect(uint32_t at, Member& member) {
    raft::RaftNode& node = *member.node;
    node.campaign();
    for (uint32_t i = 0; i < kSearchNodes && node.role() == raft::Role::PreCandidate; ++i) {
        if (i == at) continue;
        node.step({ReplicaId(uint64_t{i} + 1), node.self(), node.term().next(),
                   raft::RequestVoteReply{true, true}});
    }
    return {};
}

Finding SearchWorld::crash(SearchContext& context, const SearchStep& step, Member& member) {
    Finding found;
    for (uint8_t k = 0; k < step.other && found.empty(); ++k) {
        found = check_written(step.node, member.writes[k]);
        if (found.empty()) found = member.disk.make_durable(member.writes[k]);
    }
    ++crashed_;
    member.start(step.node, context.scope, context.reader);
    if (crashed_ < context.scope.crashes) return found;
    // Nobody's disk is read again.
    for (uint32_t i = 0; i < kSearchNodes; ++i) {
        if (i != step.node) own(i).print(context.renamings, false);
    }
    return found;
}

void SearchWorld::cut(Member& member) {
    raft::RaftNode& node = *member.node;
    const LogIndex to = std::min(node.cut_limit(true), member.applied.index);
    const raft::Entry* last = member.disk.at(to);
    const auto configuration = last == nullptr ? std::nullopt : node.configuration_at(to);
    if (!configuration) return;
    ++cut_;
    const EntryId id = last->id;
    member.disk.flushed = member.applied;
    member.disk.configuration = *configuration;
    std::erase_if(member.disk.entries, [&](const auto& entry) { return entry.id.index <= to; });
    member.disk.base = id;
    node.cut(id);
}

Finding SearchWorld::turn(SearchContext& context, uint32_t at, Member& member) {
    raft::RaftNode& node = *member.node;
    do {
        Result<raft::Ready> ready = node.ready();
        if (!ready) return "a sound log cannot be read: " + ready.error().message;
        if (ready->persist.value() != 0) {
            for (const raft::Entry& entry : ready->entries) {
                if (Finding found = check_appended(at, entry); !found.empty()) return found;
            }
            member.writes.push_back({ready->persist, ready->restored, ready->truncate_from,
                                     std::move(ready->entries), ready->hard_state,
                                     std::move(ready->messages_after)});
        }
        const raft::ConfigurationEntry newest = member.configuration(LogIndex(UINT64_MAX));
        if (newest.configuration != node.configuration()) {
            return fmt::format("R7: {} goes by another configuration than that at {}", at + 1,
                               newest.index.value());
        }
        Finding found = post(context, at, ready->messages);
        for (const raft::Entry& entry : ready->committed) {
            if (found.empty()) found = check_applied(member, entry);
            member.applied = entry.id;
        }
        if (!ready->committed.empty()) node.applied(member.applied.index);
        if (found.empty()) found = carry_snapshots(*ready, member);
        const bool slow = at + context.scope.slow_disks >= kSearchNodes;
        while (found.empty() && !slow && !member.writes.empty()) {
            found = complete(context, at, member);
        }
        if (!found.empty()) return found;
    } while (node.has_ready());
    return {};
}

Finding SearchWorld::complete(SearchContext& context, uint32_t at, Member& member) {
    MemberWrite write = std::move(member.writes.front());
    member.writes.erase(member.writes.begin());
    Finding found = check_written(at, write);
    if (found.empty()) found = member.disk.make_durable(write);
    if (found.empty()) found = post(context, at, write.messages_after);
    if (!found.empty()) return found;
    const raft::Configuration counted = member.node->configuration();
    member.node->persisted(write.number);
    return check(at, counted);
}

// A snapshot is one chunk, and what it brings is restored at once.
Finding SearchWorld::carry_snapshots(const raft::Ready& ready, Member& member) {
    raft::RaftNode& node = *member.node;
    for (const raft::SnapshotRequest& request : ready.snapshot_requests) {
        const std::optional<raft::SnapshotMeta> point = node.snapshot_point();
        if (!point) continue;
        const std::string state = encode_state(member.applied);
        node.snapshot_chunk(request, *point, SharedBytes(as_bytes(state)), true);
    }
    for (const raft::SnapshotPart& part : ready.snapshot_parts) {
        const EntryId last = part.snapshot.last;
        const bool known = last.index.value() > 0 && last.index.value() <= committed_->size() &&
                           (*committed_)[last.index.value() - 1].id == last;
        if (!known || part.data.text() != encode_state(last)) {
            return fmt::format("R4: a snapshot as of {} holds another state", last.index.value());
        }
        if (node.restore(part.snapshot)) member.applied = last;
    }
    return {};
}

Finding SearchWorld::post(SearchContext& context, uint32_t at,
                          std::vector<raft::Message>& messages) {
    for (raft::Message& message : messages) {
        if (Finding found = check_sent(at, message); !found.empty()) return found;
        if (auto* request = std::get_if<raft::RequestVote>(&message.body)) {
            if (request->pre) continue;
            request->transfer = true;
        }
        // See Kind::Answer.
        if (std::holds_alternative<raft::HeartbeatReply>(message.body)) continue;
        if (message.to.value() > kSearchNodes || stale(context, message)) continue;
        const auto [from, to] = std::pair(message.from, message.to);
        FlightRef flight = make_flight(std::move(message), context.renamings);
        std::size_t on_link = 0;
        bool there = false;
        for (const FlightRef& other : flights_) {
            if (other->message.from == from && other->message.to == to) ++on_link;
            there = there || other->prints[0] == flight->prints[0];
        }
        if (!there && on_link < context.scope.link) flights_.push_back(std::move(flight));
    }
    return {};
}

// Terms on disks never fall, a candidacy and a leadership that ended never come back.
bool SearchWorld::stale(const SearchContext& context, const raft::Message& message) const {
    const Member& to = *members_[message.to.value() - 1];
    const raft::RaftNode& node = *to.node;
    if (message.term < to.disk.hard.term) return true;
    if (std::holds_alternative<raft::RequestVoteReply>(message.body)) {
        return node.term() != message.term || node.role() != raft::Role::Candidate;
    }
    if (std::holds_alternative<raft::AppendEntriesReply>(message.body) ||
        std::holds_alternative<raft::InstallSnapshotReply>(message.body)) {
        return node.term() != message.term || node.role() != raft::Role::Leader;
    }
    // A restart forgets what was committed.
    const auto* heartbeat = std::get_if<raft::Heartbeat>(&message.body);
    return crashed_ == context.scope.crashes && heartbeat != nullptr &&
           node.term() == message.term && node.leader() == message.from &&
           node.log().committed() >= heartbeat->commit;
}

uint64_t SearchWorld::fingerprint(const SearchContext& context) const {
    uint64_t common = mix(mix(proposed_, crashed_), changed_);
    common = mix(mix(common, transferred_), cut_);
    for (const raft::Entry& entry : *committed_) {
        common = mix(common, print_of(entry));
    }
    for (const LogIndex index : reached_) {
        common = mix(common, index.value());
    }
    uint64_t least = UINT64_MAX;
    for (std::size_t i = 0; i < context.renamings.size(); ++i) {
        uint64_t sum = 0;
        for (const auto& member : members_) {
            sum += member->prints[i];
        }
        // Any message can come first, so their order is no part of the state.
        for (const FlightRef& flight : flights_) {
            sum += mix(flight->prints[i], 7);
        }
        uint64_t hash = mix(common, sum);
        for (const uint8_t leader : leaders_) {
            hash = mix(hash, context.renamings[i][leader]);
        }
        least = std::min(least, hash);
    }
    return least;
}

}  // namespace quorate::sim
