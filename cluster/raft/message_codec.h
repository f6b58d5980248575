// Messages of replicas as bytes, for the links between nodes.
//
// A message is a version (u8, now 1), its kind (u8), `from`, `to` and `term` (u64 each), then the
// fields of its body in the order in which messages.h declares them; integers are little-endian.
// Entries are a run: their indexes follow from `previous`, and a term is written only where it
// differs from that of the entry before. There is one form for each message: what decodes encodes
// to the same bytes again.
//
// What is decoded is well-formed, not believable: RaftNode::step judges it. One item of a link
// holds one message; which group it is for, and how many travel together, its envelope says.
// *Thread*: any. *Errors*: InvalidArgument for bytes that are no message of this version.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "cluster/raft/messages.h"
#include "proto/base/result.h"

namespace quorate::raft {

// Appends to `out`. Requires: entries follow `previous` and each other, as a leader sends them; the
// configuration of a snapshot is `valid`.
void encode_message(std::string& out, const Message& message);

[[nodiscard]] Result<Message> decode_message(std::string_view bytes);

}  // namespace quorate::raft
