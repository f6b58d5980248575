// How a log line looks, as text for people or as one JSON object.
//
// Thread: any; pure but for the wall clock of the timestamp. Errors: may throw bad_alloc only.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "proto/base/log.h"

namespace quorate {

struct LogLine {
    LogLevel level;
    std::string_view component;
    std::string_view message;
    std::initializer_list<LogField> fields;
};

// Without a newline at the end. Bounds and escapes as log.h promises.
[[nodiscard]] std::string format_line(const LogLine& line, LogFormat format);

}  // namespace quorate
