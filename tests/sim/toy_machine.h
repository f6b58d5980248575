// The smallest StateMachine with something to lose: writers number their commands, the machine
// keeps per writer the highest number and a hash of all that came.
//
// A command is [writer u32][number u64][payload]. Out of order ones are ignored and counted, as a
// lane would refuse them. *Thread*: the group's. *Owner*: the test.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "cluster/group/state_machine.h"
#include "proto/base/bytes.h"
#include "proto/base/hash.h"
#include "storage/keys.h"

namespace quorate::sim {

class ToyMachine final : public cluster::StateMachine {
  public:
    struct Writer {
        uint64_t number = 0;
        uint64_t hash = 0;
        bool operator==(const Writer&) const = default;
    };

    static std::string command(uint32_t writer, uint64_t number, std::string_view payload) {
        std::string out;
        RecordWriter record(out);
        record.u32(writer);
        record.u64(number);
        record.raw(payload);
        return out;
    }

    [[nodiscard]] Status load(storage::StateStore& store, LogIndex applied,
                              ClusterTime time) override {
        writers_.clear();
        applied_ = applied;
        time_ = time;
        bool readable = true;
        const Status scanned =
            store.scan(key(0), key(UINT32_MAX), [&](std::string_view at, std::string_view value) {
                storage::KeyReader name(at);
                name.u8();
                const uint32_t writer = name.u32();
                RecordReader record(value);
                writers_[writer] = Writer{record.u64(), record.u64()};
                readable = readable && record.finished();
                return true;
            });
        if (!scanned) return scanned;
        if (!readable) return Error{ErrorCode::Corrupt, "a writer's record"};
        return {};
    }

    [[nodiscard]] Status apply(const cluster::CommandEntry& entry,
                               storage::StateBatch& batch) override {
        cluster::CommandReader commands = entry.commands;
        time_ = entry.time;
        while (const auto command = commands.next()) {
            RecordReader record(*command);
            const uint32_t name = record.u32();
            const uint64_t number = record.u64();
            if (record.failed()) return Error{ErrorCode::Corrupt, "a command"};
            Writer& writer = writers_[name];
            if (number != writer.number + 1) {
                ++refused_;
                continue;
            }
            writer = Writer{number, hash64(record.rest(), writer.hash)};
            batch.put_with(key(name), [&](RecordWriter& out) {
                out.u64(writer.number);
                out.u64(writer.hash);
            });
        }
        return commands.finished() ? Status() : Error{ErrorCode::Corrupt, "an entry"};
    }

    void applied(LogIndex index) override {
        applied_ = index;
        if (on_applied) on_applied();
    }
    void on_leader(Term /*term*/) override {
        leading_ = true;
        if (on_applied) on_applied();
    }
    void on_follower(Term /*term*/) override { leading_ = false; }
    void unloaded() override { ++unloads_; }

    // A mistake: from now on it does not know this writer, and refuses what others take.
    void forget(uint32_t writer) { writers_.erase(writer); }

    // What everything applied so far comes to.
    [[nodiscard]] uint64_t digest() const {
        uint64_t digest = 0;
        for (const auto& [name, writer] : writers_) {
            std::string bytes;
            RecordWriter record(bytes);
            record.u32(name);
            record.u64(writer.number);
            record.u64(writer.hash);
            digest = hash64(bytes, digest);
        }
        return digest;
    }
    [[nodiscard]] uint64_t number(uint32_t writer) const {
        const auto found = writers_.find(writer);
        return found == writers_.end() ? 0 : found->second.number;
    }
    [[nodiscard]] LogIndex applied_index() const { return applied_; }
    [[nodiscard]] ClusterTime time() const { return time_; }
    [[nodiscard]] bool leading() const { return leading_; }
    [[nodiscard]] uint64_t refused() const { return refused_; }
    [[nodiscard]] int unloads() const { return unloads_; }

    std::function<void()> on_applied;

  private:
    static std::string key(uint32_t writer) {
        std::string key;
        storage::append_key_u8(key, 1);
        storage::append_key_u32(key, writer);
        return key;
    }

    std::map<uint32_t, Writer> writers_;
    LogIndex applied_;
    ClusterTime time_;
    bool leading_ = false;
    uint64_t refused_ = 0;
    int unloads_ = 0;
};

}  // namespace quorate::sim
