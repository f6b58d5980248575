# Writes OUT, the one source that knows the commit, when it has changed. Run at every build, so that
# a commit costs a file and the links of those that print it.
execute_process(COMMAND git -C "${ROOT}" describe --always --exclude=* --abbrev=12 --dirty=+
                OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT commit)
    set(commit unknown)
endif()
file(CONFIGURE OUTPUT "${OUT}" @ONLY CONTENT
[[#include "tests/sim/commit.h"

namespace quorate::sim {

std::string_view built_from() {
    return "@commit@";
}

}  // namespace quorate::sim
]])
