// A group that starts from a disk whose every record has a right checksum and any content: it comes
// up and works, or says that it is not sound. Whatever was written, no assertion fails.
//
// The input is a program: meta record, hard state, entries, the applied record and one record of
// the machine, in the order of `read_disk`. Oracle beyond "no crash": a sound group takes a command
// and, when it leads, applies it; a group that was started twice stands where it stood.
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include "cluster/group/group_runner.h"
#include "proto/base/assert.h"
#include "proto/base/bytes.h"
#include "storage/keys.h"
#include "storage/memory_stores.h"
#include "tests/sim/toy_machine.h"

namespace {

using namespace quorate;           // NOLINT: a program of one file
using namespace quorate::cluster;  // NOLINT

constexpr GroupId kGroup(16);
constexpr int kTurnsMax = 100;

class FixedClock final : public Clock {
  public:
    [[nodiscard]] std::chrono::nanoseconds now() const override { return std::chrono::seconds(1); }
    [[nodiscard]] std::chrono::milliseconds wall() const override { return {}; }
};

class Sink final : public storage::LogSink {
  public:
    explicit Sink(storage::LogStore& store) : store_(store) {}
    void submit(storage::LogRequest request) override { waiting_.push_back(std::move(request)); }
    bool write_one() {
        if (waiting_.empty()) return false;
        storage::LogRequest request = std::move(waiting_.front());
        waiting_.pop_front();
        ASSERT(store_.write({&request.batch, 1}, storage::Durability::Synced).ok(), "in memory");
        request.done();
        return true;
    }

  private:
    storage::LogStore& store_;
    std::deque<storage::LogRequest> waiting_;
};

// Small numbers in one byte, any in nine.
uint64_t number(RecordReader& in) {
    const uint8_t first = in.u8();
    return first == 255 ? in.u64() : first;
}

struct Disk {
    storage::MemoryLogStore log;
    storage::MemoryStateStore state;
};

void read_entries(RecordReader& in, EntryId last, storage::LogBatch& batch) {
    for (unsigned count = in.u8() % 8; count > 0; --count) {
        if (last.index.value() == UINT64_MAX) return;
        last.index = last.index.next();
        const uint64_t term = number(in);
        if (term > last.term.value()) last.term = Term(term);
        const uint8_t kind = in.u8();
        const std::string_view data = in.raw(in.u8() % 64);
        batch.append(kGroup, last, kind, SharedBytes(as_bytes(data)));
    }
}

void read_disk(RecordReader& in, Disk& disk) {
    storage::GroupMeta meta;
    meta.generation = Generation(static_cast<uint32_t>(number(in)));
    meta.replica = ReplicaId(number(in));
    meta.base = EntryId{LogIndex(number(in)), Term(number(in))};
    const std::string_view configuration = in.raw(in.u8() % 32);
    meta.configuration = configuration.empty() ? raft::encode(raft::Configuration{{meta.replica}})
                                               : std::string(configuration);
    storage::HardState hard;
    hard.term = Term(number(in));
    hard.voted_for = ReplicaId(number(in));
    hard.commit = LogIndex(number(in));
    storage::LogBatch batch;
    batch.meta(kGroup, meta);
    batch.hard_state(kGroup, hard);
    read_entries(in, meta.base, batch);
    ASSERT(disk.log.write({&batch, 1}, storage::Durability::Synced).ok(), "a log in memory");

    storage::StateBatch state;
    state.set_prefix(storage::state_prefix(kGroup, meta.generation));
    std::string applied;
    storage::append_key_u8(applied, storage::kGroupFamily);
    applied.push_back('A');
    if (in.u8() % 2 == 0) {
        state.put_with(applied, [&in](RecordWriter& out) {
            out.u64(number(in));
            out.u64(number(in));
            out.u64(number(in));
        });
    } else {
        state.put(applied, in.raw(in.u8() % 32));
    }
    const std::string_view key = in.raw(in.u8() % 8);
    if (!key.empty()) state.put(key, in.rest());
    ASSERT(disk.state.write(state).ok(), "a state in memory");
}

struct Standing {
    GroupHealth health = GroupHealth::Sound;
    LogIndex applied;
    uint64_t digest = 0;
};

Standing start(Disk& disk, bool propose) {
    const FixedClock clock;
    Sink sink(disk.log);
    sim::ToyMachine machine;
    GroupOptions options;
    options.id = kGroup;
    std::unique_ptr<GroupRunner> runner;
    GroupRunnerOptions runner_options;
    runner_options.post_log_done = [&runner] { runner->log_done(); };
    runner = std::make_unique<GroupRunner>(
        GroupContext{disk.log, disk.state, clock, nullptr, nullptr}, sink, runner_options);
    const Result<Group*> added = runner->add(options, machine);
    ASSERT(added.ok(), "damage makes a group that is not sound, it does not end the start");
    Group& group = **added;
    const auto settle = [&] {
        for (int i = 0; i < kTurnsMax; ++i) {
            const bool turned = runner->turn();
            if (!sink.write_one() && !turned) return;
        }
    };
    settle();
    if (propose && group.health() == GroupHealth::Sound && group.leading()) {
        const LogIndex before = group.applied();
        ASSERT(group.propose(sim::ToyMachine::command(1, 1, "x")).ok(), "a leader takes commands");
        settle();
        ASSERT(group.applied() > before || group.health() != GroupHealth::Sound, "and applies");
    }
    return {group.health(), group.applied(), machine.digest()};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
    RecordReader in({reinterpret_cast<const char*>(data), size});
    Disk disk;
    read_disk(in, disk);
    const Standing first = start(disk, true);
    if (first.health != GroupHealth::Sound) return 0;
    const Standing second = start(disk, false);
    ASSERT(second.health == GroupHealth::Sound, "what worked once works again");
    ASSERT(second.applied >= first.applied, "nothing applied is forgotten");
    return 0;
}
