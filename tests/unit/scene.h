// Runs scene files: lines of commands, "----", the expected output, an empty line; "#" begins a
// comment. With QUORATE_REWRITE=1 in the environment the expected output is written anew.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "tests/unit/catch.h"

namespace quorate::testing {

// The words of a line: positions, and key=value options.
class SceneLine {
  public:
    explicit SceneLine(const std::string& line) {
        std::istringstream in(line);
        for (std::string word; in >> word;) {
            const std::size_t equals = word.find('=');
            if (equals == std::string::npos) words_.push_back(word);
            if (equals != std::string::npos)
                options_[word.substr(0, equals)] = word.substr(equals + 1);
        }
    }
    [[nodiscard]] const std::string& at(std::size_t i) const { return words_.at(i); }
    [[nodiscard]] std::size_t size() const { return words_.size(); }
    [[nodiscard]] bool has(const std::string& flag) const {
        return std::find(words_.begin(), words_.end(), flag) != words_.end();
    }
    [[nodiscard]] uint64_t number(std::size_t i) const { return std::stoull(words_.at(i)); }
    [[nodiscard]] uint64_t number(const std::string& key, uint64_t otherwise) const {
        const auto found = options_.find(key);
        return found == options_.end() ? otherwise : std::stoull(found->second);
    }
    [[nodiscard]] std::string text(const std::string& key) const {
        const auto found = options_.find(key);
        return found == options_.end() ? "" : found->second;
    }

  private:
    std::vector<std::string> words_;
    std::map<std::string, std::string> options_;
};

// Fails the test where the output of `run`, lines each ended by a newline, differs.
inline void run_scenes(const std::string& path,
                       const std::function<std::string(const SceneLine&)>& run) {
    std::ifstream file(path);
    REQUIRE(file.good());
    const std::string original{std::istreambuf_iterator<char>(file), {}};
    std::istringstream in(original);
    std::string rewritten;
    std::string output;
    bool expecting = false;
    for (std::string line; std::getline(in, line);) {
        if (expecting) {
            if (!line.empty()) continue;
            expecting = false;
            rewritten += output + "\n";
            output.clear();
            continue;
        }
        rewritten += line + "\n";
        if (line == "----") {
            expecting = true;
        } else if (!line.empty() && line[0] != '#') {
            INFO(path << ": " << line);
            output += run(SceneLine(line));
        }
    }
    if (expecting) rewritten += output;
    if (std::getenv("QUORATE_REWRITE") != nullptr) {
        std::ofstream(path) << rewritten;
        return;
    }
    INFO("run with QUORATE_REWRITE=1 and read the difference");
    CHECK(rewritten == original);
}

}  // namespace quorate::testing
