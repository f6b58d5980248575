quorate_fuzzer(channel_fuzz SOURCES channel_fuzz.cpp DEPS quorate_channel)
