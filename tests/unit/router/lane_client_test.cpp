#include "cluster/router/lane_client.h"

#include <vector>

#include "tests/unit/catch.h"

namespace quorate::cluster {
namespace {

constexpr GroupId kGroup{17};
const Lane kLane{make_incarnation(NodeId(1), 2), 3, LaneClass::Publish};

// The numbers of the commands in a parcel, each of which must be of the lane.
std::vector<uint64_t> numbers(const CommandParcel& parcel) {
    std::vector<uint64_t> out;
    parcel.for_each([&out](GroupId group, std::string_view bytes) {
        CHECK(group == kGroup);
        const auto command = decode_command(bytes);
        REQUIRE(command.ok());
        CHECK(command->header.lane == kLane);
        out.push_back(command->header.number.value());
    });
    CHECK(parcel.count == out.size());
    return out;
}

bool submit(LaneClient& client, uint64_t token, CommandParcel& out) {
    return client.submit(token, std::nullopt, Enqueue{"message", {}, {}}, out);
}

TEST_CASE("Commands of a lane are numbered from 1 without gaps", "[R-3]") {
    LaneClient client(kGroup, kLane);
    CommandParcel out;
    for (uint64_t token = 10; token < 13; ++token)
        CHECK(submit(client, token, out));
    CHECK(numbers(out) == std::vector<uint64_t>{1, 2, 3});
    CHECK(client.unanswered() == 3);
    CHECK(client.lane() == kLane);
}

TEST_CASE("A command carries its token and its source's term", "[R-0][R-3]") {
    LaneClient client(kGroup, kLane);
    CommandParcel out;
    const SourceFence fence{ShardId(4), Term(5)};
    CHECK(client.submit(77, fence, CommandBody(Tick{}), out));
    out.for_each([&fence](GroupId, std::string_view bytes) {
        const auto command = decode_command(bytes);
        REQUIRE(command.ok());
        CHECK(command->header.token == 77);
        CHECK(command->header.fence == fence);
        CHECK(std::holds_alternative<Tick>(command->body));
    });
}

TEST_CASE("A command given up goes on as an empty one under its number", "[R-3]") {
    LaneClient client(kGroup, kLane);
    CommandParcel out;
    for (uint64_t token = 10; token < 13; ++token)
        CHECK(submit(client, token, out));
    const uint64_t bytes = client.bytes();
    CHECK(client.give_up(11));
    CHECK_FALSE(client.give_up(11));
    CHECK_FALSE(client.give_up(99));
    CHECK(client.bytes() < bytes);
    CommandParcel again;
    client.resend(again);
    CHECK(numbers(again) == std::vector<uint64_t>{1, 2, 3});
    std::vector<bool> empty;
    again.for_each([&empty](GroupId, std::string_view flat) {
        const auto command = decode_command(flat);
        REQUIRE(command.ok());
        empty.push_back(std::holds_alternative<Void>(command->body));
    });
    CHECK(empty == std::vector<bool>{false, true, false});
    // Whichever of the two was applied, nobody hears of it.
    CHECK(client.answered(CommandNumber(1)) == 10);
    CHECK_FALSE(client.answered(CommandNumber(2)));
    CHECK(client.answered(CommandNumber(3)) == 12);
    CHECK(client.unanswered() == 0);
    CHECK(client.bytes() == 0);
}

TEST_CASE("A full window refuses and stages nothing", "[R-9]") {
    LaneClient client(kGroup, kLane, {2, 1U << 20});
    CommandParcel out;
    CHECK(submit(client, 1, out));
    CHECK(submit(client, 2, out));
    CHECK(client.full());
    CHECK_FALSE(submit(client, 3, out));
    CHECK(out.count == 2);
    CHECK(client.answered(CommandNumber(1)) == std::optional<uint64_t>(1));
    CHECK(submit(client, 3, out));
    CHECK(numbers(out) == std::vector<uint64_t>{1, 2, 3});
}

TEST_CASE("A command larger than the window passes when it is alone", "[R-9]") {
    LaneClient client(kGroup, kLane, {100, 50});
    CommandParcel out;
    const std::string large(500, 'x');
    CHECK(client.submit(1, std::nullopt, Enqueue{large, {}, {}}, out));
    CHECK(client.full());
    CHECK_FALSE(submit(client, 2, out));
    CHECK(client.answered(CommandNumber(1)).has_value());
    CHECK_FALSE(client.full());
    CHECK(submit(client, 2, out));
}

TEST_CASE("Each command is answered once and by its number, in whatever order", "[R-3]") {
    LaneClient client(kGroup, kLane);
    CommandParcel out;
    for (uint64_t token = 101; token <= 105; ++token)
        CHECK(submit(client, token, out));
    CHECK(client.answered(CommandNumber(3)) == std::optional<uint64_t>(103));
    CHECK(client.unanswered() == 4);
    CHECK_FALSE(client.answered(CommandNumber(3)).has_value());
    CHECK(client.answered(CommandNumber(1)) == std::optional<uint64_t>(101));
    CHECK(client.answered(CommandNumber(2)) == std::optional<uint64_t>(102));
    CHECK_FALSE(client.answered(CommandNumber(2)).has_value());
    CHECK(client.answered(CommandNumber(5)) == std::optional<uint64_t>(105));
    CHECK(client.answered(CommandNumber(4)) == std::optional<uint64_t>(104));
    CHECK(client.unanswered() == 0);
    CHECK_FALSE(client.answered(CommandNumber(6)).has_value());
    CHECK_FALSE(client.answered(CommandNumber(0)).has_value());
}

TEST_CASE("An answer makes room for all commands before it, which go on waiting", "[R-9]") {
    LaneClient client(kGroup, kLane, {3, 1U << 20});
    CommandParcel out;
    for (uint64_t token = 1; token <= 3; ++token)
        CHECK(submit(client, token, out));
    // The first waits for something else, such as its routes; the group has applied it.
    CHECK(client.answered(CommandNumber(3)) == std::optional<uint64_t>(3));
    CHECK_FALSE(client.full());
    for (uint64_t token = 4; token <= 6; ++token)
        CHECK(submit(client, token, out));
    CHECK(client.full());
    CHECK(client.unanswered() == 5);
    CHECK(client.answered(CommandNumber(1)) == std::optional<uint64_t>(1));
    CHECK(client.full());
    CHECK(client.answered(CommandNumber(6)) == std::optional<uint64_t>(6));
    CHECK(client.answered(CommandNumber(2)) == std::optional<uint64_t>(2));
}

TEST_CASE("What is unanswered is sent again, in order and unchanged", "[R-3]") {
    LaneClient client(kGroup, kLane);
    CommandParcel first;
    for (uint64_t token = 1; token <= 5; ++token)
        CHECK(submit(client, token, first));
    CHECK(client.answered(CommandNumber(2)).has_value());
    CHECK(client.answered(CommandNumber(4)).has_value());
    CommandParcel again;
    client.resend(again);
    CHECK(numbers(again) == std::vector<uint64_t>{1, 3, 5});
    std::vector<std::string> sent;
    first.for_each([&sent](GroupId, std::string_view bytes) { sent.emplace_back(bytes); });
    std::size_t at = 0;
    again.for_each([&](GroupId, std::string_view bytes) {
        CHECK(bytes == sent[at]);
        at += 2;
    });
    CHECK(submit(client, 6, again));
    CHECK(numbers(again) == std::vector<uint64_t>{1, 3, 5, 6});
}

TEST_CASE("The window's bytes come back in full", "[R-9]") {
    LaneClient client(kGroup, kLane, {1000, 400});
    uint64_t number = 0;
    for (int round = 0; round < 50; ++round) {
        CommandParcel out;
        const uint64_t before = number;
        while (submit(client, number + 1, out))
            ++number;
        REQUIRE(number > before);
        // The last first, so that most are answered behind an earlier one.
        for (uint64_t at = number; at > before; --at)
            REQUIRE(client.answered(CommandNumber(at)) == std::optional<uint64_t>(at));
        REQUIRE(client.unanswered() == 0);
        REQUIRE_FALSE(client.full());
    }
}

}  // namespace
}  // namespace quorate::cluster
