#include "tests/sim/shard_subject.h"

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cluster/topics/state_key.h"

namespace quorate::sim {
namespace {

using cluster::Actions;
using cluster::CommandBody;
using cluster::Family;
using cluster::OutboxTarget;
using cluster::ShardState;

constexpr uint32_t kOutboxWindow = 8;

cluster::ShardOptions shard_options() {
    cluster::ShardOptions options;
    // Small, so that steps end in the middle and bodies are read from the store.
    options.step_limit = 2;
    options.tail_cache_bytes = 256;
    options.outbox_window = kOutboxWindow;
    return options;
}

std::optional<Family> forgotten(ShardMutant mutant) {
    switch (mutant) {
        case ShardMutant::None:
            return std::nullopt;
        case ShardMutant::ForgetReceived:
            return Family::Received;
        case ShardMutant::ForgetRepeats:
            return Family::Repeats;
        case ShardMutant::ForgetCursor:
            return Family::Cursor;
    }
    return std::nullopt;
}

class ShardSubject final : public Subject, private cluster::StateMachine {
  public:
    ShardSubject(ShardWorld& world, ShardMutant mutant)
        : world_(world), forgotten_(forgotten(mutant)) {}

    void begin() override { world_.begin_life(); }
    [[nodiscard]] cluster::StateMachine& machine() override { return *this; }
    [[nodiscard]] std::optional<std::string> next_command(Random& random,
                                                          ClusterTime now) override {
        world_.observe_time(now.value());
        if (!world_.receive(*state_, now, random) || !world_.read_retained(*state_, now, random)) {
            unreadable_ = true;
        }
        drive_outbox(now);
        look_around(now);
        if (!due_.empty() && (world_.closing() || random.chance(2, 3))) {
            std::string command = std::move(due_.front());
            due_.pop_front();
            return command;
        }
        if (!hand_overs_.empty() && (world_.closing() || random.chance(1, 2))) {
            return hand_over(now);
        }
        return world_.next(random, now);
    }
    void close() override { world_.close(); }
    void judge() override { world_.judge(); }
    [[nodiscard]] std::string complaint() const override {
        return unreadable_ ? "a state cannot be read" : world_.complaint();
    }
    [[nodiscard]] uint64_t digest() const override { return state_->digest(); }

  private:
    [[nodiscard]] Status load(storage::StateStore& store, LogIndex /*applied*/,
                              ClusterTime /*time*/) override {
        const ShardState::Identity identity{ShardId(0), cluster::ShardLayout{1, 0}};
        state_ = std::make_unique<ShardState>(identity, shard_options());
        return state_->load(store);
    }

    [[nodiscard]] Status apply(const cluster::CommandEntry& entry,
                               storage::StateBatch& batch) override {
        storage::StateBatch whole;
        storage::StateBatch& into = forgotten_ ? whole : batch;
        cluster::CommandReader commands = entry.commands;
        while (const auto command = commands.next()) {
            if (Status applied = state_->apply(entry.time, *command, into, actions_); !applied) {
                return applied;
            }
            applied_at_.resize(actions_.answers.size(), entry.time);
        }
        state_->end_entry(into);
        if (forgotten_) leave_out(whole, batch);
        return commands.finished() ? Status() : Error{ErrorCode::Corrupt, "an entry"};
    }

    void leave_out(const storage::StateBatch& whole, storage::StateBatch& batch) const {
        whole.for_each([&](const storage::StateChange& change) {
            if (static_cast<Family>(change.key.front()) == *forgotten_) return;
            switch (change.op) {
                case storage::StateOp::Put:
                    batch.put(change.key, change.value);
                    break;
                case storage::StateOp::Remove:
                    batch.remove(change.key);
                    break;
                case storage::StateOp::RemoveRange:
                    batch.remove_range(change.key, change.value);
                    break;
            }
        });
    }

    void applied(LogIndex /*index*/) override {
        for (std::size_t i = 0; i < actions_.answers.size(); ++i) {
            const auto handed = world_.answered(actions_.answers[i], applied_at_[i]);
            if (handed) done_[handed->target].push_back(handed->number);
        }
        for (const cluster::LetGo& request : actions_.let_go)
            world_.let_go(request);
        if (actions_.work_left) propose(cluster::Tick{});
        owes_node_downs_ = owes_node_downs_ || actions_.work_left;
        actions_.clear();
        applied_at_.clear();
        ticking_ = false;
    }
    void on_leader(Term /*term*/) override {
        owes_node_downs_ = true;
        std::vector<cluster::LetGo> requests;
        state_->let_gos(requests);
        for (const cluster::LetGo& request : requests)
            world_.let_go(request);
    }
    void on_follower(Term /*term*/) override {}

