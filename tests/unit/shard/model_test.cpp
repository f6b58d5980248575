// Random commands against one shard and against a model that is as plain as possible. A failure
// prints its seed; QUORATE_SEED=n runs that seed alone.
#include <cstdlib>
#include <set>
#include <vector>

#include "proto/base/environment.h"
#include "proto/base/hash.h"
#include "proto/mqtt/topic.h"
#include "tests/unit/catch.h"
#include "tests/unit/shard/harness.h"
#include "tests/unit/shard/random_commands.h"

namespace quorate::cluster::testing {
namespace {

const std::vector<std::string> kTopics = {"a", "a/b", "a/b/c", "b", "b/a", "$SYS/a", "a//c"};
const std::vector<std::string> kFilters = {"a",   "a/b", "a/+", "a/#",  "#",
                                           "+/b", "+",   "b/#", "a/+/c"};

struct ModelMessage {
    std::string payload;
    int qos = 1;
    uint64_t expires_at = 0;
    bool pubrec = false;
};

struct ModelSubscription {
    int qos = 0;
    bool no_local = false;
};

// A durable session, with an ordered map instead of every clever thing.
struct ModelSession {
    SessionId id;
    uint64_t epoch = 0;
    bool attached = false;
    uint64_t receive_maximum = 0;
    uint64_t next = 1;
    uint64_t mark = 0;
    std::map<uint64_t, ModelMessage> queue;
    std::map<std::string, ModelSubscription> subscriptions;
    std::set<uint16_t> received;

    [[nodiscard]] uint64_t first() const { return queue.empty() ? next : queue.begin()->first; }
    [[nodiscard]] uint64_t sent() const {
        return attached ? std::max(mark, first() + receive_maximum - 1) : mark;
    }
    [[nodiscard]] bool droppable(uint64_t number) const {
        const ModelMessage& message = queue.at(number);
        return !message.pubrec && (number > sent() || (message.qos == 1 && !attached));
    }
};

class Run {
  public:
    explicit Run(uint64_t seed) : random_(seed), harness_(options(seed)) {
        limit_ = harness_.options().queue_messages_max;
    }

    void step() {
        harness_.now = ClusterTime(harness_.now.value() + random_.below(300));
        const std::string client = "c" + std::to_string(random_.below(4));
        switch (random_.below(12)) {
            case 0:
                return attach(client);
            case 1:
                return random_.chance(1, 3) ? detach(client) : tick();
            case 2:
                return subscribe(client);
            case 3:
                return random_.chance(1, 2) ? unsubscribe(client) : retain();
            case 4:
            case 5:
                return acknowledge(client);
            case 6:
                return put(client);
            case 7:
                return release(client);
            default:
                return enqueue(client);
        }
    }

    void check() {
        for (const auto& [client, model] : sessions_) {
            const auto view = harness_.state().session(std::string_view(client));
            REQUIRE(view.has_value());
            CHECK(view->next.value() == model.next);
            CHECK(view->first_unacked.value() == model.first());
            CHECK(view->subscriptions == model.subscriptions.size());
            compare_queue(view->id, model);
        }
        const std::string& filter = kFilters[random_.below(kFilters.size())];
        std::map<std::string, std::string> found;
        const auto scanned = harness_.state().retained_scan(
            filter, "", 1000, harness_.now, [&found](const RetainedView& retained) {
                found.emplace(retained.message.topic, retained.message.payload);
                return true;
            });
        REQUIRE(scanned.ok());
        std::map<std::string, std::string> expected;
        for (const auto& [topic, payload] : retained_) {
            if (mqtt::filter_matches(filter, topic)) expected.emplace(topic, payload);
        }
        CHECK(found == expected);
        if (random_.chance(1, 4)) harness_.restart();
    }

  private:
    static ShardOptions options(uint64_t seed) {
        ShardOptions out;
        if (seed % 2 == 0) out.queue_messages_max = 6;
        if (seed % 3 == 0) out.tail_cache_bytes = 0;
        if (seed % 4 >= 2) out.queue_full = QueuePolicy::DropNewest;
        return out;
    }

