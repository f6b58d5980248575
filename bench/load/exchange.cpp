#include "bench/load/exchange.h"

#include <algorithm>
#include <ctime>

#include <fmt/format.h>

namespace quorate::bench {
namespace {

constexpr Nanos kTurnMax = std::chrono::milliseconds(50);
constexpr Nanos kStallLook = std::chrono::milliseconds(100);
constexpr std::uint32_t kStallLooksMax = 5;
// After everything has arrived: the time in which a repeated message would still show up.
constexpr Nanos kLinger = std::chrono::milliseconds(200);
constexpr std::uint32_t kNoLimit = UINT32_MAX;
// Room for topic and properties around a payload.
constexpr std::size_t kPacketOverheadMax = 256 * 1024;

}  // namespace

Exchange::Exchange(const Options& options, const Share& share)
    : options_(options), share_(share), loop_(options.payload_bytes + kPacketOverheadMax) {
    const bool pairs = options.mode == Mode::pairs;
    const bool shared = options.mode == Mode::shared;
    for (std::uint32_t i = 0; i < share.publishers; ++i) {
        const std::uint32_t id = share.first_publisher + i;
        publishers_.emplace_back(
            options, Publisher::Plan{id, fmt::format("{}/t/{}", options.topic_root(), id),
                                     pairs || shared ? 1 : share.subscribers, shared});
    }
    subscribers_.resize(share.subscribers);
    if (shared) {
        for (Subscriber& member : subscribers_)
            member.next_by_publisher.resize(share.publishers);
    }
    const std::size_t all = static_cast<std::size_t>(share.publishers) * share.subscribers;
    streams_.resize(pairs || shared ? share.publishers : all);
}

std::size_t Exchange::stream_of(std::uint32_t subscriber, std::uint32_t publisher) const {
    if (options_.mode == Mode::pairs || options_.mode == Mode::shared) return publisher;
    return static_cast<std::size_t>(subscriber) * share_.publishers + publisher;
}

DialPlan Exchange::plan(std::string_view kind, std::uint32_t number) const {
    DialPlan made;
    made.fields.version = options_.version;
    made.fields.client_id = options_.client_id(kind, number);
    made.fields.username = options_.username;
    made.fields.password = options_.password;
    made.fields.keep_alive_s = options_.keep_alive_s;
    made.qos = options_.qos;
    made.endpoint = &options_.subscriber_host(number);
    return made;
}

std::vector<DialPlan> Exchange::plan_filter_holders() const {
    std::vector<DialPlan> plans;
    for (std::uint32_t filter = 0; share_.holds_filters && filter < options_.filters; ++filter) {
        if (filter % options_.filters_per_client == 0) {
            const auto number = static_cast<std::uint32_t>(plans.size());
            plans.push_back(plan("f", number));
            plans.back().index = number;
        }
        // They share their levels with the topics in use, and match none of them.
        const std::string root = options_.topic_root();
        const bool wild = options_.filter_kind == FilterKind::wildcard;
        plans.back().filters.push_back(!wild             ? fmt::format("{}/t/x{}", root, filter)
                                       : filter % 2 == 0 ? fmt::format("{}/+/x{}", root, filter)
                                                         : fmt::format("{}/t/x{}/#", root, filter));
    }
    return plans;
}

std::vector<DialPlan> Exchange::plan_subscribers() const {
    std::vector<DialPlan> plans;
    for (std::uint32_t i = 0; i < share_.subscribers; ++i) {
        plans.push_back(plan("s", share_.first_publisher + i));
        DialPlan& made = plans.back();
        made.role = Role::subscriber;
        made.index = i;
        if (options_.mode == Mode::pairs) {
            made.filters = {publishers_[i].topic()};
        } else if (options_.mode == Mode::shared) {
            made.filters = {
                fmt::format("$share/qb{:08x}/{}/t/+", options_.run_id, options_.topic_root())};
        } else if (share_.publishers == 1) {
            made.filters = {publishers_[0].topic()};
        } else {
            made.filters = {options_.topic_root() + "/t/+"};
        }
        made.fields.clean = !options_.persistent;
        made.fields.session_expiry_s = options_.persistent ? 3600 : 0;
    }
    return plans;
}

std::vector<DialPlan> Exchange::plan_publishers() const {
    std::vector<DialPlan> plans;
    for (std::uint32_t i = 0; i < share_.publishers; ++i) {
        const std::uint32_t number = share_.first_publisher + i;
        plans.push_back(plan("p", number));
        DialPlan& made = plans.back();
        made.role = Role::publisher;
        made.index = i;
        made.endpoint = &options_.publisher_host(number);
        made.fields.clean = !options_.persistent;
        made.fields.session_expiry_s = options_.persistent ? 3600 : 0;
    }
    return plans;
}

Failure Exchange::dial(const std::vector<DialPlan>& plans, std::vector<Dialed>& dialed) {
    Dialer dialer(
        loop_, *this,
        DialLimits{.timeout = options_.timeout, .connects_per_s = options_.connects_per_s});
    if (Failure failure = dialer.run(plans)) return failure;
    dialed = dialer.dialed();
    return std::nullopt;
}

Failure Exchange::setup() {
    std::vector<Dialed> dialed;
    if (Failure failure = dial(plan_filter_holders(), dialed)) return failure;
    const std::vector<DialPlan> subscribers = plan_subscribers();
    if (Failure failure = dial(subscribers, dialed)) return failure;
    for (std::uint32_t i = 0; i < share_.subscribers; ++i) {
        subscribers_[i].connection = dialed[i].connection;
    }
    const std::vector<DialPlan> publishers = plan_publishers();
    if (Failure failure = dial(publishers, dialed)) return failure;
    for (std::uint32_t i = 0; i < share_.publishers; ++i) {
        if (dialed[i].connack.maximum_qos < options_.qos)
            return "the broker's Maximum QoS is too low";
        publishers_[i].attach(*dialed[i].connection, dialed[i].connack.receive_maximum);
    }
    if (options_.persistent) {
        durable_ = subscribers;
        durable_.insert(durable_.end(), publishers.begin(), publishers.end());
    }
    return std::nullopt;
}

void Exchange::start() {
    publishing_ = true;
    pace_start_ = monotonic_now();
    scheduled_ = 0;
    for (Publisher& publisher : publishers_)
        make_ready(publisher);
}

void Exchange::run_for(Nanos duration) {
    Nanos now = monotonic_now();
    const Nanos end = now + duration;
    while (now < end && loop_.open_count() > 0) {
        const Nanos due = share_.rate_per_s > 0 ? until_next_due(now) : kTurnMax;
        loop_.turn(ready_.empty() || share_.rate_per_s > 0 ? std::min({end - now, kTurnMax, due})
                                                           : Nanos(0),
                   *this);
        gather();
        now = monotonic_now();
        if (now >= next_stall_look_) look_for_stalls(now);
    }
}

// While nobody waits in epoll, the broker's writes wake nobody. Without this pause a broker that
// writes each message by itself would be charged for waking this thread as often, which many
// separate clients would not do to it either: they would be awake or asleep on other machines.
void Exchange::gather() const {
    if (options_.gather == Nanos(0)) return;
    timespec pause{};
    pause.tv_nsec = options_.gather.count();
    nanosleep(&pause, nullptr);
}

void Exchange::begin_measuring() {
    measuring_ = true;
    at_begin_ = counters_;
    end_to_end_.clear();
    ack_.clear();
}

void Exchange::end_measuring() {
    measuring_ = false;
    at_end_ = counters_;
}

bool Exchange::settled() const {
    for (const Publisher& publisher : publishers_) {
        if (publisher.connected() && publisher.acks.unacknowledged() > 0) return false;
    }
    for (std::uint32_t publisher = 0; publisher < share_.publishers; ++publisher) {
        const std::uint64_t owed = publishers_[publisher].owed();
        if (options_.mode == Mode::pairs || options_.mode == Mode::shared) {
            if (streams_[publisher].missing(owed) > 0) return false;
            continue;
        }
        for (std::uint32_t i = 0; i < share_.subscribers; ++i) {
            if (streams_[stream_of(i, publisher)].missing(owed) > 0) return false;
        }
    }
    return true;
}

void Exchange::drain() {
    publishing_ = false;
    ready_.clear();
    Nanos now = monotonic_now();
    last_arrival_ = now;
    // A broker that repeats messages for ever is never silent; so there is an end in any case.
    const Nanos end = now + options_.drain + 6 * options_.timeout;
    Nanos next_look{0};
    while (now < end && now - last_arrival_ < options_.drain && loop_.open_count() > 0) {
        loop_.turn(std::chrono::milliseconds(10), *this);
        now = monotonic_now();
        if (now < next_look) continue;
        next_look = now + std::chrono::milliseconds(20);
        if (settled()) break;
    }
    const Nanos linger_end = now + kLinger;
    for (; now < linger_end && loop_.open_count() > 0; now = monotonic_now()) {
        loop_.turn(linger_end - now, *this);
    }
    count_missing();
}

void Exchange::count_missing() {
    for (std::uint32_t i = 0; i < share_.publishers; ++i) {
        const Publisher& publisher = publishers_[i];
        const bool one_stream = options_.mode == Mode::pairs || options_.mode == Mode::shared;
        const std::uint32_t receivers = one_stream ? 1 : share_.subscribers;
        for (std::uint32_t receiver = 0; receiver < receivers; ++receiver) {
            const std::uint64_t missing =
                streams_[stream_of(receiver, i)].missing(publisher.owed());
            if (missing <= publisher.refused) continue;
            findings_.lost += missing - publisher.refused;
            findings_.note(
                fmt::format("{}: {} of {} messages never came{}", publisher.topic(),
                            missing - publisher.refused, publisher.owed(),
                            one_stream ? "" : fmt::format(" to subscriber {}", receiver)));
        }
        if (!publisher.connected() || publisher.acks.unacknowledged() == 0) continue;
        findings_.unacknowledged += publisher.acks.unacknowledged();
        findings_.note(fmt::format("{}: {} messages never acknowledged", publisher.topic(),
                                   publisher.acks.unacknowledged()));
    }
}

void Exchange::finish() {
    const auto leave = [this](Connection* connection) {
        if (connection == nullptr || !connection->open()) return;
        append_disconnect(connection->output(), options_.version, options_.persistent);
        loop_.close(*connection);
    };
    for (const Publisher& publisher : publishers_)
        leave(publisher.connection());
    for (const Subscriber& subscriber : subscribers_)
        leave(subscriber.connection);
    if (durable_.empty() || options_.version == Version::v5) return;
    // Before version 5 a session ends by connecting once more with Clean Session.
    for (DialPlan& plan : durable_) {
        plan.fields.clean = true;
        plan.filters.clear();
        plan.role = Role::bystander;
    }
    Dialer dialer(loop_, *this,
                  DialLimits{.timeout = options_.timeout,
                             .failures_allowed = true,
                             .connects_per_s = options_.connects_per_s});
    if (dialer.run(durable_)) return;
    for (const Dialed& dialed : dialer.dialed())
        leave(dialed.connection);
}

void Exchange::add_to(Result& result) const {
    result.sent += at_end_.sent - at_begin_.sent;
    result.delivered += at_end_.delivered - at_begin_.delivered;
    result.acknowledged += at_end_.acknowledged - at_begin_.acknowledged;
    result.end_to_end.merge(end_to_end_);
    result.ack.merge(ack_);
    result.stalls += stalls_;
    result.skipped += skipped_;
    result.findings.merge(findings_);
}

void Exchange::make_ready(Publisher& publisher) {
    if (publisher.ready || !publishing_) return;
    publisher.ready = true;
    ready_.push_back(&publisher);
}

void Exchange::publish(Publisher& publisher, std::uint32_t count, Nanos now) {
    const std::uint32_t done = publisher.publish(count, now);
    if (done == 0) return;
    counters_.sent += done;
    loop_.touch(*publisher.connection());
}

void Exchange::on_turn_read() {
    if (!publishing_) return;
    if (share_.rate_per_s > 0) {
        publish_paced(monotonic_now());
        return;
    }
    if (ready_.empty()) return;
    const Nanos now = monotonic_now();
    for (Publisher* publisher : ready_) {
        publisher->ready = false;
        publish(*publisher, kNoLimit, now);
    }
    ready_.clear();
}

void Exchange::publish_paced(Nanos now) {
    const double elapsed_s = std::chrono::duration<double>(now - pace_start_).count();
    const auto due = static_cast<std::uint64_t>(elapsed_s * static_cast<double>(share_.rate_per_s));
    if (due > scheduled_ + share_.rate_per_s) {
        // More than a second behind: what is older is given up, or it would come as a burst.
        skipped_ += due - share_.rate_per_s - scheduled_;
        scheduled_ = due - share_.rate_per_s;
    }
    std::uint32_t unable = 0;
    while (scheduled_ < due && unable < share_.publishers) {
        Publisher& publisher = publishers_[pace_turn_];
        pace_turn_ = (pace_turn_ + 1) % share_.publishers;
        const std::uint64_t before = publisher.next();
        publish(publisher, 1, now);
        if (publisher.next() == before) {
            ++unable;
        } else {
            ++scheduled_;
            unable = 0;
        }
    }
}

Nanos Exchange::until_next_due(Nanos now) const {
    const double due_s =
        static_cast<double>(scheduled_ + 1) / static_cast<double>(share_.rate_per_s);
    const Nanos due =
        pace_start_ + std::chrono::duration_cast<Nanos>(std::chrono::duration<double>(due_s));
    // Behind schedule for want of room in a window: wait for an acknowledgement, but not blindly.
    return due > now ? due - now : std::chrono::milliseconds(1);
}

void Exchange::look_for_stalls(Nanos now) {
    next_stall_look_ = now + kStallLook;
    for (Publisher& publisher : publishers_) {
        const std::uint64_t head = publisher.receipts.head();
        if (!publisher.connected() || !publisher.waits_for_receipts() ||
            head != publisher.stalled_head) {
            publisher.stalled_head = head;
            publisher.stalled_looks = 0;
            continue;
        }
        if (++publisher.stalled_looks < kStallLooksMax) continue;
        publisher.stalled_looks = 0;
        ++stalls_;
        publisher.receipts.give_up(publisher.next());
        make_ready(publisher);
    }
}

}  // namespace quorate::bench
