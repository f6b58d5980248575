// What scripts call things.
#include "tests/unit/raft/script_group.h"

namespace quorate::raft::test {
namespace {

template <typename IdType>
std::string text(IdType id) {
    return std::to_string(id.value());
}

std::string list(const std::vector<ReplicaId>& ids) {
    std::string out;
    for (const ReplicaId id : ids) {
        out += (out.empty() ? "" : ",") + text(id);
    }
    return out;
}

struct BodyText {
    std::string operator()(const RequestVote& body) const {
        const std::string kind = body.pre ? "pre-vote?" : "vote?";
        return kind + " log ends " + describe(body.last) + (body.transfer ? " by transfer" : "");
    }
    std::string operator()(const RequestVoteReply& body) const {
        const std::string kind = body.pre ? "pre-vote " : "vote ";
        return kind + (body.granted ? "granted" : "refused");
    }
    std::string operator()(const AppendEntries& body) const {
        std::string out =
            "append after " + describe(body.previous) + " commit " + text(body.commit) + ":";
        for (const Entry& entry : body.entries) {
            out += " " + describe(entry);
        }
        return body.entries.empty() ? out + " nothing" : out;
    }
    std::string operator()(const AppendEntriesReply& body) const {
        if (body.accepted) return "accepted " + text(body.index);
        return "rejected " + text(body.index) + " hint " + describe(body.hint);
    }
    std::string operator()(const Heartbeat& body) const {
        return "heartbeat commit " + text(body.commit) +
               (body.read.value() != 0 ? " read " + text(body.read) : "") +
               (body.quiesce ? " quiesce" : "");
    }
    std::string operator()(const HeartbeatReply& body) const {
        return "heard" + (body.read.value() != 0 ? " read " + text(body.read) : std::string()) +
               (body.priority != kNormalPriority ? " priority " + std::to_string(body.priority)
                                                 : "");
    }
    std::string operator()(const TimeoutNow& /*body*/) const { return "timeout-now"; }
    std::string operator()(const InstallSnapshot& body) const {
        return "snapshot " + describe(body.snapshot.last) + " of " +
               describe(body.snapshot.configuration) + " transfer " + text(body.transfer) +
               " bytes " + std::to_string(body.offset) + "+" + std::to_string(body.data.size()) +
               (body.done ? " done" : "");
    }
    std::string operator()(const InstallSnapshotReply& body) const {
        return "transfer " + text(body.transfer) + " wants " + std::to_string(body.offset);
    }
};

}  // namespace

// Index and term.
std::string describe(EntryId id) {
    return text(id.index) + "/" + text(id.term);
}

std::string describe(const Configuration& configuration) {
    std::string out = "{" + list(configuration.voters);
    if (configuration.joint()) out += " from " + list(configuration.outgoing);
    if (!configuration.learners.empty()) out += " learners " + list(configuration.learners);
    return out + "}";
}

std::string describe(const Entry& entry) {
    switch (entry.kind) {
        case EntryKind::Empty:
            return describe(entry.id) + ":empty";
        case EntryKind::Command:
            return describe(entry.id) + ":" + std::string(entry.data.text());
        case EntryKind::Configuration:
            return describe(entry.id) + ":" +
                   describe(decode_configuration(entry.data.text()).value());
    }
    return "unknown";
}

std::string describe(const PendingWrite& write) {
    std::string line = "  write " + text(write.number) + ":";
    if (write.restored) line += " snapshot " + describe(write.restored->last);
    if (write.truncate_from) line += " truncate from " + text(*write.truncate_from);
    for (const Entry& entry : write.entries) {
        line += " " + describe(entry);
    }
    if (write.state) {
        line += " term " + text(write.state->term) + " vote " + text(write.state->voted_for) +
                " commit " + text(write.state->commit);
    }
    return line;
}

std::string describe(const Message& message) {
    return text(message.from) + "->" + text(message.to) + " term " + text(message.term) + " " +
           std::visit(BodyText{}, message.body);
}

}  // namespace quorate::raft::test
