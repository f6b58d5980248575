# The group of the unit tests, which watch the same invariants.
set(group ../unit/raft/raft_cluster.cpp ../unit/raft/raft_replica.cpp)
quorate_fuzzer(raft_fuzz SOURCES raft_fuzz.cpp ${group} DEPS quorate_raft)
