#include "cluster/topics/route_records.h"

#include "cluster/topics/state_key.h"
#include "proto/mqtt/topic.h"
#include "storage/state_store.h"

namespace quorate::cluster {

namespace {

constexpr uint8_t kVersion = 1;

std::string route_key(std::string_view filter, const Destination& destination) {
    std::string encoded;
    RecordWriter writer(encoded);
    destination.write(writer);
    StateKey key(Family::Route);
    key.sized_text(filter).last_text(encoded);
    return std::string(key.view());
}

}  // namespace

void put_route(storage::StateBatch& batch, std::string_view filter, const RouteEntry& entry) {
    batch.put_with(route_key(filter, entry.destination), [&](RecordWriter& out) {
        out.u8(kVersion);
        out.text(filter);
        entry.destination.write(out);
        out.u8(static_cast<uint8_t>(entry.best_qos));
        out.id(entry.serial);
    });
}

void remove_route(storage::StateBatch& batch, std::string_view filter,
                  const Destination& destination) {
    batch.remove(route_key(filter, destination));
}

Status load_route(std::string_view key, std::string_view value, RouteTable& table) {
    RecordReader in(value);
    const uint8_t version = in.u8();
    const std::string_view filter = in.text();
    const Destination destination = Destination::read(in);
    const uint8_t qos = in.u8();
    const auto serial = in.id<RouteSerial>();
    if (!in.finished() || version != kVersion || qos > 2 || !mqtt::valid_topic_filter(filter) ||
        serial.value() == 0) {
        return corrupt_record("route", key);
    }
    if (!table.change({filter, destination, static_cast<mqtt::QoS>(qos), false, serial})) {
        return corrupt_record("route", key);
    }
    return {};
}

Status load_routes(const storage::StateStore& store, RouteTable& table) {
    Status result;
    const Status scanned = store.scan(StateKey(Family::Route).view(), family_end(Family::Route),
                                      [&](std::string_view key, std::string_view value) {
                                          result = load_route(key, value, table);
                                          return result.ok();
                                      });
    return scanned.ok() ? result : scanned;
}

}  // namespace quorate::cluster
