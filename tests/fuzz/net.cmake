foreach(name proxy upgrade websocket stack)
    quorate_fuzzer(net_${name}_fuzz SOURCES net_${name}_fuzz.cpp DEPS quorate_net_stages)
endforeach()
