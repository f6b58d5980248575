// Commands of all kinds over few names and numbers, so that they meet each other: sessions come and
// go, nodes die, groups change while messages are on their way. Some are stale, some impossible.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "cluster/shard/command.h"
#include "proto/mqtt/message.h"

namespace quorate::cluster::testing {

class RandomCommands {
  public:
    // `below(n)` answers a number in [0, n): from a seeded generator or from a fuzzer's bytes.
    explicit RandomCommands(std::function<uint64_t(uint64_t)> below) : below_(std::move(below)) {}

    // The encoded next command.
    [[nodiscard]] std::string next() {
        const CommandBody body = this->body();
        CommandHeader header;
        const bool leader =
            std::holds_alternative<Tick>(body) || std::holds_alternative<NodeDown>(body) ||
            std::holds_alternative<GroupPick>(body) || std::holds_alternative<OutboxDone>(body) ||
            std::holds_alternative<OutboxReturn>(body) || std::holds_alternative<Made>(body);
        if (leader) {
            header.lane.lane_class = LaneClass::Leader;
        } else {
            header.lane.incarnation = incarnation();
            header.lane.producer = static_cast<uint16_t>(below_(2));
            header.number = ++numbers_[header.lane];
            if (below_(30) == 0 && header.number.value() > 1) {
                header.number = CommandNumber(header.number.value() - 1);
            }
            if (below_(10) == 0) header.fence = SourceFence{ShardId(1), Term(1 + below_(3))};
        }
        std::string out;
        encode_command(out, header, body);
        return out;
    }

  private:
    [[nodiscard]] Incarnation incarnation() {
        const auto node = static_cast<uint32_t>(1 + below_(2));
        return make_incarnation(NodeId(node), starts_[node]);
    }
    [[nodiscard]] ConnectionRef connection() {
        return {incarnation(), LoopId(), static_cast<uint32_t>(below_(4)), 0};
    }
    [[nodiscard]] std::string_view client() {
        static constexpr std::string_view kClients[] = {"a", "b", "c", "d"};
        return kClients[below_(4)];
    }
    [[nodiscard]] SessionId session() {
        const uint64_t newest = 1 + sessions_;
        return SessionId(newest > 6 ? newest - below_(6) : 1 + below_(6));
    }
    [[nodiscard]] Epoch epoch() { return Epoch(1 + below_(3)); }
    [[nodiscard]] std::string_view filter() {
        static constexpr std::string_view kFilters[] = {
            "t", "t/x", "t/+", "#", "$share/g/t/+", "$share/g/t/+", "$share/h/t", "bad/#/x"};
        return kFilters[below_(8)];
    }
    [[nodiscard]] std::string_view group() { return below_(3) == 0 ? "h/t" : "g/t/+"; }
    [[nodiscard]] mqtt::QoS qos() { return static_cast<mqtt::QoS>(below_(3)); }
    [[nodiscard]] std::string_view message() {
        static constexpr std::string_view kTopics[] = {"t", "t/x", "u"};
        mqtt::MessageView view;
        view.topic = kTopics[below_(3)];
        view.payload = below_(5) == 0 ? "" : "payload";
        view.qos = qos();
        view.retain = below_(2) == 0;
        if (below_(3) == 0) view.message_expiry_s = static_cast<uint32_t>(below_(10));
        message_.clear();
        mqtt::encode_message(message_, view);
        return message_;
    }
    [[nodiscard]] OutboxTarget target() {
        OutboxTarget out;
        out.kind = static_cast<OutboxTargetKind>(below_(5));
        if (out.kind >= OutboxTargetKind::Node) out.node = incarnation();
        if (out.kind == OutboxTargetKind::Publisher) {
            out.loop = LoopId(static_cast<uint16_t>(below_(2)));
        }
        return out;
    }
    [[nodiscard]] std::optional<OutboxSource> source() {
        if (below_(3) > 0) return std::nullopt;
        OutboxSource out;
        out.stream = {ShardId(static_cast<uint32_t>(below_(2))), Generation(1), target()};
        out.number = OutboxNumber(1 + below_(12));
        out.high = OutboxNumber(below_(8));
        for (uint64_t n = 1; n < out.high.value(); ++n) {
            if (below_(3) == 0) out.unfinished.emplace_back(n);
        }
        return out;
    }
    [[nodiscard]] Destination member() {
        if (below_(2) == 0) return Destination::to_session(ShardId(0), session());
        return Destination::to_connection(connection());
    }

