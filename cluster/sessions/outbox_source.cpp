#include "cluster/sessions/outbox_source.h"

namespace quorate::cluster {

void OutboxTarget::write(RecordWriter& out) const {
    out.u8(static_cast<uint8_t>(kind));
    out.id(shard);
    out.id(node);
    if (kind == OutboxTargetKind::Publisher) out.id(loop);
}

OutboxTarget OutboxTarget::read(RecordReader& in) {
    OutboxTarget target;
    const uint8_t kind = in.u8();
    const bool known = kind <= static_cast<uint8_t>(OutboxTargetKind::Publisher);
    if (!known) in.fail();
    target.kind = known ? static_cast<OutboxTargetKind>(kind) : OutboxTargetKind::Topic;
    target.shard = in.id<ShardId>();
    target.node = in.id<Incarnation>();
    if (target.kind == OutboxTargetKind::Publisher) target.loop = in.id<LoopId>();
    return target;
}

void OutboxSource::write(RecordWriter& out) const {
    out.id(stream.source);
    out.id(stream.generation);
    stream.target.write(out);
    out.id(number);
    out.id(high);
    out.u32(static_cast<uint32_t>(unfinished.size()));
    for (const OutboxNumber open : unfinished)
        out.id(open);
}

OutboxSource OutboxSource::read(RecordReader& in) {
    OutboxSource source;
    source.stream.source = in.id<ShardId>();
    source.stream.generation = in.id<Generation>();
    source.stream.target = OutboxTarget::read(in);
    source.number = in.id<OutboxNumber>();
    source.high = in.id<OutboxNumber>();
    const uint32_t count = in.u32();
    if (count > in.rest().size() / sizeof(uint64_t)) in.fail();
    for (uint32_t i = 0; i < count && !in.failed(); ++i) {
        source.unfinished.push_back(in.id<OutboxNumber>());
    }
    return source;
}

}  // namespace quorate::cluster
