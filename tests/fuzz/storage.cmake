quorate_fuzzer(storage_records_fuzz SOURCES storage_records_fuzz.cpp
               DEPS quorate_storage quorate_group quorate_raft)
quorate_fuzzer(group_fuzz SOURCES group_fuzz.cpp DEPS quorate_group)
