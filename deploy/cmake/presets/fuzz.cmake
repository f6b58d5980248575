# cmake -C deploy/cmake/presets/fuzz.cmake -S . -B build-fuzz -G Ninja
# clang alone has libFuzzer; 16 is Debian 12's newest, 18 Ubuntu 24.04's, 19 Debian 13's.
find_program(QUORATE_CLANG NAMES clang++-16 clang++-19 clang++-18 clang++ REQUIRED)
set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "")
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O1 -g1" CACHE STRING "")  # for the reasons in tsan.cmake
set(CMAKE_CXX_COMPILER "${QUORATE_CLANG}" CACHE STRING "")
set(QUORATE_SANITIZE address CACHE STRING "")
set(QUORATE_FUZZ ON CACHE BOOL "")
