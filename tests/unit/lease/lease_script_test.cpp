// Scenes of table leases: one granter and the nodes 1, 2, 3 with a holder each. Times are
// milliseconds of one clock.
//
// Words: time MS | leads FIRST NODE... | follows | joins NODE | commits INDEX | shows NODE INDEX
// | asks NODE (sends a request when one is due) | begins ID | confirms ID | fails ID | answers NODE
// (delivers what is on its way to the node) | loses NODE | down NODE START | starts NODE START
// | leaves NODE | may-leave NODE | made | valid NODE | report
#include <map>
#include <memory>

#include "cluster/lease/act_gate.h"
#include "cluster/lease/table_granter.h"
#include "cluster/lease/table_holder.h"
#include "tests/unit/scene.h"

namespace quorate::cluster {
namespace {

class LeaseScenes {
  public:
    std::string run(const testing::SceneLine& line) {
        const std::string& verb = line.at(0);
        if (verb == "time") now_ = std::chrono::milliseconds(line.number(1));
        if (verb == "leads") lead(line);
        if (verb == "follows") granter_.end();
        if (verb == "joins") granter_.add_member(node(line), now_);
        if (verb == "commits") granter_.committed(LogIndex(line.number(1)), now_);
        if (verb == "shows") holder(line).shown(LogIndex(line.number(2)));
        if (verb == "begins") granter_.round_begun(line.number(1));
        if (verb == "fails") granter_.round_failed(line.number(1));
        if (verb == "leaves") granter_.leave(node(line));
        if (verb == "down") granter_.down(start(line));
        if (verb == "starts") starts_[node(line)] = start(line), holders_.erase(node(line));
        if (verb == "loses") on_the_way_.erase(node(line));
        if (verb == "asks") return asks(line);
        if (verb == "confirms") return confirms(line);
        if (verb == "answers") return answers(line);
        if (verb == "may-leave") return yes(granter_.may_leave(node(line), now_));
        if (verb == "valid") return yes(holder(line).valid(now_));
        if (verb == "made") return std::to_string(granter_.made(now_).value()) + "\n";
        if (verb == "wants-round") return yes(granter_.wants_round());
        if (verb == "report") return report();
        return "";
    }

  private:
    static NodeId node(const testing::SceneLine& line) {
        return NodeId(static_cast<uint32_t>(line.number(1)));
    }
    static Incarnation start(const testing::SceneLine& line) {
        return make_incarnation(node(line), static_cast<uint32_t>(line.number(2)));
    }
    static std::string yes(bool value) { return value ? "yes\n" : "no\n"; }

    TableHolder& holder(const testing::SceneLine& line) {
        auto& found = holders_[node(line)];
        const auto known = starts_.find(node(line));
        const Incarnation self =
            known == starts_.end() ? make_incarnation(node(line), 1) : known->second;
        if (!found) found = std::make_unique<TableHolder>(self);
        return *found;
    }
    void lead(const testing::SceneLine& line) {
        std::vector<NodeId> members;
        for (std::size_t i = 2; i < line.size(); ++i)
            members.emplace_back(static_cast<uint32_t>(line.number(i)));
        granter_.begin(LogIndex(line.number(1)), members, now_);
    }
    std::string asks(const testing::SceneLine& line) {
        const auto request = holder(line).request(now_);
        if (!request) return "nothing to ask\n";
        std::vector<LeaseAnswer> out;
        granter_.request(*request, now_, out);
        for (const LeaseAnswer& answer : out)
            on_the_way_[node_of(answer.holder)].push_back(answer);
        return "#" + std::to_string(request->id) + " shows " +
               std::to_string(request->shown.value()) + "\n";
    }
    std::string confirms(const testing::SceneLine& line) {
        std::vector<LeaseAnswer> out;
        granter_.round_confirmed(line.number(1), now_, out);
        std::string text;
        for (const LeaseAnswer& answer : out) {
            on_the_way_[node_of(answer.holder)].push_back(answer);
            text += std::to_string(node_of(answer.holder).value()) + " #" +
                    std::to_string(answer.id) +
                    (answer.verdict == LeaseVerdict::Granted ? " granted\n" : " suspended\n");
        }
        return text;
    }
    std::string answers(const testing::SceneLine& line) {
        for (const LeaseAnswer& answer : on_the_way_[node(line)])
            holder(line).answer(answer, now_);
        on_the_way_.erase(node(line));
        TableHolder& at = holder(line);
        if (at.fenced()) return "fenced\n";
        return at.suspended() ? "suspended\n" : "";
    }
    std::string report() {
        std::string text;
        for (const TableGranter::Report& each : granter_.report(now_)) {
            text += std::to_string(each.node.value()) + " shows " +
                    std::to_string(each.shown.value()) + (each.holds ? " holds" : "") +
                    (each.suspended ? " suspended" : "") + (each.silent ? " silent" : "") + "\n";
        }
        return text;
    }

