#include "cluster/node/admission.h"

#include <string>

#include "cluster/control/placement.h"
#include "cluster/group/group_ids.h"
#include "cluster/meta/replica_id.h"
#include "cluster/node/names.h"
#include "storage/state_store.h"
#include "tests/unit/catch.h"

using namespace quorate;
using namespace quorate::cluster;

namespace {

// A cluster of three founders.
class Meta {
  public:
    Meta() {
        FormCluster form{9, ShardLayout{4, 0}, 3, {}, founding_groups(3, 3, 4)};
        form.nodes = {{"a", "h:1"}, {"b", "h:2"}, {"c", "h:3"}};
        tell(form);
    }
    MetaAnswer tell(const MetaCommandBody& body) {
        std::string command;
        encode_meta_command(command, ++token_, body);
        storage::StateBatch batch;
        const auto answer = state.apply(command, batch);
        REQUIRE(answer.ok());
        return *answer;
    }
    MetaState state;

  private:
    uint64_t token_ = 0;
};

}  // namespace

TEST_CASE("a newcomer is told to wait until meta has placed a copy on it", "[node]") {
    Meta meta;
    const NodeId joined = meta.tell(JoinNode{"d", "h:4"}).node;
    REQUIRE(joined == NodeId(4));
    Admission waits = admission_of(meta.state, joined);
    CHECK(waits.replica == ReplicaId());
    CHECK(waits.cluster_id == 9);
    CHECK(waits.members.size() == 4);

    const MetaGroup& group = *meta.state.group(kMetaGroup);
    REQUIRE(meta.tell(PlaceGroup{
                          kMetaGroup, group.version, {NodeId(1), NodeId(2), NodeId(3)}, {joined}})
                .code == MetaCode::Applied);
    const Admission placed = admission_of(meta.state, joined);
    CHECK(placed.replica == replica_id(joined, 1));
    CHECK(placed.configuration.voters.size() == 3);
    CHECK_FALSE(placed.configuration.contains(placed.replica));
}

TEST_CASE("a newcomer whom the leader of meta added at once still begins as one", "[node]") {
    Meta meta;
    const NodeId joined = meta.tell(JoinNode{"d", "h:4"}).node;
    meta.tell(PlaceGroup{kMetaGroup, 1, {NodeId(1), NodeId(2), NodeId(3)}, {joined}});
    meta.tell(Configured{kMetaGroup, LogIndex(7), meta.state.group(kMetaGroup)->target()});
    const Admission placed = admission_of(meta.state, joined);
    CHECK(placed.replica == replica_id(joined, 1));
    CHECK_FALSE(placed.configuration.contains(placed.replica));
    CHECK(raft::valid(placed.configuration));
}

TEST_CASE("admissions and requests for them read back, and cut ones do not", "[node]") {
    Meta meta;
    Admission out = admission_of(meta.state, NodeId(2));
    out.replica = ReplicaId(5);
    const std::string bytes = encode(out);
    const auto again = decode_admission(bytes);
    REQUIRE(again.ok());
    CHECK(again->members == out.members);
    CHECK(again->configuration == out.configuration);
    CHECK(again->node == NodeId(2));
    for (std::size_t size = 0; size < bytes.size(); ++size)
        CHECK_FALSE(decode_admission(bytes.substr(0, size)).ok());

    Admission refused;
    refused.code = MetaCode::Exists;
    refused.node = NodeId(3);
    const auto why = decode_admission(encode(refused));
    REQUIRE(why.ok());
    CHECK(why->code == MetaCode::Exists);

    const std::string request = encode(AdmissionRequest{4, "d", "h:4"});
    REQUIRE(decode_admission_request(request).ok());
    for (std::size_t size = 0; size < request.size(); ++size)
        CHECK_FALSE(decode_admission_request(request.substr(0, size)).ok());
    CHECK_FALSE(decode_admission_request(encode(AdmissionRequest{0, "d", "h:4"})).ok());
    CHECK_FALSE(
        decode_admission_request(encode(AdmissionRequest{4, std::string(5000, 'd'), "h:4"})).ok());
}

TEST_CASE("the links of a node are to all others that are not gone", "[node]") {
    Meta meta;
    const auto members = link_members(meta.state, NodeId(2));
    REQUIRE(members.size() == 2);
    CHECK(members[0].node == NodeId(1));
    CHECK(members[0].name == "a");
    CHECK(members[1].addresses == std::vector<std::string>{"h:3"});
}
