// The owner's end of publish streams on one worker: which items of which loops are taken, and when
// each may be answered.
//
//   StreamParcel ─► StreamAcceptor (order) ─► OwnerGate (may act) ─► Owner distributes
//   every destination has it, and leadership was confirmed afterwards ─► StreamAnswer
//
// Thread: its worker's. Owner: the WorkerRouter. Errors: what cannot be taken now is refused, and
// the loop begins again; what a deposed owner still had is answered by nobody. Bounded by what
// loops may have unanswered. Spec.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

#include "cluster/router/traffic.h"
#include "cluster/stream/owner_gate.h"
#include "cluster/stream/stream_acceptor.h"
#include "proto/base/ids.h"
#include "proto/mqtt/message.h"

namespace quorate::cluster {

// One item that was taken.
struct StreamPublish {
    uint64_t token = 0;  // 0: nobody waits
    mqtt::MessageView message;
    StreamName stream;
    uint64_t number = 0;
    std::optional<OutboxSource> source;  // of QoS 2: by which destinations know it again
};

// What the desk needs of its worker; implemented by WorkerRouter.
class StreamDeskHost {
  public:
    virtual ~StreamDeskHost() = default;
    // Answered by StreamDesk::done(token) when it has a token.
    virtual void distribute(const StreamPublish& publish) = 0;
    virtual void answer(const PortRef& loop, const StreamAnswer& answer) = 0;
    // Begins a leadership round of the shard's group; StreamDesk::round follows. False: not now.
    [[nodiscard]] virtual bool confirm(ShardId shard, uint64_t round) = 0;
};

class StreamDesk {
  public:
    explicit StreamDesk(StreamDeskHost& host) : host_(host) {}

    // This node owns the shard's topics: its first entry of the term is applied, and every route
    // that was made until then is in the table.
    void lead(ShardId shard, Term term);
    void follow(ShardId shard);
    [[nodiscard]] bool leads(ShardId shard) const { return shards_.contains(shard); }

    // `may_act`: both leases were valid after the items were read and the table was loaded.
    void arrived(const PortRef& from, const StreamName& name, const StreamParcel& parcel,
                 bool may_act);
    void done(uint64_t token, uint32_t receivers, mqtt::ReasonCode code);
    // A destination has heard this shard with a higher term: nothing of this one is answered.
    void stale(ShardId shard, Term term);
    void round(ShardId shard, uint64_t round, bool confirmed);
    // Once a turn: begins the rounds that are waited for.
    void end_turn();
    void down(Incarnation incarnation);

    [[nodiscard]] std::size_t open() const { return open_.size(); }

  private:
    struct Shard {
        StreamAcceptor acceptor;
        OwnerGate gate;
    };
    // Who waits for an item.
    struct Open {
        PortRef loop;
        StreamAnswer answer;
    };
    void take(const PortRef& from, const StreamName& name, ShardId id, Shard& shard,
              const StreamItem& item);
    void send(const std::vector<uint64_t>& tokens);
    void refuse(const PortRef& to, ShardId shard, uint32_t attempt);

    StreamDeskHost& host_;
    std::map<ShardId, Shard> shards_;
    std::unordered_map<uint64_t, Open> open_;  // by token
    uint64_t next_token_ = 1;
    uint64_t next_round_ = 1;
};

}  // namespace quorate::cluster
