#include "tests/sim/message_text.h"

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

}  // namespace

std::string describe_body(const raft::MessageBody& body) {
    return std::visit(BodyNames{}, body);
}

}  // namespace quorate::sim
