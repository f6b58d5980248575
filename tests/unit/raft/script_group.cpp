#include "tests/unit/raft/script_group.h"

#include <algorithm>
#include <sstream>

namespace quorate::raft::test {
namespace {

// More rounds than any script needs: one that goes on is told, not waited for.
constexpr int kRoundsMax = 500;

std::vector<std::string> words_of(const std::string& line) {
    std::istringstream in(line);
    std::vector<std::string> words;
    for (std::string word; in >> word;) {
        words.push_back(word);
    }
    return words;
}

uint64_t number(const std::string& word) {
    uint64_t out = 0;
    for (const char digit : word) {
        if (digit < '0' || digit > '9') return 0;
        out = out * 10 + static_cast<uint64_t>(digit - '0');
    }
    return out;
}

std::vector<ReplicaId> ids(const std::string& word) {
    std::vector<ReplicaId> out;
    std::istringstream in(word);
    for (std::string each; std::getline(in, each, ',');) {
        out.emplace_back(number(each));
    }
    return out;
}

template <typename Answer>
std::string answer(const Answer& answer) {
    return answer.ok() ? "" : answer.error().message;
}

}  // namespace

std::string ScriptGroup::run(const std::string& line) {
    said_.clear();
    dispatch(words_of(line));
    return std::exchange(said_, {});
}

void ScriptGroup::say(const Replica& one, const std::string& line) {
    say(std::to_string(one.id().value()) + " " + line);
}

Replica* ScriptGroup::replica(uint64_t id) {
    return id == 0 || id > replicas_.size() ? nullptr : replicas_[id - 1].get();
}

void ScriptGroup::dispatch(const Words& words) {
    std::optional<Link> link;
    if (words.size() > 1 && words[1].find("->") != std::string::npos) {
        const std::size_t arrow = words[1].find("->");
        link = Link(number(words[1].substr(0, arrow)), number(words[1].substr(arrow + 2)));
    }
    if (words[0] == "deliver") {
        deliver(link);
    } else if (words[0] == "drop") {
        drop(link);
    } else if (words[0] == "block" && link) {
        blocked_.insert(*link);
    } else {
        command(words[0], words);
    }
}

void ScriptGroup::command(const std::string& name, const Words& words) {
    if (name == "add-nodes") {
        for (uint64_t id = 1; id <= number(words.at(1)); ++id) {
            first_.voters.emplace_back(id);
        }
        for (const ReplicaId id : first_.voters) {
            add(id.value());
        }
    } else if (name == "add-newcomer") {
        add(replicas_.size() + 1);
    } else if (name == "set") {
        set(words);
    } else if (name == "heal") {
        blocked_.clear();
    } else if (name == "stabilize") {
        const bool quietly = words.back() == "quietly";
        std::vector<uint64_t> only;
        for (std::size_t i = 1; i < words.size(); ++i) {
            if (words[i] != "quietly") only.push_back(number(words[i]));
        }
        stabilize(only);
        if (quietly) said_.clear();
    } else if (name == "status") {
        status();
    } else if (Replica* one = words.size() > 1 ? replica(number(words[1])) : nullptr) {
        at_node(name, words, *one);
    } else {
        say("not a command: " + name);
    }
}

void ScriptGroup::at_node(const std::string& name, const Words& words, Replica& one) {
    RaftNode& node = one.node();
    const auto word = [&words](std::size_t at) { return at < words.size() ? words[at] : ""; };
    std::string refused;
    if (name == "campaign") {
        node.campaign();
    } else if (name == "tick") {
        one.wait(static_cast<uint32_t>(std::max<uint64_t>(number(word(2)), 1)));
    } else if (name == "wake") {
        node.wake();
    } else if (name == "priority") {
        node.set_priority(static_cast<uint32_t>(number(word(2))));
    } else if (name == "propose") {
        refused = answer(node.propose(SharedBytes(as_bytes(word(2)))));
    } else if (name == "read-index") {
        const Result<ReadId> read = node.read_index();
        if (read) say(one, "asks as read " + std::to_string(read->value()));
        refused = answer(read);
    } else if (name == "transfer-leader") {
        refused = answer(node.transfer(ReplicaId(number(word(2)))));
    } else if (name == "change") {
        refused = answer(node.change(
            Configuration{ids(word(2)), {}, word(3) == "learners" ? ids(word(4)) : ids("")}));
    } else if (name == "known") {
        node.set_known(ids(word(2)));
    } else if (name == "ready") {
        ready(one, true);
    } else if (name == "write") {
        write(one);
    } else if (name == "restart") {
        one.restart(one.id().value());
        seen_[one.id().value() - 1].applied = one.applied().size();
        say(one, "starts again");
    } else if (name == "cut") {
        one.cut(LogIndex(number(word(2))));
    } else if (name == "log") {
        log(one);
    } else {
        say("not a command: " + name);
    }
    if (!refused.empty()) say(one, "refuses: " + refused);
    if (name != "ready") touched_.insert(one.id());
    changed(one);
}

void ScriptGroup::add(uint64_t id) {
    replicas_.push_back(std::make_unique<Replica>(ReplicaId(id), first_, id));
    seen_.emplace_back();
    replicas_.back()->options.quiesce_rounds = options_.quiesce_rounds;
    replicas_.back()->options.hold_log_rounds = options_.hold_log_rounds;
    replicas_.back()->options.hand_over_rounds = options_.hand_over_rounds;
    replicas_.back()->restart(id);
    seen_.back().configuration = first_;
}

// For what is added afterwards.
void ScriptGroup::set(const Words& words) {
    const auto value = static_cast<uint32_t>(number(words.back()));
    if (words.at(1) == "quiesce-rounds") {
        options_.quiesce_rounds = value;
    } else if (words[1] == "hold-log-rounds") {
        options_.hold_log_rounds = value;
    } else if (words[1] == "hand-over-rounds") {
        options_.hand_over_rounds = value;
    } else {
        say("not an option: " + words[1]);
    }
}

void ScriptGroup::post(std::vector<Message>& messages) {
    for (Message& message : messages) {
        const bool lost = blocked_.contains(Link(message.from.value(), message.to.value()));
        say("  " + describe(message) + (lost ? " (lost)" : ""));
        if (!lost) network_.push_back(std::move(message));
    }
    messages.clear();
}

// What a replica wants done.
void ScriptGroup::ready(Replica& one, bool asked) {
    const std::size_t writes = one.writes().size();
    const std::string before = std::exchange(said_, {});
    std::vector<Message> out;
    touched_.erase(one.id());
    one.take(out);
    post(out);
    Seen& seen = seen_[one.id().value() - 1];
    seen.applied = std::min(seen.applied, one.applied().size());
    for (; seen.applied < one.applied().size(); ++seen.applied) {
        say("  applies " + describe(one.applied()[seen.applied]));
    }
    for (; seen.reads < one.reads().size(); ++seen.reads) {
        const ReadState& read = one.reads()[seen.reads];
        say("  read " + std::to_string(read.id.value()) + " confirmed at " +
            std::to_string(read.index.value()));
    }
    for (; seen.reads_failed < one.reads_failed().size(); ++seen.reads_failed) {
        say("  read " + std::to_string(one.reads_failed()[seen.reads_failed].value()) + " failed");
    }
    if (one.writes().size() > writes) say(describe(one.writes().back()));
    const std::string did = std::exchange(said_, before);
    if (asked || !did.empty()) say(one, "ready");
    said_ += did;
}

void ScriptGroup::write(Replica& one) {
    if (!one.has_write()) {
        say(one, "has nothing to write");
        return;
    }
    say(one, "write " + std::to_string(one.writes().front().number.value()) + " is durable");
    std::vector<Message> out;
    one.write_one(out);
    touched_.insert(one.id());
    post(out);
}

// Says what a replica has become.
void ScriptGroup::changed(Replica& one) {
    const RaftNode& node = one.node();
    Seen& seen = seen_[one.id().value() - 1];
    if (seen.role != node.role() || seen.term != node.term() || seen.leader != node.leader()) {
        std::string line = "is " + std::string(to_string(node.role())) + " in term " +
                           std::to_string(node.term().value());
        if (node.leader().value() != 0 && node.leader() != one.id()) {
            line += ", led by " + std::to_string(node.leader().value());
        }
        say(one, line);
    }
    if (seen.quiescent != node.quiescent()) say(one, node.quiescent() ? "sleeps" : "wakes");
    if (seen.configuration != node.configuration()) {
        say(one, "goes by " + describe(node.configuration()));
    }
    if (seen.base != node.log().base()) say(one, "log begins after " + describe(node.log().base()));
    seen.role = node.role();
    seen.term = node.term();
    seen.leader = node.leader();
    seen.quiescent = node.quiescent();
    seen.configuration = node.configuration();
    seen.base = node.log().base();
}

// Only what is under way when it begins.
void ScriptGroup::deliver(std::optional<Link> link) {
    for (std::size_t left = network_.size(); left > 0; --left) {
        Message message = std::move(network_.front());
        network_.pop_front();
        if (link && Link(message.from.value(), message.to.value()) != *link) {
            network_.push_back(std::move(message));
            continue;
        }
        Replica* to = replica(message.to.value());
        if (to == nullptr) continue;
        say(*to, "hears " + describe(message));
        to->node().step(message);
        touched_.insert(to->id());
        changed(*to);
    }
}

void ScriptGroup::drop(std::optional<Link> link) {
    std::erase_if(network_, [&](const Message& message) {
        const bool dropped = !link || Link(message.from.value(), message.to.value()) == *link;
        if (dropped) say("lost: " + describe(message));
        return dropped;
    });
}

// Each round everybody, in order, takes what it wants done and completes its writes; then all that
// is under way between them arrives.
void ScriptGroup::stabilize(const std::vector<uint64_t>& only) {
    const auto takes_part = [&only](uint64_t id) {
        return only.empty() || std::find(only.begin(), only.end(), id) != only.end();
    };
    for (int round = 0; round < kRoundsMax; ++round) {
        bool busy = false;
        for (const auto& one : replicas_) {
            if (!takes_part(one->id().value())) continue;
            for (; one->node().has_ready() || touched_.contains(one->id()); busy = true) {
                ready(*one, false);
                changed(*one);
            }
            for (; one->has_write(); busy = true) {
                write(*one);
                changed(*one);
            }
        }
        std::set<Link> links;
        for (const Message& message : network_) {
            const Link link(message.from.value(), message.to.value());
            if (takes_part(link.first) && takes_part(link.second)) links.insert(link);
        }
        for (const Link& link : links) {
            deliver(link);
        }
        if (!busy && links.empty()) return;
    }
    say("no end of it");
}

void ScriptGroup::status() {
    for (const auto& one : replicas_) {
        const RaftNode& node = one->node();
        const RaftLog& log = node.log();
        say(*one, std::string(to_string(node.role())) + " term " +
                      std::to_string(node.term().value()) + " last " + describe(log.last()) +
                      " stable " + std::to_string(log.stable().value()) + " committed " +
                      std::to_string(log.committed().value()) + " applied " +
                      std::to_string(log.applied().value()) + " " + describe(node.configuration()));
    }
}

void ScriptGroup::log(Replica& one) {
    const RaftLog& log = one.node().log();
    for (LogIndex index = log.base().index.next(); index <= log.last().index; ++index) {
        const Result<std::vector<Entry>> entry = log.slice(index, index, 1);
        say((index <= log.stable() ? "* " : "  ") + describe(entry->front()));
    }
}

}  // namespace quorate::raft::test
