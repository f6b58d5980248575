// What the leader of a shard answers on a disk that is nearly full: a real group on stores in
// memory.
#include <deque>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "cluster/group/group_ids.h"
#include "cluster/group/group_runner.h"
#include "cluster/router/leader/shard_runner.h"
#include "storage/memory_stores.h"
#include "tests/unit/catch.h"
#include "tests/unit/router/node.h"

namespace quorate::cluster::testing {
namespace {

class StillClock final : public Clock {
  public:
    [[nodiscard]] std::chrono::nanoseconds now() const override { return time; }
    [[nodiscard]] std::chrono::milliseconds wall() const override { return {}; }
    std::chrono::nanoseconds time{std::chrono::seconds(1)};
};

class PromptLog final : public storage::LogSink {
  public:
    explicit PromptLog(storage::LogStore& store) : store_(store) {}
    void submit(storage::LogRequest request) override {
        REQUIRE(store_.write({&request.batch, 1}, storage::Durability::Synced).ok());
        done_.push_back(std::move(request.done));
    }
    bool complete() {
        if (done_.empty()) return false;
        Task done = std::move(done_.front());
        done_.pop_front();
        done();
        return true;
    }

  private:
    storage::LogStore& store_;
    std::deque<Task> done_;
};

// One shard, its leader, and a loop that asks.
class Leader {
  public:
    Leader() {
        LogOptions options;
        options.level = LogLevel::Error;
        auto logger = Logger::open(options);
        REQUIRE(logger.ok());
        logger_ = std::move(*logger);
        GroupRunnerOptions runner_options;
        runner_options.post_log_done = [this] { runner_->log_done(); };
        runner_ = std::make_unique<GroupRunner>(GroupContext{log_, state_, clock_, &disk_, nullptr},
                                                sink_, runner_options);
        shard_ = std::make_unique<ShardRunner>(ShardId(0), ShardOptions{}, SharedLeaderOptions{},
                                               node_.router, Log(*logger_, "test"));
        GroupOptions group;
        group.id = group_of(ShardId(0));
        const auto added = runner_->add(group, *shard_);
        REQUIRE(added.ok());
        shard_->set_group(*added);
        node_.router.add_runner(group.id, *shard_);
        settle();
        shard_->start_serving();
        // What it shows comes back on the directory's thread: after this nothing does any more.
        std::promise<void> shown;
        node_.router.directory().change({}, [&shown] { shown.set_value(); });
        shown.get_future().get();
        settle();
    }

    void fill(uint64_t percent) {
        percent_ = percent;
        clock_.time += storage::DiskWatch::kPeriod * 2;
    }

    // Proposes a loop's command; what it is answered is in `answers` once it is.
    uint64_t ask(const CommandBody& body) {
        ++number_;
        return ask_again(body);
    }
    // Under the number of the last one: its answer was lost.
    uint64_t ask_again(const CommandBody& body) {
        CommandHeader header;
        header.lane = {Node::kIncarnation, 0, LaneClass::Control};
        header.number = CommandNumber(number_);
        header.token = number_;
        std::string bytes;
        encode_command(bytes, header, body);
        shard_->propose(bytes);
        settle();
        return number_;
    }
    [[nodiscard]] std::optional<AnswerCode> code(uint64_t number) const {
        const auto found = answers.find(number);
        return found == answers.end() ? std::nullopt : std::optional(found->second.code);
    }
    void settle() {
        // What the end of a turn proposes needs another one.
        for (int turn = 0; turn < 3; ++turn) {
            while (runner_->turn() || sink_.complete())
                continue;
            node_.turn();
            for (const auto& parcel : node_.to_loop) {
                for (const GroupAnswer& answer : parcel->answers)
                    answers[answer.answer.number.value()] = answer.answer;
            }
        }
    }

    AttachResult attach(std::string_view client, uint32_t expiry_s = 100) {
        Attach body;
        body.client_id = client;
        body.session_expiry_s = expiry_s;
        body.receive_maximum = 10;
        body.connection = Node::connection(static_cast<uint32_t>(number_));
        const uint64_t asked = ask(body);
        REQUIRE(code(asked) == AnswerCode::Applied);
        return std::get<AttachResult>(answers[asked].result);
    }
    [[nodiscard]] const ShardState& state() const { return shard_->state(); }

    std::map<uint64_t, Answer> answers;

