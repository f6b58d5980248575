quorate_fuzzer(config_fuzz SOURCES config_fuzz.cpp DEPS quorate_config)
quorate_fuzzer(http_fuzz SOURCES http_fuzz.cpp DEPS quorate_admin)
