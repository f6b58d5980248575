#include "broker/app/settings.h"

#include "tests/unit/catch.h"

namespace quorate::broker::test {

TEST_CASE("A node alone is told nothing of others") {
    const Config config;
    const cluster::ClusterOptions options = cluster_options(config, 1);
    CHECK_FALSE(options.node.clustered);
    CHECK(options.node.seeds.empty());
    CHECK_FALSE(options.node.tls);
    CHECK_FALSE(options.node.name.empty());
    CHECK_FALSE(options.node.name.ends_with("-7400"));
}

TEST_CASE("Nodes of one machine have names that differ, unless they are given") {
    Config config;
    config.cluster.listen = {"127.0.0.1", 7501};
    CHECK(node_name(config).ends_with("-7501"));
    config.cluster.listen = {"10.1.2.3", 7501};
    CHECK_FALSE(node_name(config).ends_with("-7501"));
    config.node.name = "n1";
    CHECK(node_name(config) == "n1");
}

TEST_CASE("A node of a cluster is told where it is found and whom it looks for") {
    Config config;
    config.node.name = "n1";
    config.cluster.listen = {"::", 7400};
    config.cluster.advertise = {"n1.example", 7400};
    config.cluster.seeds = {"n2.example:7400"};
    config.cluster.bootstrap_expect = 3;
    config.cluster.replication_factor = 5;
    config.cluster.abandon = 17;
    config.cluster.tls = {"cert", "key", "ca"};
    const cluster::NodeOptions options = cluster_options(config, 1).node;
    CHECK(options.clustered);
    CHECK(options.listen == "[::]:7400");
    CHECK(options.advertise == "n1.example:7400");
    CHECK(options.seeds == config.cluster.seeds);
    CHECK(options.expect == 3);
    CHECK(options.replication_factor == 5);
    CHECK(options.abandoned == 17);
    REQUIRE(options.tls);
    CHECK(options.tls->ca == "ca");
    config.cluster.advertise = {};
    config.cluster.listen = {"localhost", 7400};
    CHECK(cluster_options(config, 1).node.advertise == "127.0.0.1:7400");
}

}  // namespace quorate::broker::test
