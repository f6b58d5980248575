#include "proto/base/log.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "tests/unit/catch.h"

namespace quorate {
namespace {

// A log file of one test, removed at its end.
class LogFile {
  public:
    LogFile() {
        std::string name = (std::filesystem::temp_directory_path() / "quorate-log-XXXXXX").string();
        descriptor_ = ::mkstemp(name.data());
        path_ = name;
    }
    ~LogFile() {
        ::close(descriptor_);
        std::filesystem::remove(path_);
    }
    LogFile(const LogFile&) = delete;
    LogFile& operator=(const LogFile&) = delete;

    [[nodiscard]] std::unique_ptr<Logger> open(LogOptions options = {}) const {
        options.file = path_;
        Result<std::unique_ptr<Logger>> logger = Logger::open(options);
        REQUIRE(logger.ok());
        return std::move(logger).value();
    }
    [[nodiscard]] std::vector<std::string> lines() const {
        std::ifstream in(path_);
        std::vector<std::string> out;
        for (std::string line; std::getline(in, line);)
            out.push_back(line);
        return out;
    }
    [[nodiscard]] std::string path() const { return path_; }

  private:
    int descriptor_ = -1;
    std::string path_;
};

// The line without its timestamp.
std::string tail(const std::string& line) {
    return line.substr(std::min<size_t>(25, line.size()));
}

}  // namespace

TEST_CASE("a text line has time, level, component, message and fields", "[log]") {
    const LogFile file;
    const auto logger = file.open();
    Log(*logger, "net")
        .info("listening", {{"url", "tcp://127.0.0.1:1883"},
                            {"connections", 7},
                            {"bytes", uint64_t{8}},
                            {"ratio", 0.5},
                            {"secure", false},
                            {"note", "two words"}});
    logger->flush();
    const auto lines = file.lines();
    REQUIRE(lines.size() == 1);
    CHECK(tail(lines[0]) ==
          "info  net: listening url=tcp://127.0.0.1:1883 connections=7 bytes=8 ratio=0.5 "
          "secure=false note=\"two words\"");
    CHECK(lines[0].substr(10, 1) == "T");
    CHECK(lines[0].substr(23, 1) == "Z");
}

TEST_CASE("a line of client text can neither start a line nor reach a terminal", "[log]") {
    const LogFile file;
    const auto logger = file.open();
    Log(*logger, "net")
        .warn("bad", {{"id", "a\nb\x1b[31m\x7f\"\\"},
                      {"not_utf8", "\xff\xc0\x80\xed\xa0\x80"},
                      {"c1", "\xc2\x9b"},
                      {"bidi", "\xe2\x80\xae"},
                      {"good", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"}});
    logger->flush();
    const auto lines = file.lines();
    REQUIRE(lines.size() == 1);
    CHECK(tail(lines[0]) ==
          "warn  net: bad id=\"a\\u000ab\\u001b[31m\\u007f\\\"\\\\\" "
          "not_utf8=\\xff\\xc0\\x80\\xed\\xa0\\x80 c1=\\u009b bidi=\\u202e "
          "good=\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
}

TEST_CASE("every JSON line parses, whatever a client put into it", "[log]") {
    const LogFile file;
    const auto logger = file.open({.format = LogFormat::Json});
    std::string all;
    for (int c = 0; c < 256; ++c)
        all += static_cast<char>(c);
    const Log log(*logger, "net");
    log.error("bytes", {{"id", all}, {"n", -1}, {"nan", 0.0 / std::stod("0")}});
    const std::string large(5000, '"');
    log.error("large",
              {{"a", large}, {"b", large}, {"c", large}, {"d", large}, {"e", large}, {"f", large}});
    logger->flush();
    const auto lines = file.lines();
    REQUIRE(lines.size() == 2);
    const auto first = nlohmann::json::parse(lines[0]);
    CHECK(first["level"] == "error");
    CHECK(first["component"] == "net");
    CHECK(first["message"] == "bytes");
    CHECK(first["n"] == -1);
    CHECK(first["nan"].is_null());
    CHECK(first["id"].get<std::string>().find("\\xff") != std::string::npos);
    const auto second = nlohmann::json::parse(lines[1]);
    CHECK(second["cut"] == true);
    CHECK(lines[1].size() <= 8192 + 16);
}

TEST_CASE("a level below the limit is not written, and the limit may change", "[log]") {
    const LogFile file;
    const auto logger = file.open();
    const Log log(*logger, "net");
    log.debug("one");
    logger->set_level(LogLevel::Debug);
    CHECK(log.debug_enabled());
    log.debug("two");
    logger->set_level(LogLevel::Error);
    log.warn("three");
    logger->flush();
    const auto lines = file.lines();
    REQUIRE(lines.size() == 1);
    CHECK(tail(lines[0]) == "debug net: two");
    CHECK(logger->lines(LogLevel::Debug) == 1);
    CHECK(logger->lines(LogLevel::Warn) == 0);
}

TEST_CASE("one cause gets its lines a second, the rest is counted and told", "[log]") {
    const LogFile file;
    const auto logger = file.open({.lines_per_second = 5});
    const Log log(*logger, "net");
    // A second may end in between, so a little more than five may pass, but never thousands.
    for (int i = 0; i < 3000; ++i)
        log.warn("flood", {{"i", i}});
    log.warn("another cause");
    logger->flush();
    const uint64_t held_back = logger->suppressed_lines();
    CHECK(held_back >= 2900);
    const auto lines = file.lines();
    CHECK(lines.size() <= 100);
    CHECK(tail(lines.back()) == "warn  net: another cause");

    // The rest is told once the second is over, even if the cause stays silent.
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    bool told = false;
    while (!told && std::chrono::steady_clock::now() < deadline) {
        logger->report_suppressed();
        logger->flush();
        const auto now = file.lines();
        told = std::ranges::any_of(now, [](const std::string& line) {
            return line.find("lines suppressed cause=flood lines=") != std::string::npos;
        });
        std::this_thread::yield();
    }
    CHECK(told);
}

TEST_CASE("lines of several threads stay whole and in their order", "[log]") {
    const LogFile file;
    const auto logger = file.open({.lines_per_second = 0});
    constexpr int kLines = 500;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < kLines; ++i) {
                Log(*logger, "test").info("line", {{"thread", t}, {"i", i}});
            }
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    logger->flush();
    std::vector<int> next(4, 0);
    const auto lines = file.lines();
    for (const std::string& line : lines) {
        int thread = -1;
        int i = -1;
        REQUIRE(std::sscanf(tail(line).c_str(), "info  test: line thread=%d i=%d", &thread, &i) ==
                2);
        CHECK(i >= next[static_cast<size_t>(thread)]);
        next[static_cast<size_t>(thread)] = i + 1;
    }
    CHECK(lines.size() + logger->lost_lines() == 4 * kLines);
}

TEST_CASE("after reopen lines go to a new file under the old name", "[log]") {
    const LogFile file;
    const auto logger = file.open();
    const Log log(*logger, "net");
    log.info("old");
    logger->flush();
    const std::string rotated = file.path() + ".1";
    std::filesystem::rename(file.path(), rotated);
    logger->reopen();
    log.info("new");
    logger->flush();
    CHECK(tail(file.lines().at(0)) == "info  net: new");
    std::filesystem::remove(rotated);
}

TEST_CASE("a log file that cannot be opened is an error", "[log]") {
    const auto logger = Logger::open({.file = "/nonexistent/quorate.log"});
    REQUIRE_FALSE(logger.ok());
    CHECK(logger.error().code == ErrorCode::Io);
}

}  // namespace quorate
