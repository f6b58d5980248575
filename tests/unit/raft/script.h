// Scripts of a Raft group: files of commands, each with the output it must have, and why.
//
//     # a comment: what is shown, and the section of the dissertation
//     campaign 1
//     (four dashes)
//     what the group says to that, up to an empty line
//
// `run_script` carries out all commands and compares. With QUORATE_REWRITE_SCRIPTS in the
// environment it writes what was said into the file instead: commit that only when every difference
// is understood. *Thread*: one. *Owner*: script_test.cpp. *Errors*: a file or command that cannot
// be read is told in `failure`.
#pragma once

#include <string>
#include <vector>

namespace quorate::raft::test {

struct ScriptResult {
    std::string failure;  // the first difference, in words; empty when there is none
    bool rewritten = false;
};

// All `*.txt` of the folder, sorted.
[[nodiscard]] std::vector<std::string> scripts_in(const std::string& folder);
[[nodiscard]] ScriptResult run_script(const std::string& path);

}  // namespace quorate::raft::test
