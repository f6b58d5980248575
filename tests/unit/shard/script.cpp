// Long, because it is one table: a function for each word of the script language.
#include "tests/unit/shard/script.h"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <vector>

#include "proto/base/hash.h"
#include "tests/unit/catch.h"
#include "tests/unit/shard/script_print.h"

namespace quorate::cluster::testing {

namespace {

std::vector<std::string> split(const std::string& text, char by) {
    std::vector<std::string> out;
    std::istringstream in(text);
    for (std::string part; std::getline(in, part, by);) {
        if (!part.empty()) out.push_back(part);
    }
    return out;
}

// The words of a line: positions and key=value options.
class Words {
  public:
    explicit Words(const std::string& line) {
        for (const std::string& word : split(line, ' ')) {
            const std::size_t equals = word.find('=');
            const bool option = equals != std::string::npos && word.find(',') > equals;
            if (option) options_[word.substr(0, equals)] = word.substr(equals + 1);
            if (!option) words_.push_back(word);
        }
    }
    [[nodiscard]] const std::string& at(std::size_t i) const {
        static const std::string kNone;
        return i < words_.size() ? words_[i] : kNone;
    }
    [[nodiscard]] std::size_t size() const { return words_.size(); }
    [[nodiscard]] bool has(const std::string& flag) const {
        return std::find(words_.begin(), words_.end(), flag) != words_.end();
    }
    [[nodiscard]] std::optional<std::string> option(const std::string& key) const {
        const auto found = options_.find(key);
        if (found == options_.end()) return std::nullopt;
        return found->second;
    }
    [[nodiscard]] uint64_t number(const std::string& key, uint64_t otherwise) const {
        const auto value = option(key);
        return value ? std::stoull(*value) : otherwise;
    }
    [[nodiscard]] std::optional<uint32_t> maybe(const std::string& key) const {
        if (!option(key)) return std::nullopt;
        return static_cast<uint32_t>(number(key, 0));
    }

  private:
    std::vector<std::string> words_;
    std::map<std::string, std::string> options_;
};

Incarnation incarnation(const std::string& text) {
    const auto parts = split(text, '.');
    return make_incarnation(NodeId(static_cast<uint32_t>(std::stoul(parts.at(0)))),
                            static_cast<uint32_t>(std::stoul(parts.at(1))));
}

ConnectionRef connection(const std::string& text) {
    ConnectionRef out;
    out.incarnation = incarnation(text);
    out.slot = static_cast<uint32_t>(std::stoul(split(text, '.').at(2)));
    return out;
}

mqtt::QoS qos(uint64_t value) {
    return static_cast<mqtt::QoS>(value);
}

OutboxTarget target(const std::string& kind, const std::string& where) {
    OutboxTarget out;
    out.kind = kind == "topic"     ? OutboxTargetKind::Topic
               : kind == "group"   ? OutboxTargetKind::Group
               : kind == "session" ? OutboxTargetKind::Session
               : kind == "loop"    ? OutboxTargetKind::Publisher
                                   : OutboxTargetKind::Node;
    if (kind == "node" || kind == "loop") {
        out.node = incarnation(where);
    } else {
        out.shard = ShardId(static_cast<uint32_t>(std::stoul(where)));
    }
    return out;
}

std::optional<OutboxSource> source(const Words& words) {
    const auto text = words.option("source");
    if (!text) return std::nullopt;
    const auto parts = split(*text, ',');
    OutboxSource out;
    out.stream.source = ShardId(static_cast<uint32_t>(std::stoul(parts.at(0))));
    out.stream.generation = Generation(1);
    out.stream.target = target(parts.at(1), parts.at(2));
    out.number = OutboxNumber(std::stoull(parts.at(3)));
    out.high = OutboxNumber(std::stoull(parts.at(4)));
    for (std::size_t i = 5; i < parts.size(); ++i) {
        out.unfinished.emplace_back(std::stoull(parts[i]));
    }
    return out;
}

// shard,N | node,N.N | group,SHARD,NAME | session,SHARD,ID | connection,N.N.N
Destination destination(const std::string& text) {
    const auto parts = split(text, ',');
    const auto shard = [&] { return ShardId(static_cast<uint32_t>(std::stoul(parts.at(1)))); };
    if (parts.at(0) == "shard") return Destination::to_shard(shard());
    if (parts.at(0) == "node") return Destination::to_node(incarnation(parts.at(1)));
    if (parts.at(0) == "group") return Destination::to_group(shard(), parts.at(2));
    if (parts.at(0) == "session") {
        return Destination::to_session(shard(), SessionId(std::stoull(parts.at(2))));
    }
    return Destination::to_connection(connection(parts.at(1)));
}

SubscriptionRequest request(const std::string& text, std::vector<std::string>& kept) {
    const auto parts = split(text, ',');
    SubscriptionRequest out;
    kept.push_back(parts.at(0));
    out.qos = qos(std::stoull(parts.at(1)));
    for (std::size_t i = 2; i < parts.size(); ++i) {
        if (parts[i] == "nl") out.no_local = true;
        if (parts[i] == "rap") out.retain_as_published = true;
        if (parts[i] == "replay") out.replay = true;
        if (parts[i] == "if-new") out.retain_handling = mqtt::RetainHandling::SendIfNew;
        if (parts[i] == "none") out.retain_handling = mqtt::RetainHandling::DoNotSend;
        if (parts[i].starts_with("id=")) {
            out.subscription_id = static_cast<uint32_t>(std::stoul(parts[i].substr(3)));
        }
    }
    return out;
}

AckKind ack_kind(const std::string& text) {
    const std::map<std::string, AckKind> kinds = {
        {"puback", AckKind::Puback},
        {"pubrec", AckKind::PubrecOk},
        {"pubrec-error", AckKind::PubrecError},
        {"pubcomp", AckKind::Pubcomp},
        {"too-large", AckKind::TooLarge},
        {"denied", AckKind::Denied},
        {"expired", AckKind::Expired},
    };
    return kinds.at(text);
}

DetachHow how(const std::string& text) {
    const std::map<std::string, DetachHow> ways = {{"normal", DetachHow::Normal},
                                                   {"will", DetachHow::WithWill},
                                                   {"lost", DetachHow::Lost},
                                                   {"taken", DetachHow::TakenOver},
                                                   {"kicked", DetachHow::Kicked}};
    return ways.at(text);
}

class Line {
  public:
    Line(Harness& harness, const std::string& line) : harness_(harness), words_(line) {}

