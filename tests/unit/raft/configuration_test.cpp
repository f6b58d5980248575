#include "cluster/raft/configuration.h"

#include <algorithm>

#include "tests/unit/catch.h"

using namespace quorate;
using namespace quorate::raft;

namespace {

std::vector<ReplicaId> ids(std::initializer_list<uint32_t> numbers) {
    std::vector<ReplicaId> out;
    for (const uint32_t number : numbers) {
        out.emplace_back(number);
    }
    return out;
}

}  // namespace

TEST_CASE("a configuration that is not sorted, empty or cut is not read") {
    const Configuration good{{ReplicaId(1), ReplicaId(2), ReplicaId(3)}};
    CHECK(decode_configuration(encode(good)) == good);
    CHECK_FALSE(decode_configuration(encode(Configuration{{ReplicaId(2), ReplicaId(1)}})));
    CHECK_FALSE(decode_configuration(encode(Configuration{{ReplicaId(1), ReplicaId(1)}})));
    CHECK_FALSE(decode_configuration(encode(Configuration{{ReplicaId(0), ReplicaId(1)}})));
    CHECK_FALSE(decode_configuration(encode(Configuration{})));
    const Configuration joint{ids({1, 2}), ids({2, 3}), ids({3, 4})};
    CHECK(decode_configuration(encode(joint)) == joint);
    const Configuration both{ids({1, 2}), {}, ids({2})};  // a voter that is a learner
    CHECK_FALSE(decode_configuration(encode(both)));
    const std::string bytes = encode(good);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        CHECK_FALSE(decode_configuration(bytes.substr(0, size)));
    }
}

TEST_CASE("a joint configuration decides by a majority of each half [Raft 4.3]") {
    const Configuration joint{ids({3, 4, 5}), ids({1, 2, 3}), {}};
    const auto holds = [&joint](std::initializer_list<uint32_t> who) {
        const std::vector<ReplicaId> holders = ids(who);
        return joint.quorum([&holders](ReplicaId replica) {
            return std::find(holders.begin(), holders.end(), replica) != holders.end();
        });
    };
    CHECK(holds({1, 3, 4}));
    CHECK_FALSE(holds({1, 2, 3}));
    CHECK_FALSE(holds({3, 4, 5}));
    CHECK_FALSE(holds({1, 2}));
    CHECK(holds({1, 2, 4, 5}));
}

TEST_CASE("a history undoes what is truncated and forgets what is cut away [Raft 4.1]") {
    const Configuration first{ids({1})};
    const Configuration second{ids({1, 2})};
    const Configuration third{ids({3})};
    ConfigurationHistory history(LogIndex(5), first, {{LogIndex(7), second}});
    CHECK(history.latest() == second);
    CHECK(history.at(LogIndex(6)).configuration == first);
    history.append(LogIndex(9), third);
    CHECK(history.mentions(ReplicaId(3)));
    history.truncate(LogIndex(9));
    CHECK_FALSE(history.mentions(ReplicaId(3)));
    CHECK(history.latest() == second);
    history.cut(LogIndex(6));
    CHECK(history.at(LogIndex(6)).configuration == first);
    history.cut(LogIndex(8));
    CHECK(history.entries() == std::vector<ConfigurationEntry>{{LogIndex(8), second}});
}
