// Every script of `scripts`, a section of the dissertation each. See script.h on rewriting them.
#include "tests/unit/raft/script.h"

#include "tests/unit/catch.h"

namespace quorate::raft::test {

TEST_CASE("groups do and say what their scripts expect, section by section of the dissertation") {
    const std::vector<std::string> scripts = scripts_in(QUORATE_RAFT_SCRIPTS);
    CHECK(scripts.size() >= 18);
    for (const std::string& script : scripts) {
        const ScriptResult result = run_script(script);
        INFO(result.failure);
        CHECK(result.failure.empty());
    }
}

}  // namespace quorate::raft::test
