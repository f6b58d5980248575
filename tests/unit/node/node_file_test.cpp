#include "cluster/node/node_file.h"

#include <fstream>
#include <iterator>
#include <string>

#include "cluster/node/names.h"
#include "tests/unit/catch.h"
#include "tests/unit/storage/temp_dir.h"

using namespace quorate;
using namespace quorate::cluster;

namespace {

NodeRecord some_record() {
    NodeRecord record;
    record.bootstrap.candidate = 77;
    record.bootstrap.proposed = 3;
    Proposal proposal;
    proposal.id = {77, 3};
    proposal.cluster_id = 9;
    proposal.members = {{77, "n1", "127.0.0.1:1"}, {78, "n2", "127.0.0.1:2"}};
    proposal.layout = ShardLayout{8, 1};
    record.bootstrap.accepted = proposal;
    record.bootstrap.cluster_id = 9;
    record.bootstrap.node = NodeId(2);
    record.founded = true;
    return record;
}

std::string content_of(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

void put(const std::string& path, const std::string& content) {
    std::ofstream(path, std::ios::binary) << content;
}

}  // namespace

TEST_CASE("what a node writes about its membership is what it reads at its next start", "[node]") {
    const test::TempDir dir;
    const NodeFile file(dir.path());
    const auto nothing = file.read();
    REQUIRE(nothing.ok());
    CHECK_FALSE(nothing->has_value());

    REQUIRE(file.write(some_record()).ok());
    const auto again = file.read();
    REQUIRE(again.ok());
    REQUIRE(again->has_value());
    CHECK(encode((*again)->bootstrap) == encode(some_record().bootstrap));
    CHECK((*again)->founded);
}

TEST_CASE("a write that did not come to its end leaves the record of before", "[node]") {
    const test::TempDir dir;
    const NodeFile file(dir.path());
    REQUIRE(file.write(some_record()).ok());
    put(dir.path() + "/node.new", "half of");
    const auto again = file.read();
    REQUIRE(again.ok());
    CHECK((*again)->bootstrap.cluster_id == 9);
}

TEST_CASE("no byte of the node's file can change unseen", "[node]") {
    const test::TempDir dir;
    const NodeFile file(dir.path());
    REQUIRE(file.write(some_record()).ok());
    const std::string path = dir.path() + "/node";
    const std::string sound = content_of(path);
    for (std::size_t at = 0; at < sound.size(); ++at) {
        std::string bad = sound;
        bad[at] = static_cast<char>(bad[at] ^ 0x10);
        put(path, bad);
        const auto read = file.read();
        REQUIRE_FALSE(read.ok());
        CHECK(read.error().code == ErrorCode::Corrupt);
    }
    for (std::size_t size = 0; size < sound.size(); ++size) {
        put(path, sound.substr(0, size));
        REQUIRE_FALSE(file.read().ok());
    }
    put(path, std::string(std::size_t{2} << 20U, 'x'));
    CHECK_FALSE(file.read().ok());
}

TEST_CASE("the data directory of a node of a cluster is refused by a process that runs alone",
          "[node]") {
    const test::TempDir dir;
    CHECK(check_runs_alone(dir.path()).ok());
    NodeRecord record;
    record.bootstrap.candidate = 5;
    const NodeFile file(dir.path());
    REQUIRE(file.write(record).ok());
    CHECK(check_runs_alone(dir.path()).ok());
    REQUIRE(file.write(some_record()).ok());
    const Status refused = check_runs_alone(dir.path());
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().message.find("node 2 of a cluster") != std::string::npos);
}

TEST_CASE("the name of a cluster on the disk reads back, and nothing else does", "[node]") {
    const DiskName name{0xfedcba9876543210U, ShardLayout{64, 2}};
    CHECK(encode(name) == "fedcba9876543210-64-2");
    const auto again = decode_disk_name(encode(name));
    REQUIRE(again);
    CHECK(again->cluster_id == name.cluster_id);
    CHECK(again->layout.shards == 64);
    CHECK(again->layout.topic_hash_levels == 2);
    for (const char* bad : {"", "-", "--", "1-2", "1-0-0", "x-2-3", "1-2-3-", "1-2-x", "-1-2",
                            "11111111111111111-2-3", "1-99999999999-3"}) {
        CHECK_FALSE(decode_disk_name(bad));
    }
}
