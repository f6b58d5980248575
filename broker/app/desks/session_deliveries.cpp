// What durable sessions are sent: pulled by Wants, taken in the order of its numbers.
#include <algorithm>

#include "broker/app/client.h"
#include "broker/app/desks/session_desk.h"
#include "broker/app/front_end.h"

namespace quorate::broker {

// Half the room is left at the least when more is asked for, so that deliveries do not pause; with
// less of it the connection says when its output is written.
void SessionDesk::send_want(Client& client) {
    client.want_staged_ = false;
    const Channel& channel = client.channel();
    const uint64_t most = front_end_.channel_context().limits.max_output_bytes;
    const uint64_t waits = client.output_bytes();
    const uint64_t room = most > waits ? most - waits : 0;
    if (room <= most / 2) client.await_drain();
    Client::Extras& extras = client.extras();
    extras.granted = extras.received + room;
    port_.want({client.shard_, client.session_, client.epoch_, channel.next_number(),
                channel.credit(), extras.received, room, client.want_again_});
    client.want_again_ = false;
}

void SessionDesk::on_deliveries(const cluster::DeliveryBatch& batch) {
    const LoopTime now = front_end_.now();
    batch.for_each([&](const cluster::DeliveryView& view) {
        Client* client = front_end_.client(view.connection.slot);
        if (client == nullptr || client->generation() != view.connection.generation) return;
        if (client->epoch_ != view.epoch || !client->attached_) return;
        if (view.number.value() == 0) {
            Offer offer;
            offer.message = &view.message;
            offer.retain = view.retain;
            offer.subscription_ids = view.subscription_ids;
            client->channel().offer(now, offer);
            return;
        }
        const MessageNumber expected = client->channel().next_number();
        if (view.number < expected) return;  // it came before, by an earlier Want
        if (view.from > expected) {
            if (!client->gap_asked_) want_again(*client);
            return;
        }
        Delivery delivery;
        delivery.number = view.number;
        delivery.message = &view.message;
        delivery.dup = view.dup;
        delivery.pubrec_known = view.pubrec_known;
        delivery.subscription_ids = view.subscription_ids;
        // Settled unsent: its number is free without a packet from the client.
        const DeliverResult result = client->channel().deliver(delivery);
        if (result == DeliverResult::OutOfWindow) {
            if (!client->gap_asked_) want_again(*client);
            return;
        }
        client->gap_asked_ = false;
        Client::Extras& extras = client->extras();
        extras.received += cluster::delivery_bytes(view);
        const uint64_t reserve = front_end_.channel_context().limits.max_output_bytes / 2;
        if (result == DeliverResult::Settled || extras.received + reserve >= extras.granted) {
            window_open(*client);
        }
    });
}

void SessionDesk::want_again(Client& client) {
    if (!client.gap_asked_) gaps_.push_back({client.slot(), client.generation()});
    client.gap_asked_ = true;
    client.want_again_ = true;
    window_open(client);
}

void SessionDesk::on_moved(ShardId shard) {
    if (shard.value() >= moved_.size()) return;
    moved_[shard.value()] = true;
    any_moved_ = true;
}

// One look at all clients, however many shards have moved in a turn.
void SessionDesk::want_moved() {
    any_moved_ = false;
    for (uint32_t slot = 0; slot < front_end_.slots(); ++slot) {
        Client* client = front_end_.client(slot);
        if (client == nullptr || !client->attached_ || !client->durable_) continue;
        if (!moved_[client->shard_.value()]) continue;
        client->want_again_ = true;
        window_open(*client);
    }
    std::fill(moved_.begin(), moved_.end(), false);
}

}  // namespace quorate::broker
