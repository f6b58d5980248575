// A member of a shared group. Pure value. Spec: MQTT 5 §4.8.2; rules, "Shared groups".
#pragma once

#include "cluster/topics/destination.h"
#include "proto/base/ids.h"
#include "proto/mqtt/types.h"

namespace quorate::cluster {

struct GroupMember {
    Destination member;  // Session (durable) or Connection (memory only)
    mqtt::QoS qos = mqtt::QoS::AtMostOnce;
    RouteSerial serial;  // of the member's route changes

    [[nodiscard]] bool durable() const { return member.kind == DestinationKind::Session; }
};

}  // namespace quorate::cluster
