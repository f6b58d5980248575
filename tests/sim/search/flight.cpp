#include "tests/sim/search/flight.h"

#include <utility>
#include <variant>

#include "proto/base/hash.h"

namespace quorate::sim {
namespace {

struct BodyPrint {
    uint64_t operator()(const raft::RequestVote& body) const {
        return mix(body.last.index.value(), body.last.term.value());
    }
    uint64_t operator()(const raft::RequestVoteReply& body) const { return body.granted ? 1 : 0; }
    uint64_t operator()(const raft::AppendEntries& body) const {
        uint64_t hash = mix(body.previous.index.value(), body.previous.term.value());
        hash = mix(hash, body.commit.value());
        for (const raft::Entry& entry : body.entries) {
            hash = mix(hash, print_of(entry));
        }
        return hash;
    }
    uint64_t operator()(const raft::AppendEntriesReply& body) const {
        const uint64_t hash = mix(body.index.value(), body.accepted ? 1 : 0);
        return mix(mix(hash, body.hint.index.value()), body.hint.term.value());
    }
    uint64_t operator()(const raft::Heartbeat& body) const { return body.commit.value(); }
    uint64_t operator()(const raft::HeartbeatReply& /*body*/) const { return 0; }
    uint64_t operator()(const raft::TimeoutNow& /*body*/) const { return 0; }
    // Configurations are those of the scope: every renaming leaves them as they are.
    uint64_t operator()(const raft::InstallSnapshot& body) const {
        uint64_t hash = mix(body.snapshot.last.index.value(), body.snapshot.last.term.value());
        hash = mix(mix(hash, body.transfer.value()), body.offset);
        return mix(hash, hash64(body.data.text(), hash64(encode(body.snapshot.configuration))));
    }
    uint64_t operator()(const raft::InstallSnapshotReply& body) const {
        return mix(body.transfer.value(), body.offset);
    }
};

}  // namespace

uint64_t print_of(const raft::Entry& entry) {
    const uint64_t place = mix(entry.id.index.value(), entry.id.term.value());
    const bool counts = entry.kind == raft::EntryKind::Configuration;
    return mix(mix(place, static_cast<uint64_t>(entry.kind)),
               counts ? hash64(entry.data.text()) : 0);
}

FlightRef make_flight(raft::Message message, std::span<const Renaming> renamings) {
    auto flight = std::make_shared<Flight>();
    const uint64_t what =
        mix(mix(message.term.value(), message.body.index()), std::visit(BodyPrint{}, message.body));
    for (std::size_t i = 0; i < renamings.size(); ++i) {
        const Renaming& names = renamings[i];
        flight->prints[i] = mix(mix(what, names[message.from.value()]), names[message.to.value()]);
    }
    flight->message = std::move(message);
    return flight;
}

}  // namespace quorate::sim
