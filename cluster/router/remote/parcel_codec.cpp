#include "cluster/router/remote/parcel_codec.h"

#include <utility>
#include <vector>

#include "cluster/router/remote/traffic_fields.h"
#include "cluster/shard/record_fields.h"

namespace quorate::cluster {
namespace {

constexpr uint8_t kVersion = 1;
constexpr std::size_t kItemBytesMin = 8;  // no item of a list is smaller

template <typename Batch>
concept Counted = requires(const Batch& batch) { batch.count; };

template <Counted Batch>
bool empty(const Batch& batch) {
    return batch.count == 0;
}
template <typename Item>
bool empty(const std::vector<Item>& items) {
    return items.empty();
}

template <Counted Batch>
void write_section(RecordWriter& out, const Batch& batch) {
    write_field(out, batch);
}
template <typename Item>
void write_section(RecordWriter& out, const std::vector<Item>& items) {
    out.u32(static_cast<uint32_t>(items.size()));
    for (const Item& item : items)
        write_field(out, item);
}

template <Counted Batch>
void read_section(RecordReader& in, Batch& batch) {
    read_field(in, batch);
}
template <typename Item>
void read_section(RecordReader& in, std::vector<Item>& items) {
    const uint32_t count = read_count(in, kItemBytesMin);
    items.reserve(count);
    for (uint32_t i = 0; i < count && !in.failed(); ++i)
        read_field(in, items.emplace_back());
}

// The sections of each kind of parcel, in their order. Part of what nodes of different versions say
// to each other: a new section comes last.
template <typename Parcel, typename Visit>
void for_each_section(WorkerParcel*, Parcel& parcel, Visit&& visit) {
    visit(parcel.commands);
    visit(parcel.owned);
    visit(parcel.live);
    visit(parcel.group_batch);
    visit(parcel.groups);
    visit(parcel.wants);
    visit(parcel.shared_acks);
    visit(parcel.presence);
    visit(parcel.retained);
    visit(parcel.hand_overs);
    visit(parcel.done);
    visit(parcel.taken.taken);
    visit(parcel.answers);
    visit(parcel.streams);
    visit(parcel.copies);
    visit(parcel.copy_answers);
}
template <typename Parcel, typename Visit>
void for_each_section(LoopParcel*, Parcel& parcel, Visit&& visit) {
    visit(parcel.retained);
    visit(parcel.publishes);
    visit(parcel.deliveries);
    visit(parcel.shared);
    visit(parcel.let_go);
    visit(parcel.taken.taken);
    visit(parcel.answers);
    visit(parcel.stream_answers);
}

template <typename Parcel>
void encode(std::string& bytes, const Parcel& parcel) {
    constexpr Parcel* kKind = nullptr;
    uint32_t mask = 0;
    uint32_t bit = 1;
    for_each_section(kKind, parcel, [&](const auto& section) {
        if (!empty(section)) mask |= bit;
        bit <<= 1U;
    });
    RecordWriter out(bytes);
    out.u8(kVersion);
    out.u32(mask);
    for_each_section(kKind, parcel, [&](const auto& section) {
        if (!empty(section)) write_section(out, section);
    });
}

template <typename Parcel>
Result<std::unique_ptr<Parcel>> decode(std::string_view bytes) {
    constexpr Parcel* kKind = nullptr;
    RecordReader in(bytes);
    const uint8_t version = in.u8();
    uint32_t mask = in.u32();
    auto parcel = std::make_unique<Parcel>();
    for_each_section(kKind, *parcel, [&](auto& section) {
        if ((mask & 1U) != 0 && !in.failed()) {
            read_section(in, section);
            if (empty(section)) in.fail();
        }
        mask >>= 1U;
    });
    if (!in.finished() || version != kVersion || mask != 0) {
        return Error{ErrorCode::Corrupt, "not a parcel of this version"};
    }
    return parcel;
}

}  // namespace

void encode_parcel(std::string& out, const WorkerParcel& parcel) {
    encode(out, parcel);
}

void encode_parcel(std::string& out, const LoopParcel& parcel) {
    encode(out, parcel);
}

Result<std::unique_ptr<WorkerParcel>> decode_worker_parcel(std::string_view bytes) {
    return decode<WorkerParcel>(bytes);
}

Result<std::unique_ptr<LoopParcel>> decode_loop_parcel(std::string_view bytes) {
    return decode<LoopParcel>(bytes);
}

}  // namespace quorate::cluster
