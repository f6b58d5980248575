#include "tests/unit/raft/script.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/unit/raft/script_group.h"

namespace quorate::raft::test {
namespace {

constexpr const char* kDivider = "----";

struct Block {
    std::vector<std::string> comments;
    std::string command;
    std::string expected;
    std::size_t line = 0;
};

std::vector<Block> parse(std::istream& in) {
    std::vector<Block> blocks(1);
    std::string line;
    bool output = false;
    for (std::size_t number = 1; std::getline(in, line); ++number) {
        if (line.empty()) {
            const Block& last = blocks.back();
            if (!last.command.empty() || !last.comments.empty()) blocks.emplace_back();
            output = false;
        } else if (output) {
            blocks.back().expected += line + "\n";
        } else if (line == kDivider) {
            output = true;
        } else if (line.front() == '#') {
            blocks.back().comments.push_back(line);
        } else {
            // Without output of its own the command before says nothing.
            if (!blocks.back().command.empty()) blocks.emplace_back();
            blocks.back().command = line;
            blocks.back().line = number;
        }
    }
    if (blocks.back().command.empty() && blocks.back().comments.empty()) blocks.pop_back();
    return blocks;
}

std::string text_of(const std::vector<Block>& blocks) {
    std::string out;
    for (const Block& block : blocks) {
        if (!out.empty()) out += "\n";
        for (const std::string& comment : block.comments) {
            out += comment + "\n";
        }
        if (block.command.empty()) continue;
        out += block.command + "\n";
        if (!block.expected.empty()) out += std::string(kDivider) + "\n" + block.expected;
    }
    return out;
}

}  // namespace

std::vector<std::string> scripts_in(const std::string& folder) {
    std::vector<std::string> out;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        if (entry.path().extension() == ".txt") out.push_back(entry.path().string());
    }
    std::sort(out.begin(), out.end());
    return out;
}

ScriptResult run_script(const std::string& path) {
    std::ifstream in(path);
    if (!in) return {path + " cannot be read"};
    std::vector<Block> blocks = parse(in);
    in.close();
    const bool rewrite = std::getenv("QUORATE_REWRITE_SCRIPTS") != nullptr;
    ScriptGroup group;
    for (Block& block : blocks) {
        if (block.command.empty()) continue;
        const std::string said = group.run(block.command);
        if (rewrite) {
            block.expected = said;
        } else if (said != block.expected) {
            return {path + ":" + std::to_string(block.line) + ": " + block.command +
                    "\nexpected:\n" + block.expected + "said:\n" + said};
        }
    }
    if (!rewrite) return {};
    std::ofstream out(path);
    out << text_of(blocks);
    return {out.flush() ? "" : path + " cannot be written", true};
}

}  // namespace quorate::raft::test
