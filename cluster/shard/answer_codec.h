// Answers of a shard as bytes, for producers on other nodes.
//
// An answer is a version (u8, now 1), lane, number, token, code, then the index of its result and
// the result's fields in the order in which actions.h declares them. What decodes encodes to the
// same bytes again.
//
// Thread: any. Errors: Corrupt for bytes that are no answer of this version; every count and enum
// is checked. Spec: R-3 (a producer has to hear what became of its numbers).
#pragma once

#include <string>
#include <string_view>

#include "cluster/shard/actions.h"
#include "proto/base/result.h"

namespace quorate::cluster {

// Appends to `out`.
void encode_answer(std::string& out, const Answer& answer);

[[nodiscard]] Result<Answer> decode_answer(std::string_view bytes);

}  // namespace quorate::cluster
