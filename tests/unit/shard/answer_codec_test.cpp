#include "cluster/shard/answer_codec.h"

#include "tests/unit/catch.h"

namespace quorate::cluster::testing {
namespace {

std::vector<CommandResult> examples() {
    AttachResult attach;
    attach.code = mqtt::ReasonCode::NotAuthorized;
    attach.session_present = true;
    attach.durable = true;
    attach.connection = {make_incarnation(NodeId(1), 2), LoopId(3), 4, 5};
    attach.session = SessionId(6);
    attach.epoch = Epoch(7);
    attach.first_unacked = MessageNumber(8);
    attach.next = MessageNumber(9);
    attach.mark = MessageNumber(10);
    attach.subscriptions = 11;
    attach.replays.push_back({"a/#", {{Epoch(1), CommandNumber(2)}, ShardId(3), "a/b"}});
    attach.replays.push_back({"b", {{Epoch(4), CommandNumber(5)}, ShardId(6), ""}});
    RequestedSubscription filter;
    filter.code = mqtt::ReasonCode::GrantedQos2;
    filter.is_new = true;
    filter.member = SessionId(1);
    filter.wait_for = RouteSerial(2);
    filter.replay = {Epoch(3), CommandNumber(4)};
    EnqueueResult enqueue;
    enqueue.queued = 1;
    enqueue.no_local = 6;
    enqueue.repeat = true;
    ReplayResult replay;
    replay.left = PendingReplay{{Epoch(1), CommandNumber(2)}, ShardId(3), "t"};
    replay.full = true;
    return {std::monostate{},
            attach,
            SubscribeResult{{filter, {}}},
            UnsubscribeResult{{mqtt::ReasonCode::Success, mqtt::ReasonCode::NoSubscriptionExisted}},
            enqueue,
            EnqueueGroupResult{true, false, MessageNumber(3)},
            AckResult{MessageNumber(1), MessageNumber(2), 3},
            OutboxPutResult{mqtt::ReasonCode::QuotaExceeded, true},
            ReleaseResult{true},
            RetainResult{mqtt::ReasonCode::QuotaExceeded},
            RouteResult{RouteSerial(5)},
            DetachedResult{true},
            replay};
}

Answer answer_with(const CommandResult& result) {
    Answer answer;
    answer.lane = {make_incarnation(NodeId(3), 4), 5, LaneClass::Publish};
    answer.number = CommandNumber(6);
    answer.token = 7;
    answer.code = AnswerCode::Duplicate;
    answer.expected = CommandNumber(8);
    answer.result = result;
    return answer;
}

TEST_CASE("An answer with any result is read as it was written", "[R-3]") {
    const auto all = examples();
    REQUIRE(all.size() == std::variant_size_v<CommandResult>);
    for (const CommandResult& result : all) {
        INFO("result " << result.index());
        std::string bytes;
        encode_answer(bytes, answer_with(result));
        const auto read = decode_answer(bytes);
        REQUIRE(read.ok());
        CHECK(read->lane == answer_with(result).lane);
        CHECK(read->number == CommandNumber(6));
        CHECK(read->token == 7);
        CHECK(read->code == AnswerCode::Duplicate);
        CHECK(read->expected == CommandNumber(8));
        CHECK(read->result.index() == result.index());
        std::string again;
        encode_answer(again, *read);
        CHECK(again == bytes);
    }
}

TEST_CASE("Cut, lengthened or unknown bytes are no answer") {
    for (const CommandResult& result : examples()) {
        INFO("result " << result.index());
        std::string bytes;
        encode_answer(bytes, answer_with(result));
        for (std::size_t size = 0; size < bytes.size(); ++size) {
            CHECK_FALSE(decode_answer(std::string_view(bytes).substr(0, size)).ok());
        }
        CHECK_FALSE(decode_answer(bytes + "x").ok());
        std::string other = bytes;
        other[0] = 2;
        CHECK_FALSE(decode_answer(other).ok());
    }
}

TEST_CASE("A count that cannot follow reserves nothing") {
    std::string bytes;
    encode_answer(bytes, answer_with(UnsubscribeResult{}));
    bytes.replace(bytes.size() - 4, 4, "\xff\xff\xff\xff");
    CHECK_FALSE(decode_answer(bytes).ok());
}

}  // namespace
}  // namespace quorate::cluster::testing