    ModelSession* find(const std::string& client, bool attached) {
        const auto found = sessions_.find(client);
        if (found == sessions_.end() || found->second.attached != attached) return nullptr;
        return &found->second;
    }

    void apply(const CommandBody& body) {
        harness_.apply(harness_.header(), body, random_.chance(1, 40));
    }

    void attach(const std::string& client) {
        const bool clean = random_.chance(1, 8);
        if (find(client, true) != nullptr) return;
        Attach command;
        command.client_id = client;
        command.clean_start = clean;
        command.session_expiry_s = kNeverExpires;
        command.receive_maximum = static_cast<uint16_t>(1 + random_.below(5));
        command.connection.incarnation = Harness::default_lane().incarnation;
        apply(command);
        const auto& result = std::get<AttachResult>(harness_.actions.answers.at(0).result);
        CHECK(result.session_present == (sessions_.contains(client) && !clean));
        if (clean) sessions_.erase(client);
        ModelSession& model = sessions_[client];
        purge(model);
        model.id = result.session;
        model.attached = true;
        ++model.epoch;
        model.receive_maximum = command.receive_maximum;
        CHECK(result.epoch.value() == model.epoch);
        CHECK(result.mark.value() == model.mark);
    }

    void detach(const std::string& client) {
        ModelSession* model = find(client, true);
        if (model == nullptr) return;
        const uint64_t written = random_.below(model->sent() + 1);
        const uint64_t last = model->next - 1;
        apply(
            Detached{model->id, Epoch(model->epoch), DetachHow::Lost, {}, MessageNumber(written)});
        model->mark = std::max(model->mark, std::min(written, last));
        model->attached = false;
    }

    void tick() {
        apply(Tick{});
        // The purge is lazy: the model purges what the shard reports as gone, no more.
        for (auto& [client, model] : sessions_) {
            std::set<uint64_t> there;
            REQUIRE(harness_.state()
                        .read_queue(model.id, MessageNumber(1), 100'000, ~0ULL, harness_.now,
                                    [&there](const QueueEntryView& entry) {
                                        there.insert(entry.number.value());
                                        return true;
                                    })
                        .ok());
            std::vector<uint64_t> gone;
            for (const auto& [number, message] : model.queue) {
                if (there.contains(number)) continue;
                CHECK(message.expires_at != 0);
                CHECK(message.expires_at <= harness_.now.value());
                CHECK(model.droppable(number));
                gone.push_back(number);
            }
            for (const uint64_t number : gone)
                model.queue.erase(number);
        }
    }

    void purge(ModelSession& model) const {
        std::vector<uint64_t> gone;
        for (const auto& [number, message] : model.queue) {
            const bool due = message.expires_at != 0 && message.expires_at <= harness_.now.value();
            if (due && model.droppable(number)) gone.push_back(number);
        }
        for (const uint64_t number : gone)
            model.queue.erase(number);
    }

    void subscribe(const std::string& client) {
        ModelSession* model = find(client, true);
        if (model == nullptr) return;
        const std::string& filter = kFilters[random_.below(kFilters.size())];
        SubscriptionRequest request;
        request.filter = filter;
        request.qos = static_cast<mqtt::QoS>(1 + random_.below(2));
        request.no_local = random_.chance(1, 4);
        apply(Subscribe{model->id, Epoch(model->epoch), {request}});
        model->subscriptions[filter] = {static_cast<int>(request.qos), request.no_local};
    }

    void unsubscribe(const std::string& client) {
        ModelSession* model = find(client, true);
        if (model == nullptr) return;
        const std::string& filter = kFilters[random_.below(kFilters.size())];
        apply(Unsubscribe{model->id, Epoch(model->epoch), {filter}});
        const auto code = std::get<UnsubscribeResult>(harness_.actions.answers.at(0).result).codes;
        CHECK(mqtt::number(code.at(0)) == (model->subscriptions.erase(filter) > 0 ? 0x00 : 0x11));
    }

