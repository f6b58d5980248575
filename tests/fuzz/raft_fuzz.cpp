// A group of three or five replicas with logs and disks, run by a script of bytes: ticks, writes,
// proposals, changes, crashes, a network that loses and doubles; and messages of any content that
// strangers make up, or members that lie.
//
// Oracle beyond "no crash": a stranger's message changes nothing at all, so with strangers alone
// the invariants hold that raft_cluster.h watches; a lying member may break agreement, never the
// process, and what is on a disk always starts again. Every message that a replica sends comes back
// from its bytes, and any bytes that are a message are the one form of it.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "cluster/raft/message_codec.h"
#include "proto/base/assert.h"
#include "proto/base/bytes.h"
#include "tests/unit/raft/raft_cluster.h"

namespace {

using namespace quorate;        // NOLINT: a program of one file
using namespace quorate::raft;  // NOLINT

constexpr uint64_t kStranger = 1'000;  // ids from here take part in nothing
constexpr std::size_t kScriptBytesMax = 4'096;

std::string encoded(const Message& message) {
    std::string bytes;
    encode_message(bytes, message);
    return bytes;
}

// Near a number that means something, or any.
uint64_t near(RecordReader& in, uint64_t base) {
    const uint8_t how = in.u8();
    if (how == 255) return in.u64();
    if (how == 254) return kCountMax + in.u8() - 2;
    const uint64_t moved = base + how % 8 - 3;
    return moved > base + 8 ? 0 : moved;
}

std::vector<ReplicaId> some_replicas(RecordReader& in) {
    std::vector<ReplicaId> out;
    for (unsigned bits = in.u8(), id = 1; bits != 0; bits >>= 1U, ++id) {
        if ((bits & 1U) != 0) out.emplace_back(id);
    }
    return out;
}

Configuration some_configuration(RecordReader& in) {
    Configuration out;
    out.voters = some_replicas(in);
    if (in.u8() % 4 == 0) out.outgoing = some_replicas(in);
    if (in.u8() % 4 == 0) {
        out.learners = some_replicas(in);
        std::erase_if(out.learners, [&out](ReplicaId id) {
            return std::binary_search(out.voters.begin(), out.voters.end(), id);
        });
    }
    return out;
}

class Script {
  public:
    Script(RecordReader in, uint32_t replicas, bool lies)
        : in_(in), group_(replicas, 1), lies_(lies) {}

    void run() {
        while (!in_.rest().empty()) {
            step();
            ASSERT(lies_ || group_.violation().empty(), "strangers broke an invariant");
        }
    }

  private:
    void step();
    void at_one(uint32_t number);
    void network();
    void forge();
    void damage();
    void deliver(const Message& message);
    void check_stranger(const Message& message);
    [[nodiscard]] uint32_t any() { return static_cast<uint32_t>(in_.u8() % group_.size()) + 1; }
    [[nodiscard]] EntryId some_entry_id(const RaftLog& log);
    [[nodiscard]] std::vector<Entry> some_entries(EntryId previous);
    [[nodiscard]] InstallSnapshot some_chunk(const RaftLog& log);
    [[nodiscard]] MessageBody some_body(const RaftLog& log);

