quorate_fuzzer(shard_fuzz SOURCES shard_fuzz.cpp DEPS quorate_shard quorate_meta)
