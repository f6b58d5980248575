// The parts of the channel alone, each against a naive model.
#include <array>
#include <deque>
#include <map>
#include <random>
#include <set>

#include "broker/mqtt/channel.h"
#include "broker/mqtt/flow_control.h"
#include "broker/mqtt/pending_queue.h"
#include "broker/mqtt/received_ids.h"
#include "broker/mqtt/topic_alias.h"
#include "tests/unit/catch.h"

namespace quorate::broker::test {
namespace {

using mqtt::QoS;
using Slot = OutgoingWindow::Slot;

}  // namespace

TEST_CASE("ReceivedIds is a set") {
    std::mt19937 random(1);
    ReceivedIds ids;
    std::set<uint16_t> model;
    for (int i = 0; i < 200000; ++i) {
        // a narrow range now and then, so that runs of neighbours form and dissolve
        const auto range = static_cast<uint16_t>(i % 40000 < 20000 ? 300 : 65535);
        const auto id = static_cast<uint16_t>(1 + random() % range);
        if (random() % 2 == 0) {
            REQUIRE(ids.insert(PacketId(id)) == model.insert(id).second);
        } else {
            REQUIRE(ids.erase(PacketId(id)) == (model.erase(id) == 1));
        }
        REQUIRE(ids.size() == model.size());
    }
    for (uint32_t id = 0; id <= 65535; ++id) {
        const auto short_id = static_cast<uint16_t>(id);
        REQUIRE(ids.contains(PacketId(short_id)) == model.contains(short_id));
    }
}

TEST_CASE("OutgoingWindow is a window of numbers, and identifiers name one number of it") {
    std::mt19937 random(2);
    for (const uint16_t limit : std::array<uint16_t, 5>{1, 2, 7, 100, 65535}) {
        OutgoingWindow window;
        uint64_t first = 65530 + random() % 200000;
        uint64_t next = first;
        window.reset(first, limit);
        std::map<uint64_t, std::pair<Slot, uint64_t>> model;
        for (int i = 0; i < 20000; ++i) {
            if (random() % 2 == 0) {
                const uint64_t number = next + (random() % 4 == 0 ? random() % 5 : 0);
                const bool fits = model.empty() || number - model.begin()->first < limit;
                const Slot slot = random() % 8 == 0 ? Slot::Settled : Slot::AwaitPubrec;
                const uint64_t ticket = random() % 3;
                REQUIRE(window.admits(number) == fits);
                REQUIRE(window.take(number, slot, ticket) == fits);
                REQUIRE(!window.take(number, slot, ticket));
                if (fits) next = number + 1;
                if (fits && slot != Slot::Settled) model[number] = {slot, ticket};
            } else if (!model.empty()) {
                auto at = model.begin();
                std::advance(at, static_cast<long>(random() % model.size() % 20));
                const auto found = window.find(OutgoingWindow::packet_id(at->first));
                REQUIRE(found == at->first);
                REQUIRE(window.slot(at->first) == at->second.first);
                REQUIRE(window.ticket(at->first) == at->second.second);
                window.settle(at->first);
                REQUIRE(!window.find(OutgoingWindow::packet_id(at->first)));
                model.erase(at);
                if (model.empty()) window.shrink();
            }
            REQUIRE(window.in_flight() == model.size());
            REQUIRE(window.next() == next);
            if (!model.empty()) {
                REQUIRE(window.first() <= model.begin()->first);
                REQUIRE(window.open() == (next - window.first() < limit));
            }
        }
        CHECK(!window.find(PacketId(0)));
    }
}

TEST_CASE("AnswerQueue gives answers in the order of the questions") {
    std::mt19937 random(3);
    AnswerQueue queue;
    std::deque<std::pair<uint32_t, bool>> model;  // ticket, ready
    for (int i = 0; i < 100000; ++i) {
        const auto act = random() % 3;
        if (act == 0 && model.size() < 50) {
            const uint32_t expected = queue.next_ticket();
            REQUIRE(queue.push(PacketId(static_cast<uint16_t>(expected)), false) == expected);
            model.emplace_back(expected, false);
        } else if (act == 1 && !model.empty()) {
            auto& [ticket, ready] = model[random() % model.size()];
            REQUIRE(queue.answer(ticket, mqtt::ReasonCode::Success) == !ready);
            ready = true;
        } else {
            const auto answer = queue.take_ready();
            REQUIRE(answer.has_value() == (!model.empty() && model.front().second));
            if (answer) {
                REQUIRE(answer->packet_id.value() == static_cast<uint16_t>(model.front().first));
                model.pop_front();
            } else if (model.empty()) {
                queue.shrink();
            }
        }
        REQUIRE(queue.size() == model.size());
    }
    CHECK(!queue.answer(queue.next_ticket(), mqtt::ReasonCode::Success));
}

TEST_CASE("PendingQueue gives back what it was given, in order, and counts its bytes") {
    std::mt19937 random(4);
    PendingQueue queue;
    struct Expected {
        mqtt::Message message;
        uint64_t ticket;
        std::vector<uint32_t> ids;
        LoopTime at;
        std::size_t cost;
    };
    std::deque<Expected> model;
    std::size_t bytes = 0;
    for (int i = 0; i < 20000; ++i) {
        const LoopTime now(i);
        if (random() % 100 < (i % 4000 < 2000 ? 60U : 40U)) {
            Expected next;
            next.message.topic = "topic/" + std::to_string(i);
            next.message.payload = std::string(random() % (i % 50 == 0 ? 9000 : 100), 'p');
            next.message.qos = random() % 2 == 0 ? QoS::AtLeastOnce : QoS::ExactlyOnce;
            next.message.retain = random() % 2 == 0;
            if (random() % 2 == 0) next.message.message_expiry_s = static_cast<uint32_t>(random());
            next.ticket = random() % 3;
            next.ids.resize(random() % 4, 7);
            next.at = now;
            const mqtt::MessageView view = next.message.view();
            std::string flat;
            mqtt::encode_message(flat, view);
            const SharedBytes shared(as_bytes(flat));
            Offer offer;
            offer.message = &view;
            offer.qos = next.message.qos;
            offer.retain = next.message.retain;
            offer.shared_ticket = next.ticket;
            offer.subscription_ids = next.ids;
            if (random() % 2 == 0) offer.shared = &shared;
            next.cost = PendingQueue::cost(offer);
            bytes += next.cost;
            queue.push(now, offer);
            model.push_back(std::move(next));
        } else if (!model.empty()) {
            const Expected& oldest = model.front();
            PendingQueue::Entry entry;
            queue.front(entry);
            REQUIRE(entry.message.topic == oldest.message.topic);
            REQUIRE(entry.message.payload == oldest.message.payload);
            REQUIRE(entry.message.qos == oldest.message.qos);
            REQUIRE(entry.message.retain == oldest.message.retain);
            REQUIRE(entry.expiry_s == oldest.message.message_expiry_s);
            if (entry.expiry_s) REQUIRE(entry.taken_at == oldest.at);
            REQUIRE(entry.ticket == oldest.ticket);
            REQUIRE(entry.subscription_ids == oldest.ids);
            bytes -= oldest.cost;
            queue.pop();
            model.pop_front();
        }
        REQUIRE(queue.size() == model.size());
        REQUIRE(queue.bytes() == bytes);
    }
}

TEST_CASE("A topic that keeps coming keeps its alias, one that comes once gets none") {
    TopicAliasesOut aliases(2);
    const auto send = [&](std::string_view topic) {
        const TopicAliasesOut::Choice choice = aliases.choose(topic);
        aliases.sent(choice, topic);
        return choice;
    };
    CHECK(send("common/one").alias == 0);
    CHECK(send("common/one").alias == 1);
    for (int i = 0; i < 100; ++i) {
        CHECK(send("once/" + std::to_string(i)).alias == 0);
        const auto again = send("common/one");
        CHECK(again.alias == 1);
        CHECK(again.known);
    }
    CHECK(send("a/b").alias == 0);  // too short to gain
    CHECK(send("a/b").alias == 0);
}

}  // namespace quorate::broker::test
