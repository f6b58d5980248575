# cmake -C deploy/cmake/presets/asan.cmake -S . -B build-asan -G Ninja
set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "")
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O1 -g1" CACHE STRING "")  # for the reasons in tsan.cmake
set(QUORATE_SANITIZE address CACHE STRING "")
