# cmake -C deploy/cmake/presets/tsan.cmake -S . -B build-tsan -G Ninja
set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "")
set(QUORATE_SANITIZE thread CACHE STRING "")
