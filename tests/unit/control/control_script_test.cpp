// Scenes of moves: what `meta` says (the words of meta_scenes.h), and what planner, reconciler and
// keeper make of it.
//
// plan SECONDS | leads GROUP NODE.NUMBER | log INDEX voters= outgoing= learners= [uncommitted]
// | caught-up 1.1,2.1 | unwilling 1.1 | leased 1,2 | flags [suspended] [transferring] | next
// | disk GROUP NODE.NUMBER INDEX [lost] | wipe GROUP | keep NODE [founded]
#include <map>

#include "cluster/control/group_keeper.h"
#include "cluster/control/group_reconciler.h"
#include "cluster/control/planner.h"
#include "tests/unit/meta/meta_scenes.h"

namespace quorate::cluster {
namespace {

using test::text;
using testing::SceneLine;

std::string print(const raft::Configuration& configuration) {
    return text("voters", configuration.voters) + text("outgoing", configuration.outgoing) +
           text("learners", configuration.learners);
}

struct PrintStep {
    std::string operator()(const NothingToDo&) const { return "nothing"; }
    std::string operator()(const ChangeConfiguration& step) const {
        return "change to" + print(step.to);
    }
    std::string operator()(const TransferLeadership& step) const {
        return "transfer to " + text(step.to);
    }
    std::string operator()(const ReportConfigured& step) const {
        return "report " + std::to_string(step.index.value()) + print(step.configuration);
    }
    std::string operator()(const StopLeases& step) const {
        std::string out = "stop leases of";
        for (const NodeId node : step.nodes)
            out += " " + std::to_string(node.value());
        return out;
    }
    std::string operator()(const CreateReplica& step) const {
        return "create " + where(step.group, step.replica) +
               (step.founding ? " founding" + print(step.configuration) : "");
    }
    std::string operator()(const DeleteReplica& step) const {
        return "delete " + where(step.group, step.replica);
    }
    std::string operator()(const RejoinReplica& step) const {
        return "rejoin " + where(step.group, step.as);
    }
    std::string operator()(const AskReplacement& step) const {
        return "ask for another id than " + where(step.group, step.replica);
    }
    static std::string where(GroupId group, ReplicaId replica) {
        return std::to_string(group.value()) + " " + text(replica);
    }
};

std::string print(const MetaCommandBody& body) {
    if (const auto* gone = std::get_if<NodeGone>(&body)) {
        return "gone " + std::to_string(gone->node.value()) + "\n";
    }
    const auto& place = std::get<PlaceGroup>(body);
    std::string out = "place " + std::to_string(place.group.value()) + " v" +
                      std::to_string(place.version) + " voters";
    for (const NodeId node : place.voters)
        out += " " + std::to_string(node.value());
    if (!place.learners.empty()) out += " learners";
    for (const NodeId node : place.learners)
        out += " " + std::to_string(node.value());
    return out + "\n";
}

class ControlScenes {
  public:
    std::string run(const SceneLine& line) {
        const std::string& verb = line.at(0);
        if (verb == "plan") return plan(line);
        if (verb == "keep") return keep_disk(line);
        if (verb == "next") return std::visit(PrintStep(), next_step(meta_.state(), view_)) + "\n";
        if (verb == "leads") {
            view_.group = group(line);
            view_.self = test::replica(line.at(2));
        } else if (verb == "log") {
            view_.configuration_index = LogIndex(line.number(1));
            view_.configuration = {test::replicas(line.text("voters")),
                                   test::replicas(line.text("outgoing")),
                                   test::replicas(line.text("learners"))};
            view_.committed = !line.has("uncommitted");
        } else if (verb == "caught-up") {
            view_.caught_up = test::replicas(line.size() > 1 ? line.at(1) : "");
        } else if (verb == "unwilling") {
            view_.unwilling = test::replicas(line.size() > 1 ? line.at(1) : "");
        } else if (verb == "leased") {
            view_.leased = test::nodes(line.size() > 1 ? line.at(1) : "");
        } else if (verb == "flags") {
            view_.suspended = line.has("suspended");
            view_.transferring = line.has("transferring");
        } else if (verb == "disk") {
            disk_[group(line)] = {group(line), test::replica(line.at(2)), !line.has("lost"),
                                  LogIndex(line.number(3))};
        } else if (verb == "wipe") {
            disk_.erase(group(line));
        } else {
            return meta_.run(line);
        }
        return "";
    }

  private:
    static GroupId group(const SceneLine& line) {
        return GroupId(static_cast<uint32_t>(line.number(1)));
    }
    std::string plan(const SceneLine& line) {
        std::string out;
        for (const auto& body : planner_.plan(meta_.state(), std::chrono::seconds(line.number(1))))
            out += print(body);
        return out.empty() ? "nothing\n" : out;
    }
    std::string keep_disk(const SceneLine& line) {
        std::vector<DiskReplica> replicas;
        for (const auto& each : disk_)
            replicas.push_back(each.second);
        std::string out;
        for (const KeeperStep& step :
             keep(meta_.state(), {test::node(line.at(1)), line.has("founded"), replicas})) {
            out += std::visit(PrintStep(), step) + "\n";
        }
        return out.empty() ? "nothing\n" : out;
    }

    test::MetaScenes meta_;
    Planner planner_;
    LedGroupView view_;
    std::map<GroupId, DiskReplica> disk_;
};

void run(const char* name) {
    ControlScenes scenes;
    testing::run_scenes(std::string(CONTROL_SCRIPTS) + "/" + name + ".txt",
                        [&](const SceneLine& line) { return scenes.run(line); });
}

TEST_CASE("A move goes on from what is, whoever leads and whatever was undone", "[R-8]") {
    run("move");
}
TEST_CASE("One replica becomes three, and three one, in one joint change each", "[R-8]") {
    run("grow");
}
TEST_CASE("A leader hands over when it drains, lags or is to be removed", "[R-8]") {
    run("hand_over");
}
TEST_CASE("A node leaves a table's group only without a lease", "[R-8][R-10]") {
    run("leases");
}
TEST_CASE("A copy is made once, deleted when nobody names it, and begun anew when it lost",
          "[R-8]") {
    run("keep");
}
TEST_CASE("The planner repairs first, moves little at a time and never lets go of a majority") {
    run("plan");
}

}  // namespace
}  // namespace quorate::cluster
