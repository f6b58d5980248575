# cmake -C deploy/cmake/presets/tsan.cmake -S . -B build-tsan -G Ninja
set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "")
# Little optimisation and line tables only: half the time to build, traces as good. Without NDEBUG,
# so that DASSERT is checked somewhere.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O1 -g1" CACHE STRING "")
set(QUORATE_SANITIZE thread CACHE STRING "")
