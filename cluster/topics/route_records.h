// Routes on disk: one record per filter and destination. Thread: any; functions.
// Errors: load_routes answers Corrupt with the key. Spec: rules R-4.
#pragma once

#include <string_view>

#include "cluster/topics/route_table.h"
#include "proto/base/result.h"

namespace quorate::storage {
class StateBatch;
class StateStore;
}  // namespace quorate::storage

namespace quorate::cluster {

void put_route(storage::StateBatch& batch, std::string_view filter, const RouteEntry& entry);
void remove_route(storage::StateBatch& batch, std::string_view filter,
                  const Destination& destination);
[[nodiscard]] Status load_routes(const storage::StateStore& store, RouteTable& table);
// One record, as load_routes reads it.
[[nodiscard]] Status load_route(std::string_view key, std::string_view value, RouteTable& table);

}  // namespace quorate::cluster