    // To the session and filter that `like` is restricted to.
    [[nodiscard]] CommandBody replay(const Enqueue& like) {
        Replay out{like.only->sessions[0], like.only->filter, {}, {}, {like.message}, {}};
        out.id = {epoch(), CommandNumber(1 + below_(60))};
        if (below_(2) == 0) out.next = Replay::Position{ShardId(0), "t"};
        return out;
    }

    [[nodiscard]] CommandBody body() {
        switch (below_(20)) {
            case 0:
            case 1:
                return attach();
            case 2: {
                Detached out{session(),
                             epoch(),
                             static_cast<DetachHow>(below_(5)),
                             {},
                             MessageNumber(below_(12))};
                if (below_(4) == 0) out.new_expiry_s = static_cast<uint32_t>(below_(20));
                return out;
            }
            case 3:
            case 4:
                return subscribe();
            case 5:
                return Unsubscribe{session(), epoch(), {filter()}};
            case 6:
            case 7:
            case 8: {
                Enqueue out{message(), source(), std::nullopt};
                if (below_(3) == 0) {
                    out.only = Restriction{{session()}, filter()};
                    if (below_(4) == 0) out.only->sessions.push_back(session());
                    if (below_(2) == 0) {
                        return replay(out);
                    }
                }
                return out;
            }
            case 9:
                return EnqueueGroup{group(), message(), source()};
            case 10:
            case 11: {
                Ack out{session(), epoch(), {}};
                for (uint64_t i = 1 + below_(4); i > 0; --i) {
                    out.items.push_back(
                        {MessageNumber(1 + below_(20)), static_cast<AckKind>(below_(7))});
                }
                return out;
            }
            case 12:
                return OutboxPut{session(), epoch(), PacketId(static_cast<uint16_t>(below_(5))),
                                 message()};
            case 13:
                return Release{session(), epoch(), PacketId(static_cast<uint16_t>(below_(5)))};
            case 14:
                return Retain{message(), {incarnation(), LoopId()}, below_(6)};
            case 15:
                if (below_(4) == 0) return OutboxReturn{target(), {OutboxNumber(1 + below_(12))}};
                return OutboxDone{target(), {OutboxNumber(1 + below_(12))}};
            case 16:
                return route();
            case 17:
                return Made{{{filter(), below_(2) == 0 ? SessionId() : session(),
                              RouteSerial(1 + below_(30))}}};
            case 18:
                return GroupPick{group(), MessageNumber(1 + below_(8)), member()};
            default:
                return rare();
        }
    }

    [[nodiscard]] CommandBody attach() {
        Attach out;
        out.client_id = client();
        out.identity = below_(10) == 0 ? "other" : "";
        out.clean_start = below_(4) == 0;
        out.no_new = below_(8) == 0;
        out.session_expiry_s = static_cast<uint32_t>(below_(3) * 10);
        out.receive_maximum = static_cast<uint16_t>(1 + below_(4));
        out.connection = connection();
        if (below_(2) == 0) {
            out.will = WillRequest{message(), static_cast<uint32_t>(below_(10))};
        }
        if (sessions_ < 1000) ++sessions_;
        return out;
    }

    [[nodiscard]] CommandBody subscribe() {
        Subscribe out{session(), epoch(), {}};
        if (below_(4) == 0) out.shared_max = static_cast<uint32_t>(below_(2));
        for (uint64_t i = 1 + below_(2); i > 0; --i) {
            out.requests.push_back({filter(), qos(), below_(2) == 0, below_(2) == 0,
                                    static_cast<mqtt::RetainHandling>(below_(3)),
                                    static_cast<uint32_t>(below_(3)), below_(2) == 0});
        }
        return out;
    }

    [[nodiscard]] CommandBody route() {
        const std::string_view name = filter();
        const bool shared = name.starts_with("$share") != (below_(20) == 0);
        return Route{name,
                     shared           ? member()
                     : below_(2) == 0 ? Destination::to_node(incarnation())
                                      : Destination::to_shard(ShardId(1)),
                     qos(), below_(3) == 0, RouteSerial(1 + below_(30))};
    }

    [[nodiscard]] CommandBody rare() {
        switch (below_(5)) {
            case 0: {
                const auto node = static_cast<uint32_t>(1 + below_(2));
                const Incarnation down = make_incarnation(NodeId(node), starts_[node]);
                if (below_(2) == 0) ++starts_[node];
                return NodeDown{down};
            }
            case 1:
                return EndSession{client()};
            case 2:
                return Void{below_(2) == 0};
            default:
                return Tick{};
        }
    }

    std::function<uint64_t(uint64_t)> below_;
    std::map<Lane, CommandNumber> numbers_;
    std::map<uint32_t, uint32_t> starts_;
    std::string message_;
    uint64_t sessions_ = 0;
};

}  // namespace quorate::cluster::testing