    std::string run() {
        const std::string& verb = words_.at(0);
        if (verb == "time") {
            harness_.now = ClusterTime(std::stoull(words_.at(1)));
            return "";
        }
        if (verb == "restart") {
            harness_.restart();
            return "";
        }
        const auto answer = ask(harness_, verb, words_.at(1));
        if (answer) return *answer;
        const CommandBody body = this->body(verb);
        harness_.apply(header(verb), body);
        return print(harness_.actions);
    }

  private:
    CommandHeader header(const std::string& verb) {
        const bool leader = verb == "tick" || verb == "made" || verb == "done" ||
                            verb == "node-down" || verb == "pick" || verb == "return";
        CommandHeader header;
        if (leader) {
            header = Harness::leader_header();
        } else {
            Lane lane = Harness::default_lane();
            if (const auto text = words_.option("lane")) {
                lane.incarnation = incarnation(*text);
                lane.producer = static_cast<uint16_t>(std::stoul(split(*text, '.').at(2)));
            }
            if (const auto number = words_.option("n#")) {
                header.lane = lane;
                header.number = CommandNumber(std::stoull(*number));
                header.token = header.number.value() * 10;
                CommandNumber& last = harness_.numbers[lane];
                if (header.number == last.next()) last = header.number;
            } else {
                header = harness_.header(lane);
            }
        }
        if (const auto fence = words_.option("fence")) {
            const auto parts = split(*fence, ',');
            header.fence = SourceFence{ShardId(static_cast<uint32_t>(std::stoul(parts.at(0)))),
                                       Term(std::stoull(parts.at(1)))};
        }
        return header;
    }

