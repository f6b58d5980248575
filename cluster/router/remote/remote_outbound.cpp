#include "cluster/router/remote/remote_outbound.h"

#include "cluster/router/remote/parcel_codec.h"

namespace quorate::cluster {
namespace {

std::size_t bytes_of(const WorkerParcel& parcel) {
    return parcel.commands.bytes.size() + parcel.message_bytes();
}

std::size_t bytes_of(const LoopParcel& parcel) {
    std::size_t sum = parcel.message_bytes();
    for (const RetainedPage& page : parcel.retained) {
        for (const SharedBytes& flat : page.messages)
            sum += flat.size();
    }
    return sum;
}

}  // namespace

template <typename Parcel>
void RemoteOutbound::encode_and_post(NodeId node, const ParcelAddress& address,
                                     const Parcel& parcel) {
    item_.clear();
    RecordWriter out(item_);
    write_address(out, address);
    encode_parcel(item_, parcel);
    office_.post(node, item_);
}

void RemoteOutbound::send(NodeId node, const ParcelAddress& address, const WorkerParcel& parcel) {
    encode_and_post(node, address, parcel);
}

void RemoteOutbound::send(NodeId node, const ParcelAddress& address, const LoopParcel& parcel) {
    encode_and_post(node, address, parcel);
}

WorkerParcel& RemoteOutbound::leaders(NodeId node) {
    WorkerParcel& parcel = leaders_[node];
    if (bytes_of(parcel) < kParcelBytes) return parcel;
    send(node, {ParcelAddress::Kind::Leaders, {}, {}, self_}, parcel);
    return parcel = {};
}

LoopParcel& RemoteOutbound::loop(const PortRef& port) {
    LoopParcel& parcel = loops_[port];
    if (bytes_of(parcel) < kParcelBytes) return parcel;
    send(node_of(port.node), {ParcelAddress::Kind::Loop, port.node, port.port, self_}, parcel);
    return parcel = {};
}

WorkerParcel& RemoteOutbound::worker(const PortRef& port) {
    return workers_[port];
}

void RemoteOutbound::flush() {
    office_.pump();
    for (const auto& [port, parcel] : loops_)
        send(node_of(port.node), {ParcelAddress::Kind::Loop, port.node, port.port, self_}, parcel);
    for (const auto& [port, parcel] : workers_)
        send(node_of(port.node), {ParcelAddress::Kind::Worker, port.node, port.port, self_},
             parcel);
    for (const auto& [node, parcel] : leaders_)
        send(node, {ParcelAddress::Kind::Leaders, {}, {}, self_}, parcel);
    loops_.clear();
    workers_.clear();
    leaders_.clear();
}

}  // namespace quorate::cluster