    BootTime now_{0};
    TableGranter granter_;
    std::map<NodeId, Incarnation> starts_;
    std::map<NodeId, std::unique_ptr<TableHolder>> holders_;
    std::map<NodeId, std::vector<LeaseAnswer>> on_the_way_;
};

void run(const char* name) {
    LeaseScenes scenes;
    testing::run_scenes(std::string(LEASE_SCRIPTS) + "/" + name + ".txt",
                        [&](const testing::SceneLine& line) { return scenes.run(line); });
}

TEST_CASE("A lease needs a quorum round begun after the request, and counts from its stamp",
          "[R-10]") {
    run("grant");
}
TEST_CASE("An entry is made when every holder shows it or can hold a lease no more", "[R-10]") {
    run("made");
}
TEST_CASE("A new leader counts the leases it does not know", "[R-10]") {
    run("new_leader");
}
TEST_CASE("Who lags is suspended, who is silent is reported, and neither blocks for long",
          "[R-10]") {
    run("laggard");
}
TEST_CASE("A node leaves when its last lease has run out; an ended incarnation gets none",
          "[R-10][R-0]") {
    run("leave");
}

TEST_CASE("Nothing acts on a table that was loaded before the bytes were read", "[R-10]") {
    const BootTime end(100);
    ActGate gate;
    CHECK_FALSE(gate.check(end, end, BootTime(1)));
    gate.loaded(7);
    CHECK(gate.check(end, end, BootTime(1)) == 7);
    gate.read();
    CHECK_FALSE(gate.check(end, end, BootTime(1)));
    gate.loaded(8);
    CHECK(gate.check(end, end, BootTime(99)) == 8);
    CHECK_FALSE(gate.check(BootTime(50), end, BootTime(50)));
    CHECK_FALSE(gate.check(end, BootTime(50), BootTime(50)));
}

TEST_CASE("An answer to a forgotten or foreign request grants nothing", "[R-10]") {
    const Incarnation self = make_incarnation(NodeId(1), 1);
    TableHolder holder(self);
    for (uint64_t i = 1; i <= 40; ++i) {
        REQUIRE(holder.request(std::chrono::seconds(i)));
    }
    const BootTime now = std::chrono::seconds(40);
    holder.answer({self, 3, LeaseVerdict::Granted}, now);
    holder.answer({self, 41, LeaseVerdict::Granted}, now);
    holder.answer({self, 0, LeaseVerdict::Granted}, now);
    holder.answer({make_incarnation(NodeId(1), 2), 40, LeaseVerdict::Granted}, now);
    CHECK_FALSE(holder.valid(now));
    holder.answer({self, 39, LeaseVerdict::Granted}, now);
    CHECK(holder.until() == std::chrono::seconds(39) + std::chrono::milliseconds(2700));
    // An older answer that comes late shortens nothing.
    holder.answer({self, 38, LeaseVerdict::Suspended}, now);
    CHECK_FALSE(holder.suspended());
    CHECK(holder.valid(now));
}

}  // namespace
}  // namespace quorate::cluster
