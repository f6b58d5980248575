#include "bench/raft/simulated_groups.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "cluster/raft/message_codec.h"
#include "proto/base/assert.h"

namespace quorate::bench {

// Nobody lags, so everything that is asked for is in memory.
class SimulatedGroup::NoReader final : public raft::LogReader {
  public:
    [[nodiscard]] Result<std::vector<raft::Entry>> read(LogIndex /*from*/, LogIndex /*to*/,
                                                        std::size_t /*bytes*/) const override {
        return Error{ErrorCode::Io, "this disk keeps nothing"};
    }
};

SimulatedGroup::SimulatedGroup(const Options& options)
    : options_(options), reader_(std::make_unique<NoReader>()) {
    raft::LogStart log;
    log.configuration.voters = {ReplicaId(1), ReplicaId(2), ReplicaId(3)};
    for (uint32_t i = 0; i < kReplicas; ++i) {
        raft::RaftOptions raft_options;
        raft_options.self = ReplicaId(i + 1);
        raft_options.quiesce_rounds = options.quiesce_rounds;
        raft_options.log_memory_bytes = options.log_memory_bytes;
        raft_options.seed = options.seed + i;
        nodes_.push_back(
            std::make_unique<raft::RaftNode>(raft_options, raft::HardState{}, log, *reader_));
    }
}

SimulatedGroup::~SimulatedGroup() = default;

void SimulatedGroup::elect() {
    nodes_.front()->campaign();
    settle();
    ASSERT(nodes_.front()->role() == raft::Role::Leader, "nobody stands against it");
}

void SimulatedGroup::propose(const SharedBytes& payload) {
    ASSERT(nodes_.front()->propose(payload).ok(), "a leader takes what is proposed");
}

// What a holder does with Ready; the disk has written before it is asked.
bool SimulatedGroup::turn(uint32_t replica) {
    raft::RaftNode& node = *nodes_[replica];
    if (!node.has_ready()) return false;
    Result<raft::Ready> ready = node.ready();
    ASSERT(ready.ok(), "nothing is read from this disk");
    std::move(ready->messages.begin(), ready->messages.end(), std::back_inserter(network_));
    if (ready->persist.value() != 0) {
        std::move(ready->messages_after.begin(), ready->messages_after.end(),
                  std::back_inserter(network_));
        node.persisted(ready->persist);
    }
    if (!ready->committed.empty()) {
        commands_[replica] += static_cast<uint64_t>(std::count_if(
            ready->committed.begin(), ready->committed.end(),
            [](const auto& entry) { return entry.kind == raft::EntryKind::Command; }));
        node.applied(ready->committed.back().id.index);
    }
    return true;
}

void SimulatedGroup::deliver(std::vector<raft::Message>& messages) {
    messages_ += messages.size();
    for (const raft::Message& message : messages) {
        const uint64_t to = message.to.value() - 1;
        if (!options_.encode) {
            nodes_[to]->step(message);
            continue;
        }
        bytes_.clear();
        raft::encode_message(bytes_, message);
        const Result<raft::Message> read = raft::decode_message(bytes_);
        ASSERT(read.ok(), "what was encoded decodes");
        nodes_[to]->step(*read);
    }
    messages.clear();
}

void SimulatedGroup::settle() {
    bool busy = true;
    while (busy) {
        busy = false;
        for (uint32_t i = 0; i < kReplicas; ++i) {
            busy = turn(i) || busy;
        }
        std::swap(network_, arriving_);
        busy = !arriving_.empty() || busy;
        deliver(arriving_);
    }
}

bool SimulatedGroup::tick() {
    bool any = false;
    for (const auto& node : nodes_) {
        if (!node->needs_ticks()) continue;
        node->tick();
        any = true;
    }
    if (any) settle();
    return any;
}

uint64_t SimulatedGroup::applied_everywhere() const {
    return *std::min_element(commands_.begin(), commands_.end());
}

bool SimulatedGroup::quiescent() const {
    return std::all_of(nodes_.begin(), nodes_.end(),
                       [](const auto& node) { return node->quiescent(); });
}

}  // namespace quorate::bench
