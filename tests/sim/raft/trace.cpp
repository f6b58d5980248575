#include "tests/sim/raft/trace.h"

#include <variant>

#include <fmt/format.h>

namespace quorate::sim {
namespace {

struct BodyNames {
    std::string operator()(const raft::RequestVote& body) const {
        return fmt::format("{} last {}/{}", body.pre ? "PreVote" : "RequestVote",
                           body.last.index.value(), body.last.term.value());
    }
    std::string operator()(const raft::RequestVoteReply& body) const {
        return fmt::format("{} {}", body.pre ? "PreVoteReply" : "RequestVoteReply",
                           body.granted ? "granted" : "refused");
    }
    std::string operator()(const raft::AppendEntries& body) const {
        return fmt::format("AppendEntries after {}/{}, {} entries, commit {}",
                           body.previous.index.value(), body.previous.term.value(),
                           body.entries.size(), body.commit.value());
    }
    std::string operator()(const raft::AppendEntriesReply& body) const {
        return fmt::format("AppendEntriesReply {} {}, hint {}/{}",
                           body.accepted ? "accepted" : "rejected", body.index.value(),
                           body.hint.index.value(), body.hint.term.value());
    }
    std::string operator()(const raft::Heartbeat& body) const {
        return fmt::format("Heartbeat commit {}, read {}{}", body.commit.value(), body.read.value(),
                           body.quiesce ? ", quiesce" : "");
    }
    std::string operator()(const raft::HeartbeatReply& body) const {
        return fmt::format("HeartbeatReply read {}", body.read.value());
    }
    std::string operator()(const raft::TimeoutNow&) const { return "TimeoutNow"; }
    std::string operator()(const raft::InstallSnapshot& body) const {
        return fmt::format("InstallSnapshot {}/{}, transfer {}, offset {}{}",
                           body.snapshot.last.index.value(), body.snapshot.last.term.value(),
                           body.transfer.value(), body.offset, body.done ? ", the last" : "");
    }
    std::string operator()(const raft::InstallSnapshotReply& body) const {
        return fmt::format("InstallSnapshotReply transfer {}, wants {}", body.transfer.value(),
                           body.offset);
    }
};

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
                              std::visit(BodyNames{}, message.body));
}

}  // namespace quorate::sim
