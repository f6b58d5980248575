// Scenes of the life of nodes and groups in `meta`; the words are in meta_scenes.h.
#include "tests/unit/meta/meta_scenes.h"

namespace quorate::cluster {
namespace {

void run(const char* name) {
    test::MetaScenes scenes;
    testing::run_scenes(std::string(META_SCRIPTS) + "/" + name + ".txt",
                        [&](const testing::SceneLine& line) { return scenes.run(line); });
}

TEST_CASE("A node joins, is replaced under its name, drains, leaves and is forgotten") {
    run("nodes");
}
TEST_CASE("A copy keeps its id while the group has it, and gets a new one when it lost its disk",
          "[R-8]") {
    run("groups");
}

}  // namespace
}  // namespace quorate::cluster