  private:
    std::unique_ptr<Logger> logger_;
    Node node_;
    storage::MemoryLogStore log_;
    storage::MemoryStateStore state_;
    StillClock clock_;
    PromptLog sink_{log_};
    uint64_t percent_ = 0;
    storage::DiskWatch disk_{[this] { return storage::DiskUse{100, percent_}; }};
    std::unique_ptr<GroupRunner> runner_;
    std::unique_ptr<ShardRunner> shard_;
    uint64_t number_ = 0;
};

Subscribe subscribe_to(const AttachResult& session, std::string_view filter) {
    Subscribe body{session.session, session.epoch, {}};
    body.requests.push_back({filter, mqtt::QoS::ExactlyOnce});
    return body;
}

Attach new_session(std::string_view client, uint32_t expiry_s) {
    Attach body;
    body.client_id = client;
    body.session_expiry_s = expiry_s;
    body.connection = Node::connection(99);
    return body;
}

TEST_CASE("On a disk nearly full what grows is refused at once, under its own number", "[R-3]") {
    Leader leader;
    const AttachResult session = leader.attach("a");
    leader.ask(subscribe_to(session, "t"));
    const std::string message = flat("t", "m");
    leader.fill(92);
    CHECK(leader.code(leader.ask(new_session("b", 100))) == AnswerCode::LimitExceeded);
    CHECK(leader.code(leader.ask(Enqueue{message, {}, {}})) == AnswerCode::LimitExceeded);
    CHECK(leader.code(leader.ask(EnqueueGroup{"g/t", message, {}})) == AnswerCode::LimitExceeded);
    CHECK(leader.code(leader.ask(subscribe_to(session, "u"))) == AnswerCode::LimitExceeded);
    CHECK(leader.code(leader.ask(OutboxPut{session.session, session.epoch, PacketId(1),
                                           message})) == AnswerCode::LimitExceeded);
    CHECK(leader.state().counts().queued_messages == 0);
    CHECK(leader.state().counts().durable_sessions == 1);
    // The lane goes on without a gap.
    leader.fill(50);
    CHECK(leader.code(leader.ask(Enqueue{message, {}, {}})) == AnswerCode::Applied);
    CHECK(leader.state().counts().queued_messages == 1);
}

TEST_CASE("On a disk nearly full what frees or was accepted before goes through", "[R-5]") {
    Leader leader;
    const AttachResult session = leader.attach("a");
    leader.ask(subscribe_to(session, "t"));
    const std::string message = flat("t", "m", mqtt::QoS::ExactlyOnce);
    leader.ask(Enqueue{message, {}, {}});
    leader.ask(OutboxPut{session.session, session.epoch, PacketId(7), message});
    leader.fill(92);
    // A PUBLISH that comes again has its PUBREC again.
    CHECK(leader.code(leader.ask(OutboxPut{session.session, session.epoch, PacketId(7),
                                           message})) == AnswerCode::Applied);
    CHECK(leader.code(leader.ask(Release{session.session, session.epoch, PacketId(7)})) ==
          AnswerCode::Applied);
    OutboxSource source;
    source.stream = {ShardId(3), Generation(1), {OutboxTargetKind::Topic, ShardId(0), {}}};
    source.number = OutboxNumber(1);
    CHECK(leader.code(leader.ask(Enqueue{message, source, {}})) == AnswerCode::Applied);
    CHECK(leader.state().counts().queued_messages == 2);
    CHECK(leader.code(leader.ask(Ack{
              session.session,
              session.epoch,
              {{MessageNumber(1), AckKind::PubrecOk}, {MessageNumber(1), AckKind::Pubcomp}}})) ==
          AnswerCode::Applied);
    CHECK(leader.state().counts().queued_messages == 1);
    CHECK(leader.code(leader.ask(Unsubscribe{session.session, session.epoch, {"t"}})) ==
          AnswerCode::Applied);
    CHECK(leader.code(leader.ask(Detached{
              session.session, session.epoch, DetachHow::Normal, {}, {}})) == AnswerCode::Applied);
    // It comes back for what it is owed; a session that leaves with its connection may come.
    CHECK(leader.code(leader.ask(new_session("a", 100))) == AnswerCode::Applied);
    CHECK(leader.code(leader.ask(new_session("m", 0))) == AnswerCode::Applied);
}

TEST_CASE("What was applied is not refused when it is sent again on a disk nearly full", "[R-3]") {
    Leader leader;
    const Attach first = new_session("a", 100);
    CHECK(leader.code(leader.ask(first)) == AnswerCode::Applied);
    leader.fill(92);
    CHECK(leader.code(leader.ask_again(first)) == AnswerCode::Duplicate);
    CHECK(leader.code(leader.ask(new_session("b", 100))) == AnswerCode::LimitExceeded);
}

TEST_CASE("Above the second mark nothing is written until space returns") {
    Leader leader;
    const AttachResult session = leader.attach("a");
    leader.fill(98);
    const uint64_t waiting = leader.ask(subscribe_to(session, "t"));
    const uint64_t behind =
        leader.ask(Detached{session.session, session.epoch, DetachHow::Normal, {}, {}});
    CHECK_FALSE(leader.code(waiting));
    CHECK_FALSE(leader.code(behind));
    leader.fill(95);
    leader.settle();
    CHECK(leader.code(waiting) == AnswerCode::LimitExceeded);
    CHECK(leader.code(behind) == AnswerCode::Applied);
}

}  // namespace
}  // namespace quorate::cluster::testing
