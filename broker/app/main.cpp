// `quorate`, the server.

#include "broker/app/server.h"

#ifdef QUORATE_HAS_JEMALLOC
// A burst of queued messages must not stay in the resident size for ever.
extern "C" const char* malloc_conf;
const char* malloc_conf =
    "background_thread:true,dirty_decay_ms:5000,muzzy_decay_ms:5000,narenas:4";
#endif

int main(int argc, char** argv) {
    return quorate::broker::run_server(argc, argv);
}
