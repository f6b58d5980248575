// Bytes of a log entry and of every record a shard keeps: whatever they are, the answer is a clean
// error or a state that goes on working.
//
// The first byte's lowest bits choose: a sequence of commands (u16 length, bytes) into one shard;
// one record of any family, loaded beside sound ones; plausible commands picked by the bytes; and
// the third bit among meta and plausible commands that the bytes then damage, whose seeds outlive a
// change of the encoding. A new choice takes a bit that no seed has, so that these keep theirs.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/meta/meta_state.h"
#include "cluster/shard/shard_state.h"
#include "cluster/shard/wildcard_state.h"
#include "cluster/topics/state_key.h"
#include "proto/base/assert.h"
#include "proto/base/bytes.h"
#include "proto/mqtt/message.h"
#include "storage/memory_stores.h"
#include "tests/unit/shard/random_commands.h"

namespace {

using namespace quorate;           // NOLINT: a program of one file
using namespace quorate::cluster;  // NOLINT

ShardState::Identity identity() {
    ShardState::Identity out;
    out.layout.shards = 4;
    return out;
}

ShardOptions options() {
    ShardOptions out;
    out.queue_messages_max = 8;
    out.step_limit = 3;
    out.tail_cache_bytes = 256;
    return out;
}

void apply(ShardState& state, storage::MemoryStateStore& store, uint64_t now,
           std::string_view command) {
    storage::StateBatch batch;
    Actions actions;
    state.apply(ClusterTime(now), command, batch, actions).ignore_because("any bytes are allowed");
    state.end_entry(batch);
    ASSERT(store.write(batch).ok(), "a store in memory");
}

void read_everything(const ShardState& state) {
    for (const SessionView& session : state.sessions(SessionId(), 100)) {
        const Status read = state.read_queue(session.id, MessageNumber(), 100, 1U << 20U,
                                             ClusterTime(1), [](const auto&) { return true; });
        read.ignore_because("corrupt bodies are found on reading");
    }
    for (const OutboxTarget& target : state.outbox_targets()) {
        state.outbox_window(target, OutboxNumber(), 100, ClusterTime(1), [](const auto&) {})
            .ignore_because("as above");
    }
    (void)state.wanted_routes(RouteSerial(), 100);
    (void)state.digest();
}

// Whatever was applied, a restart finds the same state.
void check_restart(const ShardState& state, const storage::MemoryStateStore& store) {
    ShardState again(identity(), options());
    ASSERT(again.load(store).ok(), "what was written is read");
    ASSERT(again.digest() == state.digest(), "what was written is what was meant");
    read_everything(state);
}

void run_commands(RecordReader& in) {
    storage::MemoryStateStore store;
    ShardState state(identity(), options());
    ASSERT(state.load(store).ok(), "an empty store");
    uint64_t now = 1;
    while (!in.rest().empty()) {
        now += in.u8();
        apply(state, store, now, in.raw(in.u16()));
    }
    check_restart(state, store);
}

void run_plausible(RecordReader& in) {
    storage::MemoryStateStore store;
    ShardState state(identity(), options());
    ASSERT(state.load(store).ok(), "an empty store");
    testing::RandomCommands commands([&in](uint64_t bound) { return in.u8() % bound; });
    uint64_t now = 1;
    while (!in.rest().empty()) {
        now += in.u8() * 10;
        apply(state, store, now, commands.next());
    }
    check_restart(state, store);
}

// Replaces, cuts or inserts at one place.
void damage(RecordReader& in, std::string& command) {
    const uint8_t how = in.u8();
    const std::size_t at = in.u8() % command.size();
    if (how % 4 == 0) {
        command.resize(at + 1);
    } else if (how % 4 == 1) {
        command.insert(at, in.raw(in.u8() % 8));
    } else {
        command[at] = static_cast<char>(in.u8());
    }
}

void run_damaged(RecordReader& in) {
    storage::MemoryStateStore store;
    ShardState state(identity(), options());
    ASSERT(state.load(store).ok(), "an empty store");
    testing::RandomCommands commands([&in](uint64_t bound) { return in.u8() % bound; });
    uint64_t now = 1;
    while (!in.rest().empty()) {
        now += in.u8() * 10;
        std::string command = commands.next();
        for (unsigned edits = in.u8() % 3; edits > 0; --edits)
            damage(in, command);
        apply(state, store, now, command);
    }
    check_restart(state, store);
}

// A sound state with something of every family, made once.
const storage::MemoryStateStore& sound() {
    static const auto* kStore = [] {
        auto store = std::make_unique<storage::MemoryStateStore>();
        ShardState state(identity(), options());
        ASSERT(state.load(*store).ok(), "an empty store");
        CommandHeader header;
        header.lane.incarnation = make_incarnation(NodeId(1), 1);
        std::string message;
        mqtt::MessageView view;
        view.topic = "t";
        view.payload = "p";
        view.qos = mqtt::QoS::ExactlyOnce;
        mqtt::encode_message(message, view);
        Attach attach;
        attach.client_id = "c";
        attach.session_expiry_s = 10;
        attach.will = WillRequest{message, 1};
        const CommandBody bodies[] = {
            attach,
            Subscribe{SessionId(1), Epoch(1), {{"t", mqtt::QoS::AtLeastOnce}}},
            Subscribe{SessionId(1), Epoch(1), {{"$share/g/t", mqtt::QoS::AtLeastOnce}}},
            Enqueue{message, std::nullopt, std::nullopt},
            OutboxPut{SessionId(1), Epoch(1), PacketId(1), message},
            Retain{message, {}, 0},
            Route{"$share/g/t", Destination::to_session(ShardId(0), SessionId(1)),
                  mqtt::QoS::AtLeastOnce, false, RouteSerial(1)},
            EnqueueGroup{"g/t", message, std::nullopt},
            Route{"t", Destination::to_shard(ShardId(1)), mqtt::QoS::AtLeastOnce, false,
                  RouteSerial(1)}};
        for (const CommandBody& body : bodies) {
            ++header.number;
            std::string command;
            encode_command(command, header, body);
            apply(state, *store, 1, command);
        }
        return store.release();
    }();
    return *kStore;
}

// One of its keys.
std::string sound_key(unsigned choice) {
    std::vector<std::string> keys;
    const Status scanned = sound().scan("", "", [&keys](std::string_view key, std::string_view) {
        keys.emplace_back(key);
        return true;
    });
    ASSERT(scanned.ok() && !keys.empty(), "a sound store");
    return keys[choice % keys.size()];
}

// The state machine of the wildcards group reads the same families.
void load_wildcards(const storage::StateStore& store) {
    WildcardState state(3);
    if (!state.load(store).ok()) return;
    const uint64_t digest = state.digest();
    WildcardState again(3);
    ASSERT(again.load(store).ok() && again.digest() == digest, "the same records, the same state");
}

void run_record(RecordReader& in) {
    storage::MemoryStateStore store;
    storage::StateBatch batch;
    const Status scanned = sound().scan("", "", [&batch](std::string_view key, auto value) {
        batch.put(key, value);
        return true;
    });
    ASSERT(scanned.ok(), "a sound store");
    const uint8_t choice = in.u8();
    const std::string key = choice < 128 ? std::string(in.raw(choice % 64)) : sound_key(choice);
    batch.put(key.empty() ? std::string_view("\x01") : key, in.rest());
    ASSERT(store.write(batch).ok(), "a store in memory");
    load_wildcards(store);
    ShardState state(identity(), options());
    if (!state.load(store).ok()) return;
    read_everything(state);
    std::string command;
    CommandHeader header;
    header.lane.lane_class = LaneClass::Leader;
    encode_command(command, header, Tick{});
    apply(state, store, 1U << 30U, command);
    command.clear();
    encode_command(command, header, NodeDown{make_incarnation(NodeId(1), 1)});
    apply(state, store, 1U << 30U, command);
    read_everything(state);
}

void run_meta(RecordReader& in) {
    storage::MemoryStateStore store;
    storage::StateBatch batch;
    // The record of the cluster, of a node or of a group, and perhaps a second one.
    for (int i = 0; i < 2; ++i) {
        StateKey key(Family::Meta);
        const uint8_t kind = in.u8() % 3;
        if (kind > 0) key.u8(kind).u32(in.u8());
        const std::size_t bytes = in.u8();
        batch.put(key.view(), in.raw(std::min(bytes, in.rest().size())));
    }
    ASSERT(store.write(batch).ok(), "a store in memory");
    MetaState meta;
    meta.load(store).ignore_because("any bytes are allowed");
    batch.clear();
    (void)meta.apply(in.rest(), batch);
    (void)meta.digest();
    MetaState commanded;
    (void)commanded.apply(in.rest(), batch);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
    RecordReader in({reinterpret_cast<const char*>(data), size});
    const uint8_t choice = in.u8();
    switch (choice % 4) {
        case 0:
            run_commands(in);
            break;
        case 1:
            run_record(in);
            break;
        case 2:
            run_plausible(in);
            break;
        default:
            if (choice % 8 == 3) {
                run_damaged(in);
            } else {
                run_meta(in);
            }
            break;
    }
    return 0;
}
