# How every target of the project is compiled: the language level, warnings, sanitizers, and the two
# functions that declare a library and a test. A library is one folder; it lists its sources by name.

option(QUORATE_TESTS "Build the tests" ON)
option(QUORATE_FUZZ "Build the libFuzzer targets (clang only)" OFF)
option(QUORATE_JEMALLOC "Link jemalloc into the server" ON)
set(QUORATE_SANITIZE "" CACHE STRING "Sanitizers: empty, address (with undefined) or thread")

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    set(CMAKE_CXX_COMPILER_LAUNCHER "${CCACHE_PROGRAM}")
endif()

add_library(quorate_flags INTERFACE)
target_include_directories(quorate_flags INTERFACE "${PROJECT_SOURCE_DIR}")
target_compile_options(quorate_flags INTERFACE -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion
                                               -Werror -fno-omit-frame-pointer)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    target_compile_options(quorate_flags INTERFACE -Wthread-safety)
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT QUORATE_SANITIZE)
    target_compile_options(quorate_flags INTERFACE -fstack-protector-strong)
    target_compile_definitions(quorate_flags INTERFACE _GLIBCXX_ASSERTIONS)
    target_link_options(quorate_flags INTERFACE -Wl,-z,relro,-z,now)
endif()
if(QUORATE_SANITIZE STREQUAL "address")
    # Without what doubles the time to compile and finds little: a null pointer ends the program
    # anyway, and object sizes and dynamic types are what the address sanitizer guards.
    target_compile_options(quorate_flags INTERFACE -fsanitize=address,undefined
                                                   -fno-sanitize=null,object-size,vptr
                                                   -fno-sanitize-recover=all)
    target_link_options(quorate_flags INTERFACE -fsanitize=address,undefined)
elseif(QUORATE_SANITIZE STREQUAL "thread")
    target_compile_options(quorate_flags INTERFACE -fsanitize=thread)
    target_link_options(quorate_flags INTERFACE -fsanitize=thread)
elseif(QUORATE_SANITIZE)
    message(FATAL_ERROR "QUORATE_SANITIZE is '${QUORATE_SANITIZE}'; expected '', address or thread")
endif()
if(QUORATE_FUZZ)
    target_compile_options(quorate_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# quorate_library(name SOURCES a.cpp ... DEPS lib ... [PRIVATE_DEPS lib ...])
# DEPS are what the headers expose, PRIVATE_DEPS what only the sources use.
function(quorate_library name)
    cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
    add_library(${name} STATIC ${ARG_SOURCES})
    target_link_libraries(${name} PUBLIC quorate_flags ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS})
endfunction()

# quorate_executable(name SOURCES a.cpp ... DEPS lib ...)
function(quorate_executable name)
    cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
    add_executable(${name} ${ARG_SOURCES})
    target_link_libraries(${name} PRIVATE quorate_flags ${ARG_DEPS})
endfunction()

# quorate_test(name SOURCES a.cpp ... DEPS lib ...): a Catch2 program, run by ctest under its name.
function(quorate_test name)
    cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
    add_executable(${name} ${ARG_SOURCES})
    target_link_libraries(${name} PRIVATE quorate_flags ${ARG_DEPS} quorate_catch)
    # gcc 12 sees overlapping copies in inlined std::string concatenation that are none (GCC bug
    # 105651); tests concatenate freely.
    target_compile_options(${name} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
    # Cases tagged [mutants] break the code on purpose: that is about the law, not about memory.
    set(without)
    if(QUORATE_SANITIZE)
        set(without "~[mutants]~[.]")
    endif()
    add_test(NAME ${name} COMMAND ${name} ${without})
    set_tests_properties(${name} PROPERTIES TIMEOUT 600)
endfunction()

# quorate_fuzzer(name SOURCES a.cpp ... DEPS lib ...): a libFuzzer program; only with QUORATE_FUZZ.
function(quorate_fuzzer name)
    cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
    if(NOT QUORATE_FUZZ)
        return()
    endif()
    add_executable(${name} ${ARG_SOURCES})
    target_link_libraries(${name} PRIVATE quorate_flags ${ARG_DEPS})
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
endfunction()
