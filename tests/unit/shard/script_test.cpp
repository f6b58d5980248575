// Each file is a story with commands, expected output, and a comment on why.
#include "tests/unit/shard/script.h"

#include "tests/unit/catch.h"

namespace quorate::cluster::testing {
namespace {

void run(const char* name) {
    run_script(std::string(SHARD_SCRIPTS) + "/" + name + ".txt");
}

TEST_CASE("A session is made, resumed, ended by clean start and by expiry",
          "[R-7][MQTT-3.1.2-4][MQTT-3.1.2-5][MQTT-3.1.2-6][MQTT-4.1.0-1][MQTT-4.1.0-2]") {
    run("attach");
}
TEST_CASE("A second connection waits until the first one has let go", "[R-7][MQTT-3.1.4-3]") {
    run("takeover");
}
TEST_CASE("A will is published exactly when its connection is lost",
          "[R-5][R-7][MQTT-3.1.2-7][MQTT-3.1.2-8][MQTT-3.1.2-10][MQTT-3.1.3-9]") {
    run("will");
}
TEST_CASE("SUBACK waits for the route, also of the second subscriber",
          "[R-4][MQTT-3.8.4-1][MQTT-3.8.4-3][MQTT-3.10.4-1]") {
    run("subscribe");
}
TEST_CASE("A message gets its number at apply and one copy per session",
          "[R-6][MQTT-3.3.4-1][MQTT-3.3.4-2][MQTT-3.3.4-3][MQTT-3.3.4-4][MQTT-3.8.3-3]") {
    run("enqueue");
}
TEST_CASE("Acknowledgements free the window, in any order, and PUBREC is remembered",
          "[R-6][MQTT-4.3.2-4][MQTT-4.3.3-4][MQTT-4.4.0-1][MQTT-4.4.0-2]") {
    run("acknowledge");
}
TEST_CASE("Nothing that may have been sent is dropped or expired, everything else may be",
          "[R-6][MQTT-3.3.2-5][MQTT-3.3.2-6]") {
    run("mark");
}
TEST_CASE("Retained messages take at most half of a queue and push nothing out of it",
          "[R-4][G1][MQTT-3.10.4-2]") {
    run("replay");
}
TEST_CASE("A full queue drops the oldest, the newest, or refuses", "[R-6][M1]") {
    run("queue_full");
    run("queue_newest");
    run("queue_reject");
}
TEST_CASE("A lane's numbers are applied once and in order; old terms and dead nodes are refused",
          "[R-0][R-3]") {
    run("lanes");
}
TEST_CASE("QoS 2 goes through the outbox once, whatever is repeated",
          "[R-5][MQTT-4.3.3-8][MQTT-4.3.3-10]") {
    run("outbox");
}
TEST_CASE("Receivers drop repeats by H, the unfinished list and what they saw", "[R-5]") {
    run("repeats");
}
TEST_CASE("A route is changed by newer serials only", "[R-4]") {
    run("routes");
}
TEST_CASE("The retained message of a topic is its last one until it expires",
          "[R-2][MQTT-3.3.1-5][MQTT-3.3.1-6][MQTT-3.3.1-7]") {
    run("retained");
}
TEST_CASE("A shared group's message goes to one member, and to another when that one ends",
          "[MQTT-4.8.2-3][MQTT-4.8.2-4][MQTT-4.8.2-5]") {
    run("shared");
}
TEST_CASE("What a member gives back waits in its group's queue, whoever is left",
          "[MQTT-4.8.2-5]") {
    run("shared_return");
}
TEST_CASE("The loss of a node ends its attachments in bounded steps", "[R-7]") {
    run("node_down");
}
TEST_CASE("A connection that ended while it waited for a session does not get it", "[R-7]") {
    run("node_down_waiting");
}
TEST_CASE("Messages and sessions expire by cluster time alone", "[G8][MQTT-3.1.2-23]") {
    run("expiry");
}
TEST_CASE("QoS 0 reaches who is connected and nobody else", "[MQTT-4.3.1-1]") {
    run("qos0");
    run("qos0_queued");
}

}  // namespace
}  // namespace quorate::cluster::testing
