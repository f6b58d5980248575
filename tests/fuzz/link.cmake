quorate_fuzzer(link_fuzz SOURCES link_fuzz.cpp DEPS quorate_link quorate_wire)