    void propose(const CommandBody& body) {
        cluster::CommandHeader header;
        header.lane = {world_.incarnation(), 0, cluster::LaneClass::Leader};
        cluster::encode_command(due_.emplace_back(), header, body);
    }

    // What the state says is owed by now.
    void look_around(ClusterTime now) {
        if (std::exchange(owes_node_downs_, false)) {
            for (const Incarnation incarnation : state_->attached_incarnations()) {
                if (incarnation < world_.incarnation()) propose(cluster::NodeDown{incarnation});
            }
        }
        const auto deadline = state_->next_deadline();
        if (deadline && *deadline <= now && !ticking_) {
            ticking_ = true;
            propose(cluster::Tick{});
        }
        for (auto& [target, numbers] : done_)
            propose(cluster::OutboxDone{target, std::move(numbers)});
        done_.clear();
        if (const auto wanted = state_->wanted_routes(made_, 1); !wanted.empty()) {
            made_ = wanted[0].route.serial;
            cluster::Made body;
            body.routes.push_back({wanted[0].made_filter, wanted[0].member, made_});
            propose(body);
        }
    }

    void drive_outbox(ClusterTime now) {
        for (const OutboxTarget& target : state_->outbox_targets()) {
            OutboxNumber& after = handed_over_[target];
            const Status read = state_->outbox_window(target, after, kOutboxWindow, now,
                                                      [&](const cluster::OutboxEntryView& entry) {
                                                          after = entry.source.number;
                                                          hand_overs_.emplace_back(target, after);
                                                      });
            ASSERT(read.ok(), "memory does not fail");
        }
    }

    // In order; the entry is read again, as the source names what is unfinished now.
    std::string hand_over(ClusterTime now) {
        const auto [target, number] = hand_overs_.front();
        hand_overs_.pop_front();
        std::string command;
        const Status read = state_->outbox_window(
            target, OutboxNumber(number.value() - 1), kOutboxWindow, now,
            [&, number = number, target = target](const cluster::OutboxEntryView& entry) {
                if (entry.source.number == number) command = world_.hand_over(target, entry);
            });
        ASSERT(read.ok() && !command.empty(), "an entry under way is not done");
        return command;
    }

    ShardWorld& world_;
    const std::optional<Family> forgotten_;
    std::unique_ptr<ShardState> state_;
    Actions actions_;
    std::vector<ClusterTime> applied_at_;  // of actions_.answers
    std::deque<std::string> due_;          // the leader's own commands
    std::map<OutboxTarget, OutboxNumber> handed_over_;
    std::deque<std::pair<OutboxTarget, OutboxNumber>> hand_overs_;
    std::map<OutboxTarget, std::vector<OutboxNumber>> done_;
    RouteSerial made_;
    bool owes_node_downs_ = false;
    bool ticking_ = false;
    bool unreadable_ = false;
};

}  // namespace

SubjectFactory ShardWorlds::factory() {
    return [this](GroupId group) -> std::unique_ptr<Subject> {
        return std::make_unique<ShardSubject>(worlds_[group], mutant_);
    };
}

ShardSimCounts ShardWorlds::counts() const {
    ShardSimCounts sum;
    for (const auto& [group, world] : worlds_) {
        const ShardSimCounts& part = world.counts();
        sum.lives += part.lives;
        sum.commands_lost += part.commands_lost;
        sum.receiver_mid_qos2 += part.receiver_mid_qos2;
        sum.sender_mid_qos2 += part.sender_mid_qos2;
        sum.pubrels_resumed += part.pubrels_resumed;
        sum.redelivered += part.redelivered;
        sum.put_repeats += part.put_repeats;
        sum.hand_over_repeats += part.hand_over_repeats;
        sum.sessions_expired += part.sessions_expired;
        sum.takeovers += part.takeovers;
        sum.wills_sent += part.wills_sent;
        sum.wills_cancelled += part.wills_cancelled;
        sum.delivered += part.delivered;
        sum.retained_reads += part.retained_reads;
    }
    return sum;
}

}  // namespace quorate::sim
