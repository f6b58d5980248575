#include "proto/base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace quorate {

void fatal(const char* file, int line, const char* message) noexcept {
    std::fprintf(stderr, "%s:%d: %s\n", file, line, message);
    std::fflush(stderr);
    std::abort();
}

}  // namespace quorate