    void enqueue(const std::string& publisher) {
        const std::string& topic = kTopics[random_.below(kTopics.size())];
        const int qos = static_cast<int>(1 + random_.below(2));
        const std::string payload = "m" + std::to_string(++payloads_);
        std::optional<uint32_t> expiry;
        if (random_.chance(1, 3)) expiry = static_cast<uint32_t>(random_.below(20));
        const std::string message =
            flat(topic, payload, static_cast<mqtt::QoS>(qos), false, expiry, hash64(publisher));
        apply(Enqueue{message, {}, {}});
        uint32_t queued = 0;
        for (auto& [client, model] : sessions_) {
            int best = -1;
            for (const auto& [filter, subscription] : model.subscriptions) {
                if (subscription.no_local && client == publisher) continue;
                if (mqtt::filter_matches(filter, topic)) best = std::max(best, subscription.qos);
            }
            if (best < 0 || !make_room(model)) continue;
            const uint64_t expires_at =
                expiry ? harness_.now.value() + uint64_t{*expiry} * 1000 : 0;
            model.queue[model.next++] = {payload, std::min(best, qos), expires_at, false};
            ++queued;
        }
        CHECK(std::get<EnqueueResult>(harness_.actions.answers.at(0).result).queued == queued);
    }

    bool make_room(ModelSession& model) const {
        while (model.queue.size() >= limit_) {
            if (harness_.options().queue_full != QueuePolicy::DropOldest) return false;
            auto at = model.queue.begin();
            while (at != model.queue.end() && !model.droppable(at->first))
                ++at;
            if (at == model.queue.end()) return false;
            model.queue.erase(at);
        }
        return true;
    }

    void acknowledge(const std::string& client) {
        ModelSession* model = find(client, true);
        if (model == nullptr) return;
        const uint64_t number = model->first() + random_.below(4);
        const auto found = model->queue.find(number);
        const bool open = found != model->queue.end() && number <= model->sent();
        const auto kind = static_cast<AckKind>(random_.below(4));
        apply(Ack{model->id, Epoch(model->epoch), {{MessageNumber(number), kind}}});
        bool ignored = true;
        const bool settles = kind == AckKind::Puback || kind == AckKind::PubrecError;
        if (open && found->second.qos == 1 && settles) {
            model->queue.erase(found);
            ignored = false;
        } else if (open && found->second.qos == 2 && kind == AckKind::PubrecOk) {
            found->second.pubrec = true;
            ignored = false;
        } else if (open && found->second.qos == 2 &&
                   kind == (found->second.pubrec ? AckKind::Pubcomp : AckKind::PubrecError)) {
            model->queue.erase(found);
            ignored = false;
        }
        const auto& result = std::get<AckResult>(harness_.actions.answers.at(0).result);
        CHECK((result.ignored == 1) == ignored);
    }

    void put(const std::string& client) {
        ModelSession* model = find(client, true);
        if (model == nullptr) return;
        const auto id = static_cast<uint16_t>(1 + random_.below(5));
        const uint64_t before = harness_.state().counts().outbox;
        const std::string message = flat("a", "q", mqtt::QoS::ExactlyOnce);
        apply(OutboxPut{model->id, Epoch(model->epoch), PacketId(id), message});
        const bool is_new = model->received.insert(id).second;
        CHECK(harness_.state().counts().outbox == before + (is_new ? 1 : 0));
        if (random_.chance(1, 2)) {
            apply(OutboxDone{{OutboxTargetKind::Topic, ShardId(0), {}},
                             {OutboxNumber(1 + random_.below(50))}});
        }
    }

    void release(const std::string& client) {
        ModelSession* model = find(client, true);
        if (model == nullptr) return;
        const auto id = static_cast<uint16_t>(1 + random_.below(5));
        apply(Release{model->id, Epoch(model->epoch), PacketId(id)});
        const auto& result = std::get<ReleaseResult>(harness_.actions.answers.at(0).result);
        CHECK(result.found == (model->received.erase(id) > 0));
    }

