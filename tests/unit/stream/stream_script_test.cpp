// Scenes of publish streams: a loop's end, and the owners that it meets.
//
// Words of the loop: add CONNECTION MESSAGE [silent] [deadline=MS] | qos0 MESSAGE | begin TERM
// | broken | refused ATTEMPT | answered ATTEMPT N [code=N] | expire MS | gone CONNECTION
// | send (what is due goes onto the wire) | window ITEMS BYTES (a new stream) | unanswered
// Of the owner: owner leads TERM | owner follows | owner ready | owner busy | deliver (all that is
// on the wire) | lose (it) | keep (it, for later) | late (delivers what was kept)
#include "cluster/stream/publish_stream.h"
#include "cluster/stream/stream_acceptor.h"
#include "tests/unit/scene.h"

namespace quorate::cluster {
namespace {

using testing::SceneLine;

const StreamName kLoop{make_incarnation(NodeId(1), 1), LoopId(0)};

std::string text(Acceptance acceptance) {
    switch (acceptance) {
        case Acceptance::Accept:
            return "accepted";
        case Acceptance::Refuse:
            return "refused";
        case Acceptance::Ignore:
            return "ignored";
    }
    return "";
}

class StreamScenes {
  public:
    std::string run(const SceneLine& line) {
        const std::string& verb = line.at(0);
        if (verb == "add") return add(line);
        if (verb == "qos0") {
            return stream_.add_qos0(SharedBytes(as_bytes(line.at(1)))) ? "" : "dropped\n";
        }
        if (verb == "begin") stream_.begin(Term(line.number(1)));
        if (verb == "broken") stream_.broken();
        if (verb == "refused") {
            return stream_.refused(static_cast<uint32_t>(line.number(1))) ? "begin again\n"
                                                                          : "known\n";
        }
        if (verb == "answered") {
            stream_.answered(static_cast<uint32_t>(line.number(1)), line.number(2),
                             static_cast<mqtt::ReasonCode>(line.number("code", 0)), 1);
            return settled();
        }
        if (verb == "expire") {
            stream_.expire(std::chrono::milliseconds(line.number(1)));
            return settled();
        }
        if (verb == "gone") stream_.connection_gone(line.number(1));
        if (verb == "send") return send();
        if (verb == "unanswered") return std::to_string(stream_.unanswered()) + "\n";
        if (verb == "window") {
            stream_ = PublishStream({static_cast<uint32_t>(line.number(1)), line.number(2)});
        }
        if (verb == "owner") owner(line);
        if (verb == "deliver") return deliver(std::exchange(wire_, {}));
        if (verb == "lose") wire_ = {};
        if (verb == "keep") kept_ = std::exchange(wire_, {});
        if (verb == "late") return deliver(kept_);
        return "";
    }

  private:
    std::string add(const SceneLine& line) {
        PublishStream::Publish publish;
        publish.connection = line.number(1);
        publish.ticket = ++ticket_;
        publish.silent = line.has("silent");
        publish.deadline = std::chrono::milliseconds(line.number("deadline", 10'000));
        publish.message = SharedBytes(as_bytes(line.at(2)));
        const auto number = stream_.add(std::move(publish));
        return number ? "n=" + std::to_string(*number) + "\n" : "full\n";
    }
    std::string settled() {
        std::string out;
        for (const PublishStream::Settled& each : stream_.take_settled()) {
            out += "ticket " + std::to_string(each.ticket) + " of " +
                   std::to_string(each.connection) +
                   (each.timed_out ? " timed out"
                                   : " code " + std::to_string(static_cast<int>(each.code))) +
                   "\n";
        }
        return out;
    }
    static std::string text_of(const StreamItem& item) {
        return std::string(item.message.text()) + " n=" + std::to_string(item.number) +
               " prev=" + std::to_string(item.prev) + " done=" + std::to_string(item.done);
    }
    std::string send() {
        const PublishStream::Output out = stream_.take();
        std::string lines;
        if (out.begin) {
            wire_.begins.push_back({wire_.items.size(), *out.begin});
            lines += "begin " + std::to_string(out.begin->attempt) +
                     " term=" + std::to_string(out.begin->term.value()) +
                     " first=" + std::to_string(out.begin->first) + "\n";
        }
        for (const StreamItem& item : out.items) {
            wire_.items.push_back(item);
            lines += text_of(item) + "\n";
        }
        return lines;
    }
    void owner(const SceneLine& line) {
        if (line.at(1) == "leads") acceptor_.lead(Term(line.number(2)));
        if (line.at(1) == "follows") acceptor_.follow();
        if (line.at(1) == "ready") ready_ = true;
        if (line.at(1) == "busy") ready_ = false;
    }

    // In the order of sending: a Begin stands before the item with its position.
    struct Wire {
        std::vector<std::pair<std::size_t, StreamBegin>> begins;
        std::vector<StreamItem> items;
    };
    std::string deliver(const Wire& wire) {
        std::string lines;
        std::size_t next = 0;
        for (std::size_t i = 0; i <= wire.items.size(); ++i) {
            while (next < wire.begins.size() && wire.begins[next].first == i) {
                const StreamBegin& begin = wire.begins[next++].second;
                lines += "begin " + std::to_string(begin.attempt) + " " +
                         text(acceptor_.begin(kLoop, begin, ready_)) + "\n";
            }
            if (i == wire.items.size()) break;
            const StreamItem& item = wire.items[i];
            lines += std::string(item.message.text()) + " " +
                     text(acceptor_.item(kLoop, item, ready_)) + "\n";
        }
        return lines;
    }

    PublishStream stream_;
    StreamAcceptor acceptor_;
    bool ready_ = true;
    Wire wire_;
    Wire kept_;
    uint64_t ticket_ = 0;
};

void run(const char* name) {
    StreamScenes scenes;
    testing::run_scenes(std::string(STREAM_SCRIPTS) + "/" + name + ".txt",
                        [&](const SceneLine& line) { return scenes.run(line); });
}

TEST_CASE("What one owner refused no later item overtakes", "[R-2][G5]") {
    run("refused");
}
TEST_CASE("A new owner gets everything unanswered again, in order, and nothing else", "[R-2][G5]") {
    run("resend");
}
TEST_CASE("Answers leave in order per connection, and only those of the last attempt count",
          "[R-2][G5]") {
    run("answers");
}
TEST_CASE("QoS 0 rides between numbers once or never", "[R-2]") {
    run("qos0");
}
TEST_CASE("A connection that is gone leaves nothing that would be sent again", "[R-2][R-7]") {
    run("gone");
}

}  // namespace
}  // namespace quorate::cluster
