// Runs script files against one shard: lines of commands, "----", the expected output, an empty
// line. With QUORATE_REWRITE=1 in the environment the expected output is written anew.
//
// Words: time MS | attach CLIENT [clean] [expiry=S] [rm=N] [conn=NODE.START.SLOT] [identity=X]
// [will=TOPIC/PAYLOAD(,) delay=S wqos=N wexpiry=S] | detached CLIENT HOW [w=N] [expiry=S] [epoch=N]
// | subscribe CLIENT FILTER,QOS[,nl][,rap][,id=N] ... | unsubscribe CLIENT FILTER ... | enqueue
// TOPIC PAYLOAD [qos=N] [retain] [expiry=S] [publisher=C] [source=SHARD,KIND,SHARD,N,H,OPEN...]
// [only=CLIENT filter=F] | replay CLIENT FILTER TOPIC,PAYLOAD,QOS ... | enqueue-group GROUP PAYLOAD
// [qos=N] [expiry=S] [source=...] | ack CLIENT KIND,N ... | put CLIENT ID TOPIC PAYLOAD | release
// CLIENT ID | retain TOPIC [PAYLOAD] [n=N] [expiry=S] | done KIND SHARD N ... | route FILTER
// DESTINATION serial=N [qos=N] [remove] | made FILTER SERIAL [member=CLIENT] | node-down NODE.START
// | tick | void | end-session CLIENT | pick GROUP N DESTINATION
//
// Any command: [lane=NODE.START.PRODUCER] [n#=NUMBER] [fence=SHARD,TERM].
//
// Questions: session CLIENT | queue CLIENT | owed | outbox | retained FILTER | match TOPIC | group
// G | letgo | incarnations | counts | deadline | restart
#pragma once

#include <string>

#include "tests/unit/shard/harness.h"

namespace quorate::cluster::testing {

// What one line answers, lines each ended by a newline.
std::string run_line(Harness& harness, const std::string& line);

// Runs a whole file; fails the test where output differs. Options stand in a first line
// "options key=value ...".
void run_script(const std::string& path);

}  // namespace quorate::cluster::testing
