#include "cluster/topics/replay.h"

namespace quorate::cluster {
namespace {

constexpr uint8_t kVersion = 1;

}  // namespace

void write_replay(RecordWriter& out, const PendingReplay& replay) {
    out.u8(kVersion);
    out.id(replay.id.epoch);
    out.id(replay.id.number);
    out.id(replay.shard);
    out.text(replay.after);
}

std::optional<PendingReplay> read_replay(std::string_view value) {
    RecordReader in(value);
    const uint8_t version = in.u8();
    PendingReplay replay;
    replay.id.epoch = in.id<Epoch>();
    replay.id.number = in.id<CommandNumber>();
    replay.shard = in.id<ShardId>();
    replay.after = in.text();
    if (!in.finished() || version != kVersion || replay.id == ReplayId()) return {};
    return replay;
}

}  // namespace quorate::cluster
