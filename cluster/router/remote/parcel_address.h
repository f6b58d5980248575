// Whom a parcel on a link is for, and from which port of its node it comes.
//
// It stands at the beginning of each item: kParcel, kind, incarnation (u64), port (u16), sender's
// port (u16). What is for one port is meant for one start of its node only: tickets begin anew with
// the next, and an answer must never meet another question.
//
// Thread: any; values. Errors: nothing for bytes that no version wrote.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cluster/router/traffic.h"
#include "proto/base/bytes.h"
#include "proto/base/ids.h"

namespace quorate::cluster {

struct ParcelAddress {
    // The first byte of an item; others are of other layers (GroupPost).
    static constexpr uint8_t kParcel = 2;

    enum class Kind : uint8_t {
        Leaders = 0,  // WorkerParcel: for whoever leads its groups, at any start of the node
        Loop = 1,     // LoopParcel
        Worker = 2,   // WorkerParcel: answers to that worker's own questions
    };
    Kind kind = Kind::Leaders;
    Incarnation node;  // of Loop and Worker
    PortId port;       // the same
    PortId from;
};

inline void write_address(RecordWriter& out, const ParcelAddress& address) {
    out.u8(ParcelAddress::kParcel);
    out.u8(static_cast<uint8_t>(address.kind));
    out.id(address.node);
    out.id(address.port);
    out.id(address.from);
}

[[nodiscard]] inline std::optional<ParcelAddress> read_address(RecordReader& in) {
    const uint8_t parcel = in.u8();
    const uint8_t kind = in.u8();
    ParcelAddress address;
    address.node = in.id<Incarnation>();
    address.port = in.id<PortId>();
    address.from = in.id<PortId>();
    const bool good = !in.failed() && parcel == ParcelAddress::kParcel &&
                      kind <= static_cast<uint8_t>(ParcelAddress::Kind::Worker);
    if (!good) return std::nullopt;
    address.kind = static_cast<ParcelAddress::Kind>(kind);
    return address;
}

}  // namespace quorate::cluster
