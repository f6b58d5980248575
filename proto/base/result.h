// Errors as values: `Result<T>` is a T or an `Error`, `Status` is success or an `Error`.
//
// What a client, a peer, an operator or the disk can cause comes back as an Error; what only a bug
// can cause is an ASSERT. Ignoring a result takes a named call one can search for.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "proto/base/assert.h"

namespace quorate {

enum class ErrorCode {
    InvalidArgument,  // malformed input or a value out of range
    NotFound,
    AlreadyExists,
    LimitExceeded,  // a configured bound is reached
    NotAuthorized,
    NotLeader,    // ask another node, or wait
    Stale,        // an older term, epoch or generation
    Unavailable,  // no quorum, shutting down, deadline passed
    Corrupt,      // stored bytes that are not what was written
    Io,           // the disk or network said no
    Locked,       // another process holds it
};

[[nodiscard]] const char* to_string(ErrorCode code);

struct Error {
    ErrorCode code = ErrorCode::InvalidArgument;
    std::string message;
};

template <typename T>
class [[nodiscard]] Result {
  public:
    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit
    Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit

    [[nodiscard]] bool ok() const { return state_.index() == 0; }
    explicit operator bool() const { return ok(); }

    // Requires: ok().
    [[nodiscard]] T& value() & {
        ASSERT(ok(), "value() of a failed result");
        return *std::get_if<0>(&state_);
    }
    [[nodiscard]] const T& value() const& {
        ASSERT(ok(), "value() of a failed result");
        return *std::get_if<0>(&state_);
    }
    [[nodiscard]] T&& value() && {
        ASSERT(ok(), "value() of a failed result");
        return std::move(*std::get_if<0>(&state_));
    }
    T& operator*() & { return value(); }
    const T& operator*() const& { return value(); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }

    // Requires: !ok().
    [[nodiscard]] const Error& error() const {
        ASSERT(!ok(), "error() of a successful result");
        return *std::get_if<1>(&state_);
    }

    void ignore_because(const char* /*reason*/) const {}

  private:
    std::variant<T, Error> state_;
};

class [[nodiscard]] Status {
  public:
    Status() = default;
    Status(Error error) : error_(std::move(error)) {}  // NOLINT: implicit

    [[nodiscard]] bool ok() const { return !error_.has_value(); }
    explicit operator bool() const { return ok(); }

    // Requires: !ok().
    [[nodiscard]] const Error& error() const {
        ASSERT(!ok(), "error() of a success");
        return *error_;
    }

    void ignore_because(const char* /*reason*/) const {}

  private:
    std::optional<Error> error_;
};

}  // namespace quorate
