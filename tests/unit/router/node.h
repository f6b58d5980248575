// One worker and one loop without threads, for tests of what a worker's parts send: `turn` ends the
// worker's turn and keeps what it sent.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cluster/router/worker_router.h"
#include "cluster/shard/shard_state.h"
#include "tests/unit/shard/harness.h"

namespace quorate::cluster::testing {

// Owner: the test. The shard's state is the harness's: what is sent is not applied by itself.
class Node {
  public:
    static constexpr Incarnation kIncarnation = make_incarnation(NodeId(1), 1);

    explicit Node(const ShardOptions& options = {}) : shard(options) {
        exchange_.set_loop(LoopId(0), [](auto) {});
        exchange_.set_workers([this](WorkerId, std::unique_ptr<WorkerParcel> parcel) {
            to_worker.push_back(std::move(parcel));
        });
        router.set_incarnation(kIncarnation);
    }

    // What the worker sent since the last turn is in `to_loop` and `to_worker` afterwards.
    void turn() {
        to_loop.clear();
        to_worker.clear();
        (void)router.end_turn();
        exchange_.mailbox(LoopId(0)).take(to_loop);
    }

    // Commands of the last turn.
    [[nodiscard]] std::vector<std::pair<GroupId, Command>> commands() const {
        std::vector<std::pair<GroupId, Command>> out;
        for (const auto& parcel : to_worker) {
            parcel->commands.for_each([&out](GroupId group, std::string_view bytes) {
                auto command = decode_command(bytes);
                if (command.ok()) out.emplace_back(group, std::move(command).value());
            });
        }
        return out;
    }

    // A durable session on connection `slot` of the loop, as the shard sees it.
    AttachResult attach(std::string_view client, uint32_t slot, uint16_t receive_maximum = 10) {
        Attach attach;
        attach.client_id = client;
        attach.session_expiry_s = 100;
        attach.receive_maximum = receive_maximum;
        attach.connection = connection(slot);
        shard.apply(shard.header(), attach, false);
        return std::get<AttachResult>(shard.actions.answers.at(0).result);
    }
    void subscribe(const AttachResult& session, std::string_view filter) {
        Subscribe subscribe{session.session, session.epoch, {}};
        subscribe.requests.push_back({filter, mqtt::QoS::AtLeastOnce});
        shard.apply(shard.header(), subscribe, false);
    }
    // A member of a shared group, at the group's shard.
    void member(std::string_view filter, const Destination& member, uint64_t serial,
                bool remove = false) {
        Route route;
        route.filter = filter;
        route.destination = member;
        route.best_qos = mqtt::QoS::AtLeastOnce;
        route.remove = remove;
        route.serial = RouteSerial(serial);
        shard.apply(shard.header(), route, false);
    }
    [[nodiscard]] static ConnectionRef connection(uint32_t slot) {
        return {kIncarnation, LoopId(0), slot, 1};
    }

  private:
    Exchange exchange_{1, 1};
    Directory directory_{2};

  public:
    Harness shard;
    WorkerRouter router{{exchange_, directory_, ShardLayout{1, 0}, WorkerId(0), 1}};
    std::vector<std::unique_ptr<LoopParcel>> to_loop;
    std::vector<std::unique_ptr<WorkerParcel>> to_worker;
};

}  // namespace quorate::cluster::testing
