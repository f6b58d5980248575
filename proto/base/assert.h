// Assertions for broken invariants: a bug of ours, never something a client or a peer can cause.
//
// They stay on in release builds and abort with a message, so that a replica with a bug stops
// rather than spreads it. DASSERT is for checks that cost more than the function they guard.
#pragma once

namespace quorate {

// Writes `file:line: message` to standard error and aborts. Thread: any.
[[noreturn]] void fatal(const char* file, int line, const char* message) noexcept;

}  // namespace quorate

#define QUORATE_FATAL(message) ::quorate::fatal(__FILE__, __LINE__, (message))

#define ASSERT(condition, message)                                        \
    do {                                                                  \
        if (!(condition)) [[unlikely]]                                    \
            QUORATE_FATAL("assertion `" #condition "` failed: " message); \
    } while (false)

#ifdef NDEBUG
#define DASSERT(condition, message) \
    do {                            \
    } while (false)
#else
#define DASSERT(condition, message) ASSERT(condition, message)
#endif
