// Parcels of this node's threads as bytes, for threads of other nodes.
//
// A parcel begins with a version (u8, now 1) and a mask (u32) of the sections that follow, in the
// order in which traffic.h declares them. Batches, which are flat already, are copied whole. What
// decodes is well-formed down to each message, so that the threads that read the parcel need not
// look again; whether its shards are led here is not judged.
//
// Two members have no place in it: `from`, which the reader of the link fills in, and what one node
// says to itself only (LoopParcel::shown, and of WorkerParcel what stands behind its copy_answers).
//
// Thread: any. Errors: Corrupt for bytes that are no parcel of this version; a count that cannot
// follow reserves nothing. Spec: rules say what is in them.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "cluster/router/traffic.h"
#include "proto/base/result.h"

namespace quorate::cluster {

// Append to `out`.
void encode_parcel(std::string& out, const WorkerParcel& parcel);
void encode_parcel(std::string& out, const LoopParcel& parcel);

[[nodiscard]] Result<std::unique_ptr<WorkerParcel>> decode_worker_parcel(std::string_view bytes);
[[nodiscard]] Result<std::unique_ptr<LoopParcel>> decode_loop_parcel(std::string_view bytes);

}  // namespace quorate::cluster
