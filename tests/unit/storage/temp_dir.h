// A directory of its own for one test, removed at its end: in memory where the system has such a
// file system, since no test here is about how long a disk takes.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

#include "proto/base/assert.h"

namespace quorate::test {

class TempDir {
  public:
    TempDir() {
        const std::filesystem::path memory("/dev/shm");
        std::error_code ignored;
        const auto parent = std::filesystem::is_directory(memory, ignored)
                                ? memory
                                : std::filesystem::temp_directory_path();
        std::string pattern = (parent / "quorate-test-XXXXXX").string();
        ASSERT(::mkdtemp(pattern.data()) != nullptr, "no temporary directory");
        path_ = pattern;
    }
    ~TempDir() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;

    [[nodiscard]] const std::string& path() const { return path_; }

  private:
    std::string path_;
};

}  // namespace quorate::test
