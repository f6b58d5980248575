// Questions and answers between hosts on loopback.
#include <atomic>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "cluster/link/wire/batch.h"
#include "tests/unit/catch.h"
#include "tests/unit/link/node.h"

namespace {

using namespace quorate;
using namespace quorate::link;

Result<std::string> ask(TestNode& from, const std::string& address, std::string bytes,
                        std::chrono::milliseconds deadline = std::chrono::seconds(10)) {
    auto promise = std::make_unique<std::promise<Result<std::string>>>();
    auto future = promise->get_future();
    Question question{address, QuestionKind(7), deadline};
    const Status asked = from.host().ask(
        std::move(question), std::move(bytes),
        [raw = promise.get()](Result<std::string> result) { raw->set_value(std::move(result)); });
    if (!asked) return asked.error();
    return future.get();
}

}  // namespace

TEST_CASE("a question is answered, also one to oneself and by nodes of no cluster", "[link]") {
    TestNode one(1);
    TestNode fresh(2, 1, [](LinkOptions& options) { options.self = {}; });
    CHECK(ask(one, fresh.address(), "abc").value() == "cba");
    CHECK(ask(fresh, one.address(), "abc").value() == "cba");
    CHECK(ask(one, one.address(), "self").value() == "fles");
    CHECK(one.metrics.value<Metric::LinkCalls>(ResultLabel::Ok) == 2);
    CHECK(one.metrics.value<Metric::LinkCallsServed>(ResultLabel::Ok) == 2);
}

TEST_CASE("an answer may come from any thread, as an error, or not at all", "[link]") {
    TestNode one(1);
    TestNode two(2);
    std::thread late;
    two.recorder.on_ask = [&](const QuestionView& question, AnswerDoor answer) {
        CHECK(question.kind == QuestionKind(7));
        CHECK(question.from.peer.node == NodeId(1));
        const std::string text(as_text(question.bytes));
        if (text == "late") {
            late = std::thread(
                [door = std::move(answer)]() mutable { door.answer(std::string("at last")); });
        } else if (text == "error") {
            answer.answer(Error{ErrorCode::NotLeader, "ask node 3"});
        } else if (text == "large") {
            answer.answer(std::string(kItemBytesMax + 1, 'x'));
        }
    };
    CHECK(ask(one, two.address(), "late").value() == "at last");
    late.join();
    const auto error = ask(one, two.address(), "error");
    REQUIRE_FALSE(error);
    CHECK(error.error().code == ErrorCode::NotLeader);
    CHECK(error.error().message == "ask node 3");
    CHECK(ask(one, two.address(), "dropped").error().code == ErrorCode::Unavailable);
    CHECK(ask(one, two.address(), "large").error().code == ErrorCode::LimitExceeded);
}

TEST_CASE("a question ends at its deadline, and where nobody listens", "[link]") {
    TestNode one(1);
    TestNode two(2);
    std::vector<AnswerDoor> kept;
    std::mutex mutex;
    two.recorder.on_ask = [&](const QuestionView&, AnswerDoor answer) {
        const std::lock_guard lock(mutex);
        kept.push_back(std::move(answer));
    };
    const auto late = ask(one, two.address(), "?", std::chrono::milliseconds(50));
    CHECK(late.error().code == ErrorCode::Unavailable);
    const std::string gone = two.address();
    two.stop();
    CHECK(ask(one, gone, "?").error().code == ErrorCode::Unavailable);
    CHECK(ask(one, "no-such-host.invalid:1", "?").error().code == ErrorCode::NotFound);
    CHECK(ask(one, "nonsense", "?").error().code == ErrorCode::NotFound);
    const std::lock_guard lock(mutex);
    kept.clear();  // doors may outlive their host
}

TEST_CASE("a question to another cluster is refused with a reason", "[link]") {
    TestNode one(1);
    TestNode two(2, 1, [](LinkOptions& options) { options.self.cluster_id = "another"; });
    const auto refused = ask(one, two.address(), "join me");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ErrorCode::NotAuthorized);
    CHECK(refused.error().message.find("another") != std::string::npos);
    CHECK(two.recorder.heard().questions.empty());
}

TEST_CASE("questions under way are limited on both sides", "[link]") {
    TestNode one(1, 1, [](LinkOptions& options) { options.questions_max = 2; });
    TestNode two(2);
    std::vector<AnswerDoor> kept;
    std::mutex mutex;
    two.recorder.on_ask = [&](const QuestionView&, AnswerDoor answer) {
        const std::lock_guard lock(mutex);
        kept.push_back(std::move(answer));
    };
    std::atomic<int> answered{0};
    const auto go = [&] {
        return one.host().ask({two.address(), QuestionKind(1), std::chrono::seconds(20)}, "?",
                              [&](const Result<std::string>&) { ++answered; });
    };
    CHECK(go());
    CHECK(go());
    CHECK(go().error().code == ErrorCode::LimitExceeded);
    const auto wait_kept = [&](std::size_t count) {
        return eventually([&] {
            const std::lock_guard lock(mutex);
            return kept.size() == count;
        });
    };
    REQUIRE(wait_kept(2));
    {
        const std::lock_guard lock(mutex);
        kept.clear();
    }
    CHECK(eventually([&] { return answered == 2; }));
    CHECK(go());
    REQUIRE(wait_kept(1));
    one.stop();
    CHECK(answered == 3);  // each reply comes once, at the latest when the host stops
    two.stop();
}

TEST_CASE("a name resolves to all its addresses, numbers to themselves", "[link]") {
    TestNode one(1);
    std::promise<std::vector<std::string>> promise;
    auto future = promise.get_future();
    REQUIRE(one.host().resolve(
        {"127.0.0.1:1", "[::1]:2", "127.0.0.1:1", "no-such-host.invalid:3", "localhost:4", "x"},
        [&](std::vector<std::string> found) { promise.set_value(std::move(found)); }));
    const std::vector<std::string> found = future.get();
    REQUIRE(found.size() >= 3);
    CHECK(found[0] == "127.0.0.1:1");
    CHECK(found[1] == "[::1]:2");
    CHECK(found[2].ends_with(":4"));
}