    CommandBody body(const std::string& verb) {
        if (verb == "attach") return attach();
        if (verb == "detached") return detached();
        if (verb == "subscribe") return subscribe();
        if (verb == "unsubscribe") return unsubscribe();
        if (verb == "enqueue") return enqueue();
        if (verb == "enqueue-group") {
            message_ = message("t", words_.at(2));
            return EnqueueGroup{words_.at(1), message_, source(words_)};
        }
        if (verb == "replay") return replay();
        if (verb == "ack") return ack();
        if (verb == "put") {
            message_ = flat(words_.at(3), words_.at(4), mqtt::QoS::ExactlyOnce);
            return OutboxPut{id(), epoch(), packet_id(), message_};
        }
        if (verb == "release") return Release{id(), epoch(), packet_id()};
        if (verb == "retain") {
            message_ = flat(words_.at(1), words_.at(2), mqtt::QoS::AtLeastOnce, true,
                            words_.maybe("expiry"));
            return Retain{
                message_, {Harness::default_lane().incarnation, LoopId(0)}, words_.number("n", 0)};
        }
        if (verb == "done") {
            OutboxDone done{target(words_.at(1), words_.at(2)), {}};
            for (std::size_t i = 3; i < words_.size(); ++i) {
                done.numbers.emplace_back(std::stoull(words_.at(i)));
            }
            return done;
        }
        if (verb == "return") {
            OutboxReturn back{target(words_.at(1), words_.at(2)), {}};
            for (std::size_t i = 3; i < words_.size(); ++i) {
                back.numbers.emplace_back(std::stoull(words_.at(i)));
            }
            return back;
        }
        if (verb == "route") {
            return Route{words_.at(1), destination(words_.at(2)), qos(words_.number("qos", 1)),
                         words_.has("remove"), RouteSerial(words_.number("serial", 0))};
        }
        if (verb == "made") {
            const auto member = words_.option("member");
            const auto session = member ? harness_.state().session(*member) : std::nullopt;
            return Made{{{words_.at(1), session ? session->id : SessionId(),
                          RouteSerial(std::stoull(words_.at(2)))}}};
        }
        if (verb == "node-down") return NodeDown{incarnation(words_.at(1))};
        if (verb == "tick") return Tick{};
        if (verb == "void") return Void{};
        if (verb == "end-session") return EndSession{words_.at(1)};
        if (verb == "pick") {
            return GroupPick{words_.at(1), MessageNumber(std::stoull(words_.at(2))),
                             destination(words_.at(3))};
        }
        FAIL("unknown word: " << verb);
        return Void{};
    }

    CommandBody attach() {
        Attach out;
        out.client_id = words_.at(1);
        identity_ = words_.option("identity").value_or("");
        out.identity = identity_;
        out.clean_start = words_.has("clean");
        out.session_expiry_s = static_cast<uint32_t>(words_.number("expiry", 100));
        out.receive_maximum = static_cast<uint16_t>(words_.number("rm", 10));
        out.connection = connection(words_.option("conn").value_or("1.1.1"));
        if (const auto will = words_.option("will")) {
            message_ =
                flat(*will, "gone", qos(words_.number("wqos", 1)), false, words_.maybe("wexpiry"));
            out.will = WillRequest{message_, static_cast<uint32_t>(words_.number("delay", 0))};
        }
        return out;
    }

    CommandBody detached() {
        Detached out;
        out.session = id();
        out.epoch = epoch();
        out.how = how(words_.at(2));
        out.new_expiry_s = words_.maybe("expiry");
        out.highest_written = MessageNumber(words_.number("w", 0));
        return out;
    }

    CommandBody subscribe() {
        Subscribe out{id(), epoch(), {}};
        for (std::size_t i = 2; i < words_.size(); ++i) {
            out.requests.push_back(request(words_.at(i), filters_));
        }
        for (std::size_t i = 0; i < filters_.size(); ++i)
            out.requests[i].filter = filters_[i];
        return out;
    }

    CommandBody unsubscribe() {
        Unsubscribe out{id(), epoch(), {}};
        for (std::size_t i = 2; i < words_.size(); ++i)
            out.filters.push_back(words_.at(i));
        return out;
    }

    CommandBody enqueue() {
        message_ = message(words_.at(1), words_.at(2));
        Enqueue out{message_, source(words_), std::nullopt};
        if (const auto only = words_.option("only")) {
            const auto session = harness_.state().session(*only);
            filter_ = words_.option("filter").value_or("");
            out.only = Restriction{{session ? session->id : SessionId(9999)}, filter_};
        }
        return out;
    }

    // replay CLIENT FILTER [TOPIC,PAYLOAD,QOS]... [from=SHARD/TOPIC] [next=SHARD/TOPIC]
    // [id=EPOCH.NUMBER]; from and id as the session has them
    CommandBody replay() {
        const auto session = harness_.state().session(words_.at(1));
        filter_ = words_.at(2);
        messages_.clear();
        for (std::size_t i = 3; i < words_.size(); ++i) {
            const auto parts = split(words_.at(i), ',');
            if (parts.size() != 3) continue;
            const auto qos = static_cast<mqtt::QoS>(std::stoul(parts.at(2)));
            messages_.push_back(flat(parts.at(0), parts.at(1), qos, true));
        }
        Replay out{session ? session->id : SessionId(9999), filter_, {}, {}, {}, {}};
        if (session) {
            for (const SubscriptionView& view : harness_.state().subscriptions(session->id)) {
                if (view.filter != filter_ || !view.replay) continue;
                out.id = view.replay->id;
                from_ = view.replay->after;
                out.from = {view.replay->shard, from_};
            }
        }
        if (const auto id = words_.option("id")) {
            const auto parts = split(*id, '.');
            out.id = {Epoch(std::stoull(parts.at(0))), CommandNumber(std::stoull(parts.at(1)))};
        }
        if (const auto from = words_.option("from")) {
            const std::size_t slash = from->find('/');
            from_ = from->substr(slash + 1);
            out.from = {ShardId(static_cast<uint32_t>(std::stoul(*from))), from_};
        }
        if (const auto next = words_.option("next")) {
            const std::size_t slash = next->find('/');
            after_ = next->substr(slash + 1);
            out.next = Replay::Position{ShardId(static_cast<uint32_t>(std::stoul(*next))), after_};
        }
        out.messages.assign(messages_.begin(), messages_.end());
        return out;
    }

