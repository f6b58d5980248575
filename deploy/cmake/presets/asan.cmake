# cmake -C deploy/cmake/presets/asan.cmake -S . -B build-asan -G Ninja
set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "")
set(QUORATE_SANITIZE address CACHE STRING "")
