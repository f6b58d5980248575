#include "proto/base/task.h"

#include <array>
#include <memory>
#include <string>

#include "tests/unit/catch.h"

using quorate::Task;

TEST_CASE("a task holds what cannot be copied, small or large, and destroys it once") {
    auto counter = std::make_shared<int>(0);
    {
        Task small([counter, owned = std::make_unique<int>(1)] { *counter += *owned; });
        Task large([counter, block = std::array<char, 500>{}] {
            *counter += static_cast<int>(block.size());
        });
        CHECK(counter.use_count() == 3);
        Task moved(std::move(small));
        CHECK_FALSE(static_cast<bool>(small));  // NOLINT: what moving leaves is the point
        moved();
        large();
        CHECK(*counter == 501);
        moved = std::move(large);
        CHECK(counter.use_count() == 2);
        moved();
        CHECK(*counter == 1001);
    }
    CHECK(counter.use_count() == 1);
    CHECK_FALSE(static_cast<bool>(Task()));
}