    CommandBody ack() {
        Ack out{id(), epoch(), {}};
        for (std::size_t i = 2; i < words_.size(); ++i) {
            const auto parts = split(words_.at(i), ',');
            out.items.push_back({MessageNumber(std::stoull(parts.at(1))), ack_kind(parts.at(0))});
        }
        return out;
    }

    std::string message(std::string_view topic, std::string_view payload) {
        const auto publisher = words_.option("publisher");
        return flat(topic, payload, qos(words_.number("qos", 1)), words_.has("retain"),
                    words_.maybe("expiry"), publisher ? hash64(*publisher) : 0);
    }

    SessionId id() {
        const auto session = harness_.state().session(std::string_view(words_.at(1)));
        return SessionId(words_.number("session", session ? session->id.value() : 9999));
    }
    Epoch epoch() {
        const auto session = harness_.state().session(std::string_view(words_.at(1)));
        return Epoch(words_.number("epoch", session ? session->epoch.value() : 0));
    }
    PacketId packet_id() { return PacketId(static_cast<uint16_t>(std::stoul(words_.at(2)))); }

    Harness& harness_;
    Words words_;
    std::string message_;
    std::vector<std::string> messages_;
    std::string identity_;
    std::string filter_;
    std::string after_;
    std::string from_;
    std::vector<std::string> filters_;
};

ShardOptions options_of(const std::string& line) {
    const Words words(line);
    ShardOptions out;
    out.queue_messages_max = static_cast<uint32_t>(words.number("queue", 10'000));
    out.subscriptions_max = static_cast<uint32_t>(words.number("subscriptions", 1000));
    out.retained_max = words.number("retained", 1'000'000);
    out.outbox_entries_max = words.number("outbox", 100'000);
    out.outbox_window = static_cast<uint32_t>(words.number("window", 256));
    out.step_limit = static_cast<uint32_t>(words.number("step", 256));
    out.tail_cache_bytes = words.number("cache", 4U << 20U);
    out.sessions_max = static_cast<uint32_t>(words.number("sessions", 1000));
    const std::string policy = words.option("policy").value_or("oldest");
    out.queue_full = policy == "oldest"   ? QueuePolicy::DropOldest
                     : policy == "newest" ? QueuePolicy::DropNewest
                                          : QueuePolicy::Reject;
    out.queue_qos0 = words.has("qos0");
    out.shared_handover_on_disconnect = words.has("handover");
    return out;
}

}  // namespace

std::string run_line(Harness& harness, const std::string& line) {
    return Line(harness, line).run();
}

void run_script(const std::string& path) {
    std::ifstream file(path);
    REQUIRE(file.good());
    std::string original{std::istreambuf_iterator<char>(file), {}};
    std::istringstream in(original);
    std::string rewritten;
    std::string line;
    ShardOptions options;
    uint32_t shards = 1;
    std::unique_ptr<Harness> harness;
    std::string output;
    bool expecting = false;
    while (std::getline(in, line)) {
        if (expecting) {
            if (line.empty()) {
                expecting = false;
                rewritten += output + "\n";
                output.clear();
            }
            continue;
        }
        rewritten += line + "\n";
        if (line == "----") {
            expecting = true;
        } else if (line.starts_with("options")) {
            options = options_of(line);
            shards = static_cast<uint32_t>(Words(line).number("shards", 1));
        } else if (!line.empty() && line[0] != '#') {
            if (!harness) harness = std::make_unique<Harness>(options, shards);
            INFO(path << ": " << line);
            output += run_line(*harness, line);
        }
    }
    if (expecting) rewritten += output;
    if (std::getenv("QUORATE_REWRITE") != nullptr) {
        std::ofstream(path) << rewritten;
        return;
    }
    INFO("run with QUORATE_REWRITE=1 and read the difference");
    CHECK(rewritten == original);
}

}  // namespace quorate::cluster::testing
