#include "tests/unit/link/node.h"

#include <algorithm>
#include <thread>

#include "proto/base/assert.h"

namespace quorate::link {

namespace {

constexpr std::chrono::seconds kPatience{10};

}  // namespace

bool eventually(const std::function<bool()>& condition) {
    const auto until = std::chrono::steady_clock::now() + kPatience;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > until) return false;
        std::this_thread::yield();
    }
    return true;
}

void Recorder::on_up(const StreamId& stream) noexcept {
    const std::lock_guard lock(mutex_);
    heard_.up.push_back(stream);
    changed_.notify_all();
}

void Recorder::on_down(const StreamId& stream, LinkEnd end) noexcept {
    const std::lock_guard lock(mutex_);
    heard_.down.push_back({stream, end});
    changed_.notify_all();
}

void Recorder::on_batch(const StreamId& from, ReceivedBatch batch) noexcept {
    const std::lock_guard lock(mutex_);
    auto& items = heard_.items[{from.peer.node.value(), from.traffic}];
    BatchReader reader = batch.items();
    while (const auto item = reader.next())
        items.emplace_back(as_text(*item));
    if (holding_) held_.push_back(std::move(batch));
    changed_.notify_all();
}

void Recorder::on_question(const QuestionView& question, AnswerDoor answer) noexcept {
    {
        const std::lock_guard lock(mutex_);
        heard_.questions.emplace_back(as_text(question.bytes));
        changed_.notify_all();
    }
    if (on_ask) {
        on_ask(question, std::move(answer));
        return;
    }
    std::string text(as_text(question.bytes));
    std::ranges::reverse(text);
    answer.answer(std::move(text));
}

bool Recorder::wait(const std::function<bool(const Heard&)>& condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return condition(heard_); });
}

Recorder::Heard Recorder::heard() const {
    const std::lock_guard lock(mutex_);
    return heard_;
}

void Recorder::hold(bool on) {
    std::vector<ReceivedBatch> gone;
    const std::lock_guard lock(mutex_);
    holding_ = on;
    if (!on) gone.swap(held_);
}

TestNode::TestNode(uint32_t node, uint32_t start, const std::function<void(LinkOptions&)>& change) {
    LogOptions log;
    log.to_stderr = true;
    log.level = LogLevel::Error;
    auto logger = Logger::open(log);
    ASSERT(logger.ok(), "standard error can be written to");
    logger_ = std::move(logger).value();
    options_.listen = "127.0.0.1:0";
    options_.self = {"test-cluster", NodeId(node), make_incarnation(NodeId(node), start)};
    options_.backoff_min = std::chrono::milliseconds(10);
    options_.backoff_max = std::chrono::milliseconds(100);
    options_.seed = node;
    if (change) change(options_);
    auto host = LinkHost::start(options_, recorder, metrics, *logger_);
    if (host) {
        host_ = std::move(host).value();
        options_.listen = std::string("127.0.0.1:").append(std::to_string(host_->port()));
    } else {
        error_ = host.error().message;
    }
}

TestNode::~TestNode() {
    stop();
}

std::string TestNode::address() const {
    return options_.listen;
}

Member TestNode::member() const {
    return {id(), std::string("n").append(std::to_string(id().value())), {address()}};
}

void TestNode::knows(const std::vector<const TestNode*>& others) {
    std::vector<Member> members;
    for (const TestNode* each : others)
        members.push_back(each->member());
    host_->set_members(std::move(members));
}

Offer TestNode::send(const TestNode& to, TrafficClass traffic, std::string_view item) {
    return host_->offer({to.id(), traffic}, as_bytes(item.substr(0, 1)), as_bytes(item.substr(1)));
}

bool TestNode::push(const TestNode& to, TrafficClass traffic, std::string_view item) {
    Offer offer = Offer::Full;
    return eventually([&] {
               offer = send(to, traffic, item);
               return offer != Offer::Full;
           }) &&
           offer == Offer::Taken;
}

bool TestNode::wait_up(const TestNode& to) {
    return recorder.wait([&](const Recorder::Heard& heard) {
        const auto ups = std::ranges::count_if(heard.up, [&](const StreamId& each) {
            return each.peer.node == to.id() && each.direction == Direction::Out;
        });
        const auto downs = std::ranges::count_if(heard.down, [&](const Recorder::Ended& each) {
            return each.stream.peer.node == to.id() && each.stream.direction == Direction::Out;
        });
        return ups - downs == static_cast<std::ptrdiff_t>(kTrafficClasses);
    });
}

bool TestNode::wait_count(Metric metric, std::size_t label, uint64_t at_least) {
    return eventually([&] { return metrics.value(metric, label) >= at_least; });
}

std::vector<std::string> TestNode::received(const TestNode& from, TrafficClass traffic) {
    return recorder.heard().items[{from.id().value(), traffic}];
}

}  // namespace quorate::link