    void retain() {
        const std::string& topic = kTopics[random_.below(kTopics.size())];
        const std::string payload = random_.chance(1, 4) ? "" : "r" + std::to_string(++payloads_);
        const std::string message = flat(topic, payload, mqtt::QoS::AtLeastOnce, true);
        apply(Retain{message, {}, 0});
        if (payload.empty()) {
            retained_.erase(topic);
        } else {
            retained_[topic] = payload;
        }
    }

    void compare_queue(SessionId id, const ModelSession& model) {
        auto expected = model.queue.begin();
        const Status status = harness_.state().read_queue(
            id, MessageNumber(1), 100'000, ~0ULL, harness_.now, [&](const QueueEntryView& entry) {
                REQUIRE(expected != model.queue.end());
                CHECK(entry.number.value() == expected->first);
                CHECK(entry.message.payload == expected->second.payload);
                CHECK(static_cast<int>(entry.message.qos) == expected->second.qos);
                CHECK(entry.dup == (expected->first <= model.mark));
                CHECK(entry.pubrec_known == expected->second.pubrec);
                ++expected;
                return true;
            });
        REQUIRE(status.ok());
        CHECK(expected == model.queue.end());
    }

    Random random_;
    Harness harness_;
    std::map<std::string, ModelSession> sessions_;
    std::map<std::string, std::string> retained_;
    uint64_t limit_ = 0;
    uint64_t payloads_ = 0;
};

void run(uint64_t seed) {
    INFO("QUORATE_SEED=" << seed);
    Run run(seed);
    for (int i = 0; i < 600; ++i) {
        run.step();
        if (i % 5 == 0) run.check();
    }
    run.check();
}

TEST_CASE("Sessions and topics behave as the plain model does", "[M1][M2][R4]") {
    if (const char* seed = std::getenv("QUORATE_SEED")) {
        run(std::stoull(seed));
        return;
    }
    for (uint64_t seed = 1; seed <= 30; ++seed)
        run(seed);
}

// Twin replicas and a reload agree whatever comes; the harness compares them.
TEST_CASE("Any history leaves equal replicas and a store that loads to the same state", "[R4]") {
    const char* only = std::getenv("QUORATE_SEED");
    const uint64_t first = only == nullptr ? 1 : std::stoull(only);
    const uint64_t last = only == nullptr ? 60 : first;
    for (uint64_t seed = first; seed <= last; ++seed) {
        INFO("QUORATE_SEED=" << seed);
        ShardOptions options;
        options.queue_messages_max = static_cast<uint32_t>(2 + seed % 5);
        options.outbox_entries_max = seed % 7 == 0 ? 3 : 1000;
        options.group_messages_max = 4;
        options.step_limit = static_cast<uint32_t>(1 + seed % 4);
        options.queue_qos0 = seed % 3 == 0;
        options.shared_handover_on_disconnect = seed % 2 == 0;
        options.tail_cache_bytes = seed * 100;
        Harness harness(options, 1);
        Random random(seed);
        RandomCommands commands([&random](uint64_t bound) { return random.below(bound); });
        for (int i = 0; i < 500; ++i) {
            harness.now = ClusterTime(harness.now.value() + random.below(500));
            harness.apply_bytes(commands.next(), i % 8 == 0);
            if (i % 100 == 50) harness.restart();
        }
        // Everything that is queued can be read.
        for (const SessionView& session : harness.state().sessions(SessionId(), 100)) {
            uint64_t count = 0;
            const Status status = harness.state().read_queue(
                session.id, MessageNumber(), 1000, ~0ULL, harness.now, [&count](const auto&) {
                    ++count;
                    return true;
                });
            REQUIRE(status.ok());
            CHECK(count == session.queued);
        }
    }
}

}  // namespace
}  // namespace quorate::cluster::testing
