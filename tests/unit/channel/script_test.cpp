// Runs every script in `scripts/`. A script is a list of blocks: commands (see Bench::command), a
// line of dashes, what happened then, an empty line. Lines with # are comments.
//
//   send PUBLISH a x qos=1 id=7
//   (a line of dashes)
//   publish a x qos=1 id=7 ticket=0
//   <- PUBACK 7 0x00
//
// With QUORATE_REWRITE_SCRIPTS=1 in the environment the expected parts are written anew: read the
// difference, understand it, then commit it. `reset` begins with a new connection.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/unit/catch.h"
#include "tests/unit/channel/recorder.h"

namespace quorate::broker::test {
namespace {

struct Block {
    std::vector<std::string> head;  // comments and commands
    std::string expected;
};

std::vector<Block> read_blocks(const std::filesystem::path& path) {
    std::ifstream in(path);
    REQUIRE(in);
    std::vector<Block> blocks;
    Block block;
    bool answer = false;
    const auto finish = [&] {
        if (answer || !block.head.empty()) blocks.push_back(std::exchange(block, {}));
        answer = false;
    };
    for (std::string line; std::getline(in, line);) {
        if (line == "----") {
            answer = true;
        } else if (line.empty()) {
            finish();
        } else if (answer) {
            block.expected += (block.expected.empty() ? "" : "\n") + line;
        } else {
            block.head.push_back(line);
        }
    }
    finish();
    return blocks;
}

std::string run_block(std::unique_ptr<Bench>& bench, const Block& block) {
    for (const std::string& line : block.head) {
        if (line.starts_with('#')) continue;
        if (line == "reset") {
            bench = std::make_unique<Bench>();
        } else {
            bench->command(line);
        }
    }
    return bench->log();
}

bool is_comment(const Block& block) {
    return std::ranges::all_of(block.head, [](const auto& line) { return line.starts_with('#'); });
}

}  // namespace

TEST_CASE("Scripts: packets in, actions out") {
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::directory_iterator(QUORATE_SCRIPTS)) {
        paths.push_back(entry.path());
    }
    std::ranges::sort(paths);
    REQUIRE(!paths.empty());
    const bool rewrite = std::getenv("QUORATE_REWRITE_SCRIPTS") != nullptr;
    for (const std::filesystem::path& path : paths) {
        std::string text;
        auto bench = std::make_unique<Bench>();
        for (const Block& block : read_blocks(path)) {
            for (const std::string& line : block.head) {
                text += line + "\n";
            }
            if (!is_comment(block)) {
                const std::string happened = run_block(bench, block);
                INFO(path.filename().string() << ": " << block.head.back());
                if (!rewrite) CHECK(happened == block.expected);
                text += "----\n" + happened + (happened.empty() ? "" : "\n");
            }
            text += "\n";
        }
        text.erase(text.find_last_not_of('\n') + 1);
        if (rewrite) std::ofstream(path) << text << "\n";
    }
}

}  // namespace quorate::broker::test
