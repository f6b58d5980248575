// The structured log: one line per event, with a component, a constant message and fields.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>

#include "proto/base/result.h"

namespace quorate {

// error: someone must act. warn: handled, but not normal. info: role, membership, start, stop.
// debug: per packet; never a line per message above it.
enum class LogLevel : uint8_t { Error, Warn, Info, Debug };

enum class LogFormat : uint8_t { Text, Json };

[[nodiscard]] std::string_view to_string(LogLevel level);

struct LogOptions {
    LogLevel level = LogLevel::Info;
    LogFormat format = LogFormat::Text;
    std::string file{};               // empty: standard output, or standard error when to_stderr
    bool to_stderr = false;           // ignored when a file is named
    uint32_t lines_per_second = 100;  // of one cause (component and message); 0: no limit
};

// The constant part of a line. Only a string literal converts to it: what varies belongs into
// fields, because the message is also the cause that the rate limit counts.
class LogText {
  public:
    template <size_t N>
    // NOLINTNEXTLINE(google-explicit-constructor): log.info("listening") is the whole point.
    consteval LogText(const char (&text)[N]) : text_(text, N - 1) {}
    [[nodiscard]] constexpr std::string_view view() const { return text_; }

  private:
    std::string_view text_;
};

// One key and value of a line. Views must outlive the call only.
// Never a secret, never a payload: what is given here reaches the disk.
class LogField {
  public:
    enum class Kind : uint8_t { Text, Signed, Unsigned, Real, Flag };

    LogField(std::string_view key, std::string_view text)
        : key_(key), kind_(Kind::Text), text_(text) {}
    LogField(std::string_view key, const char* text) : LogField(key, std::string_view(text)) {}
    LogField(std::string_view key, const std::string& text)
        : LogField(key, std::string_view(text)) {}
    LogField(std::string_view key, bool flag)
        : key_(key), kind_(Kind::Flag), unsigned_(flag ? 1U : 0U) {}
    template <class T>
        requires std::is_integral_v<T>
    LogField(std::string_view key, T number) : key_(key) {
        if constexpr (std::is_signed_v<T>) {
            kind_ = Kind::Signed;
            signed_ = number;
        } else {
            kind_ = Kind::Unsigned;
            unsigned_ = number;
        }
    }
    LogField(std::string_view key, double number) : key_(key), kind_(Kind::Real), real_(number) {}

    [[nodiscard]] std::string_view key() const { return key_; }
    [[nodiscard]] Kind kind() const { return kind_; }
    [[nodiscard]] std::string_view text() const { return text_; }
    [[nodiscard]] int64_t signed_number() const { return signed_; }
    [[nodiscard]] uint64_t unsigned_number() const { return unsigned_; }
    [[nodiscard]] double real() const { return real_; }
    [[nodiscard]] bool flag() const { return unsigned_ != 0; }

  private:
    std::string_view key_;
    Kind kind_ = Kind::Text;
    std::string_view text_;
    int64_t signed_ = 0;
    uint64_t unsigned_ = 0;
    double real_ = 0.0;
};

// Where all lines of a process go. A line is formatted by the caller and handed to one writer
// thread through a bounded queue of 4,096 lines; when the queue is full the oldest line is dropped
// and counted, so no caller ever waits for the disk.
//
// A line is at most 8 KiB, a value at most 1 KiB; both are cut with "...". Control characters,
// quotes and bytes that are not UTF-8 are escaped, so that client text can neither start a line nor
// reach a terminal as a command.
//
// Rate limit: each cause may write `lines_per_second` lines a second. What was suppressed is told
// with the next line of that cause, or by report_suppressed(). Causes share 1,024 places by hash.
//
// Thread: every method may be called from every thread. Owner: the program, which destroys it after
// everything that holds a Log; the destructor writes what is queued.
// Errors: none leave it; a line that cannot be written is counted in `lost_lines`.
class Logger {
  public:
    // Opens the target. Fails with Io when the file cannot be opened for appending.
    [[nodiscard]] static Result<std::unique_ptr<Logger>> open(const LogOptions& options);
    class Impl;  // only open() can make one
    explicit Logger(std::unique_ptr<Impl> impl);
    ~Logger();
    Logger(const Logger&) = delete;
    Logger& operator=(const Logger&) = delete;

    void set_level(LogLevel level);
    [[nodiscard]] bool enabled(LogLevel level) const;

    void write(LogLevel level, LogText component, LogText message,
               std::initializer_list<LogField> fields);

    // Opens the file anew under its name, for log rotation; done by the writer thread.
    void reopen();
    // Waits until what was written before this call has left the process; at most two seconds.
    void flush();
    // Writes a line for every cause with suppressed lines that has been silent since. Call it from
    // a timer, about once a second.
    void report_suppressed();

    // Lines written by level since the start, for log_messages_total.
    [[nodiscard]] uint64_t lines(LogLevel level) const;
    [[nodiscard]] uint64_t suppressed_lines() const;
    [[nodiscard]] uint64_t lost_lines() const;

  private:
    std::unique_ptr<Impl> impl_;
};

// A cheap handle that writes for one component, such as "net" or "raft". Copy it freely.
// Requires: the Logger outlives it.
class Log {
  public:
    Log(Logger& logger, LogText component) : logger_(&logger), component_(component) {}

    void error(LogText message, std::initializer_list<LogField> fields = {}) const {
        logger_->write(LogLevel::Error, component_, message, fields);
    }
    void warn(LogText message, std::initializer_list<LogField> fields = {}) const {
        logger_->write(LogLevel::Warn, component_, message, fields);
    }
    void info(LogText message, std::initializer_list<LogField> fields = {}) const {
        logger_->write(LogLevel::Info, component_, message, fields);
    }
    // Per packet: where making the fields costs something, ask debug_enabled() first.
    void debug(LogText message, std::initializer_list<LogField> fields = {}) const {
        if (debug_enabled()) {
            logger_->write(LogLevel::Debug, component_, message, fields);
        }
    }
    [[nodiscard]] bool debug_enabled() const { return logger_->enabled(LogLevel::Debug); }
    // The same target under another component.
    [[nodiscard]] Log as(LogText component) const { return Log(*logger_, component); }

  private:
    Logger* logger_;
    LogText component_;
};

// A line before it is text; made by Logger, here for tests.
struct LogLine {
    LogLevel level;
    std::string_view component;
    std::string_view message;
    std::initializer_list<LogField> fields;
};

// How a line looks, with the bounds and escapes above and without a newline at its end.
[[nodiscard]] std::string format_line(const LogLine& line, LogFormat format);

}  // namespace quorate