    RecordReader in_;
    test::RaftCluster group_;
    const bool lies_;
    uint64_t proposals_ = 0;
};

void Script::step() {
    switch (in_.u8() % 16) {
        case 0: {
            const uint32_t number = any();
            group_.replica(number).wait(1 + in_.u8() % 16);
            group_.take(number);
            break;
        }
        case 1:
        case 2:
        case 3:
        case 4:
            network();
            break;
        case 5:
        case 6:
        case 7:
            at_one(any());
            break;
        case 8:
        case 9:
        case 10:
        case 11:
            forge();
            break;
        case 12:
        case 13:
            damage();
            break;
        case 14:
            group_.settle();
            break;
        default:
            for (unsigned ticks = 1 + in_.u8() % 16; ticks > 0; --ticks) {
                group_.tick();
            }
            break;
    }
}

void Script::at_one(uint32_t number) {
    test::Replica& one = group_.replica(number);
    RaftNode& node = one.node();
    switch (in_.u8() % 16) {
        case 0:
        case 1:
        case 2:
        case 3: {
            const std::string command = "c" + std::to_string(++proposals_);
            (void)node.propose(SharedBytes(as_bytes(command))).ok();
            break;
        }
        case 4:
            (void)node.change(some_configuration(in_)).ok();
            break;
        case 5:
            (void)node.transfer(ReplicaId(in_.u8() % 8)).ok();
            break;
        case 6:
            (void)node.read_index().ok();
            break;
        case 7:
            node.set_priority(in_.u8());
            break;
        case 8:
            node.wake();
            break;
        case 9:
            node.set_known(some_replicas(in_));
            break;
        case 10:
            if (!one.restoring() && !one.has_write()) group_.cut_somewhere(number);
            break;
        case 11:
            one.options.quiesce_rounds = in_.u8() % 3;
            one.options.hold_log_rounds = in_.u8() % 3;
            one.restart(in_.u8());
            break;
        case 12:
            if (group_.size() < 7) group_.add_newcomer();
            break;
        case 13:
            group_.isolate(number);
            break;
        case 14:
            group_.reconnect();
            break;
        default:
            node.campaign();
            break;
    }
    group_.take(number);
}

void Script::network() {
    const uint8_t how = in_.u8();
    if (how < 96) {
        group_.write_one(any());
        return;
    }
    if (group_.under_way() == 0) return;
    const std::size_t at = how < 200 ? 0 : in_.u8() % group_.under_way();
    const std::string bytes = encoded(group_.under_way(at));
    const Result<Message> read = decode_message(bytes);
    ASSERT(read.ok() && encoded(*read) == bytes, "what a replica sends is a message");
    if (how >= 250) {
        group_.lose(at);
    } else {
        group_.arrive(at, how >= 240);
    }
}

EntryId Script::some_entry_id(const RaftLog& log) {
    const uint8_t how = in_.u8();
    if (how % 4 == 0) {
        return EntryId{LogIndex(near(in_, log.last().index.value())),
                       Term(near(in_, log.last().term.value()))};
    }
    // One that the log knows, perhaps.
    const uint64_t length = log.last().index.value() - log.base().index.value() + 1;
    const LogIndex index(log.base().index.value() + in_.u8() % length);
    return EntryId{index, log.term_at(index).value_or(Term(1))};
}

std::vector<Entry> Script::some_entries(EntryId previous) {
    std::vector<Entry> out;
    for (unsigned count = in_.u8() % 6; count > 0; --count) {
        Entry entry;
        const uint8_t how = in_.u8();
        entry.id = EntryId{previous.index.next(), previous.term};
        if (how % 8 == 0) entry.id.term = Term(near(in_, previous.term.value()));
        if (how == 255) entry.id.index = LogIndex(in_.u64());
        entry.kind = static_cast<EntryKind>(how / 8 % 3);
        const bool change = entry.kind == EntryKind::Configuration && how < 200;
        entry.data = change ? SharedBytes(as_bytes(encode(some_configuration(in_))))
                            : SharedBytes(as_bytes(in_.raw(in_.u8() % 16)));
        previous = entry.id;
        out.push_back(std::move(entry));
    }
    return out;
}

// With luck a whole one, as a receiver of raft_cluster.h would believe it.
InstallSnapshot Script::some_chunk(const RaftLog& log) {
    InstallSnapshot out;
    out.snapshot.last = some_entry_id(log);
    out.snapshot.configuration = some_configuration(in_);
    out.transfer = TransferId(in_.u8() % 4);
    const uint8_t how = in_.u8();
    if (how % 2 == 0) {
        std::string state;
        RecordWriter writer(state);
        for (uint64_t i = std::min<uint64_t>(out.snapshot.last.index.value(), 64); i > 0; --i) {
            writer.id(out.snapshot.last.term);
            writer.u8(0);
            writer.text("");
        }
        out.data = SharedBytes(as_bytes(state));
        out.done = true;
        return out;
    }
    out.offset = near(in_, how % 64);
    out.data = SharedBytes(as_bytes(in_.raw(in_.u8() % 32)));
    out.done = how > 200;
    return out;
}

MessageBody Script::some_body(const RaftLog& log) {
    switch (in_.u8() % 9) {
        case 0: {
            const uint8_t flags = in_.u8();
            return RequestVote{some_entry_id(log), flags % 2 != 0, flags % 4 > 1};
        }
        case 1: {
            const uint8_t flags = in_.u8();
            return RequestVoteReply{flags % 2 != 0, flags % 4 > 1};
        }
        case 2: {
            AppendEntries append;
            append.previous = some_entry_id(log);
            append.commit = LogIndex(near(in_, log.committed().value()));
            append.entries = some_entries(append.previous);
            return append;
        }
        case 3: {
            const bool accepted = in_.u8() % 2 != 0;
            const LogIndex index(near(in_, log.last().index.value()));
            return AppendEntriesReply{accepted, index, some_entry_id(log)};
        }
        case 4: {
            const LogIndex commit(near(in_, log.last().index.value()));
            const ReadId read(near(in_, 3));
            return Heartbeat{commit, read, in_.u8() % 2 != 0};
        }
        case 5: {
            const ReadId read(near(in_, 3));
            return HeartbeatReply{read, static_cast<uint32_t>(near(in_, kNormalPriority))};
        }
        case 6:
            return TimeoutNow{};
        case 7:
            return some_chunk(log);
        default: {
            const TransferId transfer(in_.u8() % 4);
            return InstallSnapshotReply{transfer, near(in_, in_.u8())};
        }
    }
}

void Script::forge() {
    const uint32_t to = any();
    const RaftNode& node = group_.replica(to).node();
    Message message;
    message.to = ReplicaId(to);
    message.from = lies_ ? ReplicaId(in_.u8() % 8) : ReplicaId(kStranger + in_.u8());
    // To believe it a leader must be the known one; a majority must be members.
    if (lies_ && in_.u8() % 2 == 0) message.from = node.leader();
    message.term = Term(near(in_, node.term().value()));
    message.body = some_body(node.log());
    deliver(message);
}

// What is under way, with some bytes changed.
void Script::damage() {
    if (group_.under_way() == 0) return;
    std::string bytes = encoded(group_.under_way(in_.u8() % group_.under_way()));
    for (unsigned changes = in_.u8() % 4; changes > 0; --changes) {
        bytes[in_.u8() % bytes.size()] = static_cast<char>(in_.u8());
    }
    Result<Message> message = decode_message(bytes);
    if (!message) return;
    ASSERT(encoded(*message) == bytes, "a message has one form");
    if (!lies_) message->from = ReplicaId(kStranger + message->from.value() % kStranger);
    deliver(*message);
}

void Script::deliver(const Message& message) {
    if (lies_) {
        group_.inject(message);
    } else {
        check_stranger(message);
    }
}

void Script::check_stranger(const Message& message) {
    const uint64_t to = message.to.value();
    if (to == 0 || to > group_.size()) return;
    RaftNode& node = group_.replica(static_cast<uint32_t>(to)).node();
    const auto look = [&node] {
        const RaftLog& log = node.log();
        return std::tuple(node.role(), node.term(), node.leader(), node.has_ready(), log.base(),
                          log.last(), log.committed(), log.stable(), node.quiescent(),
                          node.needs_ticks(), node.transferring(), node.may_campaign(),
                          node.configurations().latest_index());
    };
    const auto before = look();
    node.step(message);
    ASSERT(look() == before, "a stranger was listened to");
}

void run_bytes(std::string_view bytes) {
    const Result<Message> message = decode_message(bytes);
    if (message) ASSERT(encoded(*message) == bytes, "a message has one form");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
    RecordReader in({reinterpret_cast<const char*>(data), std::min(size, kScriptBytesMax)});
    const uint8_t choice = in.u8();
    if (choice % 4 == 0) {
        run_bytes(in.rest());
    } else {
        Script(in, choice % 8 < 4 ? 3 : 5, choice % 4 != 1).run();
    }
    return 0;
}
