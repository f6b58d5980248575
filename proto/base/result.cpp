#include "proto/base/result.h"

namespace quorate {

const char* to_string(ErrorCode code) {
    switch (code) {
        case ErrorCode::InvalidArgument:
            return "invalid argument";
        case ErrorCode::NotFound:
            return "not found";
        case ErrorCode::AlreadyExists:
            return "already exists";
        case ErrorCode::LimitExceeded:
            return "limit exceeded";
        case ErrorCode::NotAuthorized:
            return "not authorized";
        case ErrorCode::NotLeader:
            return "not leader";
        case ErrorCode::Stale:
            return "stale";
        case ErrorCode::Unavailable:
            return "unavailable";
        case ErrorCode::Corrupt:
            return "corrupt";
        case ErrorCode::Io:
            return "input/output error";
        case ErrorCode::Locked:
            return "locked";
    }
    return "unknown";
}

}  // namespace quorate
