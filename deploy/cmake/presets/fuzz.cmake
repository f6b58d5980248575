# cmake -C deploy/cmake/presets/fuzz.cmake -S . -B build-fuzz -G Ninja
set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "")
set(CMAKE_CXX_COMPILER clang++-16 CACHE STRING "")
set(QUORATE_SANITIZE address CACHE STRING "")
set(QUORATE_FUZZ ON CACHE BOOL "")
