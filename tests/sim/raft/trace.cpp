#include "tests/sim/raft/trace.h"

#include <fmt/format.h>

#include "tests/sim/message_text.h"

namespace quorate::sim {
namespace {

const char* name_of(SimEventKind kind) {
    switch (kind) {
        case SimEventKind::Deliver:
            return "deliver";
        case SimEventKind::Tick:
            return "tick";
        case SimEventKind::Sync:
            return "sync";
        case SimEventKind::Turn:
            return "turn";
        case SimEventKind::Keep:
            return "keep";
        case SimEventKind::Restart:
            return "restart";
        case SimEventKind::Restore:
            return "restore";
        case SimEventKind::Resume:
            return "resume";
        case SimEventKind::Propose:
            return "propose";
        case SimEventKind::Read:
            return "read";
        case SimEventKind::Change:
            return "change";
        case SimEventKind::Transfer:
            return "transfer";
        case SimEventKind::Partition:
            return "partition";
        case SimEventKind::Heal:
            return "heal";
        case SimEventKind::Break:
            return "break";
        case SimEventKind::Pause:
            return "pause";
        case SimEventKind::Crash:
            return "crash";
        case SimEventKind::DiskLoss:
            return "disk loss";
        case SimEventKind::Corrupt:
            return "corruption";
        case SimEventKind::Fill:
            return "full disk";
        case SimEventKind::Empty:
            return "room again";
        case SimEventKind::ClockStep:
            return "clock step";
        case SimEventKind::Stranger:
            return "stranger";
    }
    return "unknown";
}

}  // namespace

std::string describe_event(const SimEvent& event, const raft::Message& message, Micros now,
                           const SimReplicas& replicas) {
    std::string line = fmt::format("{:.6f} ", static_cast<double>(now) / kSecondUs);
    if (event.kind > SimEventKind::Resume) return line + name_of(event.kind);
    const SimReplica& replica = *replicas[event.replica];
    line += fmt::format("replica {} ", event.replica + 1);
    if (replica.running()) {
        const raft::RaftNode& node = replica.node();
        const raft::RaftLog& log = node.log();
        line += fmt::format("({} of term {}, log {}..{}/{}, stable {}, committed {}) ",
                            raft::to_string(node.role()), node.term().value(),
                            log.base().index.value(), log.last().index.value(),
                            log.last().term.value(), log.stable().value(), log.committed().value());
    }
    const raft::ConfigurationEntry& change = replica.log().latest();
    line += fmt::format("voters {}", change.index.value());
    for (const ReplicaId id : change.configuration.voters) {
        line += fmt::format("+{}", id.value());
    }
    for (const ReplicaId id : change.configuration.outgoing) {
        line += fmt::format("-{}", id.value());
    }
    for (const ReplicaId id : change.configuration.learners) {
        line += fmt::format("~{}", id.value());
    }
    line += ' ';
    if (event.kind != SimEventKind::Deliver) return line + name_of(event.kind);
    return line + fmt::format("<- {} term {}: {}", message.from.value(), message.term.value(),
                              describe_body(message.body));
}

}  // namespace quorate::sim
