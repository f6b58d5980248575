# Finds the libraries on Debian 12 and 13 and Ubuntu 24.04, whatever form their packages give, and
# names each one the same: the rest of the build never asks which distribution this is.

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(RocksDB REQUIRED)
find_package(prometheus-cpp REQUIRED)
pkg_check_modules(LIBUV REQUIRED IMPORTED_TARGET libuv)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
find_package(wslay QUIET)
find_library(WSLAY_LIBRARY NAMES wslay REQUIRED)
find_path(BOOST_INCLUDE_DIR boost/beast/http.hpp REQUIRED)

# yaml-cpp 0.7 exports `yaml-cpp`, 0.8 exports `yaml-cpp::yaml-cpp`.
find_package(yaml-cpp REQUIRED)
add_library(quorate_yaml INTERFACE)
if(TARGET yaml-cpp::yaml-cpp)
    target_link_libraries(quorate_yaml INTERFACE yaml-cpp::yaml-cpp)
else()
    target_link_libraries(quorate_yaml INTERFACE yaml-cpp)
endif()

add_library(quorate_wslay INTERFACE)
target_link_libraries(quorate_wslay INTERFACE "${WSLAY_LIBRARY}")

add_library(quorate_beast INTERFACE)
target_include_directories(quorate_beast SYSTEM INTERFACE "${BOOST_INCLUDE_DIR}")

# Debian's RocksDB exports a static or a shared target, or both.
add_library(quorate_rocksdb INTERFACE)
if(TARGET RocksDB::rocksdb-shared)
    target_link_libraries(quorate_rocksdb INTERFACE RocksDB::rocksdb-shared)
else()
    target_link_libraries(quorate_rocksdb INTERFACE RocksDB::rocksdb)
endif()

add_library(quorate_jemalloc INTERFACE)
if(QUORATE_JEMALLOC AND NOT QUORATE_SANITIZE AND NOT QUORATE_FUZZ)
    pkg_check_modules(JEMALLOC IMPORTED_TARGET jemalloc)
    if(JEMALLOC_FOUND)
        target_link_libraries(quorate_jemalloc INTERFACE PkgConfig::JEMALLOC)
        target_compile_definitions(quorate_jemalloc INTERFACE QUORATE_HAS_JEMALLOC)
    endif()
endif()

# protobuf comes with a CMake package on some distributions and only with CMake's module on others.
find_package(Protobuf CONFIG QUIET)
if(NOT Protobuf_FOUND)
    find_package(Protobuf REQUIRED)
endif()
find_package(gRPC CONFIG REQUIRED)

if(QUORATE_TESTS)
    # Catch2 2 and 3 both export Catch2WithMain; only the header differs (tests/unit/catch.h).
    find_package(Catch2 REQUIRED)
    add_library(quorate_catch INTERFACE)
    target_link_libraries(quorate_catch INTERFACE Catch2::Catch2WithMain)
endif()
