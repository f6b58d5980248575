// The words of scenes about `meta`, and what is printed of it.
//
// form REPLICATION SHARDS NAME... | join NAME ADDRESS | start NODE ADDRESS | drain NODE WHY
// | undrain NODE | decommission NODE WHY | gone NODE | forget NODE | down NODE START
// | place GROUP VERSION voters=1,2 learners=3 | replace GROUP NODE.NUMBER
// | configured GROUP INDEX voters=1.1,2.1 outgoing= learners= | nodes | group GROUP | restart
// with token=N for a token of one's own. Replicas are written NODE.NUMBER.
#pragma once

#include <sstream>

#include "tests/unit/meta/meta_harness.h"
#include "tests/unit/scene.h"

namespace quorate::cluster::test {

using testing::SceneLine;

inline std::vector<std::string> items(const std::string& list) {
    std::vector<std::string> out;
    std::istringstream in(list);
    for (std::string item; std::getline(in, item, ',');)
        out.push_back(item);
    return out;
}
inline NodeId node(const std::string& text) {
    return NodeId(static_cast<uint32_t>(std::stoul(text)));
}
inline ReplicaId replica(const std::string& text) {
    const std::size_t dot = text.find('.');
    return replica_id(node(text.substr(0, dot)),
                      static_cast<uint32_t>(std::stoul(text.substr(dot + 1))));
}
inline std::vector<NodeId> nodes(const std::string& list) {
    std::vector<NodeId> out;
    for (const std::string& item : items(list))
        out.push_back(node(item));
    return out;
}
inline std::vector<ReplicaId> replicas(const std::string& list) {
    std::vector<ReplicaId> out;
    for (const std::string& item : items(list))
        out.push_back(replica(item));
    return out;
}
inline std::string text(ReplicaId id) {
    return std::to_string(node_of(id).value()) + "." + std::to_string(number_of(id));
}
inline std::string text(const char* what, const std::vector<ReplicaId>& ids) {
    if (ids.empty()) return "";
    std::string out = std::string(" ") + what;
    for (const ReplicaId id : ids)
        out += " " + text(id);
    return out;
}

class MetaScenes {
  public:
    // Requires: one of the words above.
    std::string run(const SceneLine& line) {
        const std::string& verb = line.at(0);
        if (verb == "form") return form(line);
        if (verb == "nodes") return print_nodes();
        if (verb == "group") return print_group(line);
        if (verb == "restart") {
            const uint64_t before = meta_.state.digest();
            REQUIRE(meta_.state.load(meta_.store).ok());
            CHECK(meta_.state.digest() == before);
            return "";
        }
        const auto body = command(line);
        const uint64_t token = line.number("token", 0);
        const MetaAnswer answer = token == 0 ? meta_.ask(body) : meta_.ask(body, token);
        return print(answer);
    }

    [[nodiscard]] const MetaState& state() const { return meta_.state; }

  private:
    static GroupId group(const SceneLine& line) {
        return GroupId(static_cast<uint32_t>(line.number(1)));
    }
    std::string form(const SceneLine& line) {
        std::vector<std::string> names;
        for (std::size_t i = 3; i < line.size(); ++i)
            names.push_back(line.at(i));
        return print(meta_.ask(form_of(names, static_cast<uint32_t>(line.number(1)),
                                       static_cast<uint32_t>(line.number(2)))));
    }
    MetaCommandBody command(const SceneLine& line) {
        const std::string& verb = line.at(0);
        if (verb == "join") return JoinNode{line.at(1), line.at(2)};
        if (verb == "place") {
            return PlaceGroup{group(line), line.number(2), nodes(line.text("voters")),
                              nodes(line.text("learners"))};
        }
        if (verb == "replace") return ReplaceReplica{group(line), replica(line.at(2))};
        if (verb == "configured") {
            return Configured{group(line),
                              LogIndex(line.number(2)),
                              {replicas(line.text("voters")), replicas(line.text("outgoing")),
                               replicas(line.text("learners"))}};
        }
        const NodeId id = node(line.at(1));
        if (verb == "start") return StartNode{id, line.at(2)};
        if (verb == "drain") return DrainNode{id, line.at(2)};
        if (verb == "decommission") return DecommissionNode{id, line.at(2)};
        if (verb == "undrain") return UndrainNode{id};
        if (verb == "gone") return NodeGone{id};
        if (verb == "forget") return ForgetNode{id};
        REQUIRE(verb == "down");
        return IncarnationDown{make_incarnation(id, static_cast<uint32_t>(line.number(2)))};
    }
    static std::string print(const MetaAnswer& answer) {
        std::string out = to_string(answer.code);
        if (answer.node.value() != 0) out += ", node " + std::to_string(answer.node.value());
        if (answer.replica.value() != 0) out += ", replica " + text(answer.replica);
        if (answer.incarnation.value() != 0) {
            out += ", start " + std::to_string(static_cast<uint32_t>(answer.incarnation.value()));
        }
        return out + "\n";
    }
    std::string print_nodes() {
        std::string out;
        for (const auto& [id, each] : meta_.state.nodes()) {
            out += std::to_string(id.value()) + " " + each.name + " " + to_string(each.state) +
                   (each.up() ? " up" : " down") + (meta_.state.holds(id) ? " holds" : "") +
                   (each.note.empty() ? "" : ": " + each.note) + "\n";
        }
        return out;
    }
    std::string print_group(const SceneLine& line) {
        const MetaGroup& at = *meta_.state.group(group(line));
        return "v" + std::to_string(at.version) + text("voters", at.voters) +
               text("learners", at.learners) + " | " + std::to_string(at.configured_index.value()) +
               text("voters", at.configured.voters) + text("outgoing", at.configured.outgoing) +
               text("learners", at.configured.learners) + (at.settled() ? " | settled" : "") + "\n";
    }

    Meta meta_;
};

}  // namespace quorate::cluster::test
