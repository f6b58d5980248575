// A lease request or its answer as an item of a link.
//
//     [3 u8][group u32][version u8][kind u8][holder u64][id u64] then  request: [shown u64]
//                                                                      answer: [verdict u8]
//
// The group comes first so that whoever takes items off a link finds the worker without more.
// *Thread*: any; values. *Errors*: nothing for any other bytes. *Spec*: rules R-10.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "cluster/lease/lease.h"
#include "proto/base/ids.h"

namespace quorate::cluster {

// The first byte of an item of the consensus class says what it is.
inline constexpr char kLeaseItem = 3;

struct LeaseItem {
    GroupId group;
    std::variant<LeaseRequest, LeaseAnswer> body;
};

[[nodiscard]] std::string encode_lease_item(GroupId group, const LeaseRequest& request);
[[nodiscard]] std::string encode_lease_item(GroupId group, const LeaseAnswer& answer);
[[nodiscard]] std::optional<LeaseItem> decode_lease_item(std::string_view item);
// Whose it is, without a look at the rest.
[[nodiscard]] std::optional<GroupId> group_of_lease_item(std::string_view item);

}  // namespace quorate::cluster
