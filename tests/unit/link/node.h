// One node's links in a test: a host on a loopback port that the kernel chose, and a handler that
// writes down what it hears.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "cluster/link/link.h"
#include "proto/base/log.h"
#include "proto/base/metrics.h"

namespace quorate::link {

// Thread: any; what it heard is guarded by its mutex.
class Recorder final : public LinkHandler {
  public:
    struct Ended {
        StreamId stream;
        LinkEnd end;
    };
    struct Heard {
        std::vector<StreamId> up{};
        std::vector<Ended> down{};
        std::map<std::pair<uint32_t, TrafficClass>, std::vector<std::string>> items{};
        std::vector<std::string> questions{};
    };

    void on_up(const StreamId& stream) noexcept override;
    void on_down(const StreamId& stream, LinkEnd end) noexcept override;
    void on_batch(const StreamId& from, ReceivedBatch batch) noexcept override;
    void on_question(const QuestionView& question, AnswerDoor answer) noexcept override;

    // Until the condition holds; false after ten seconds.
    [[nodiscard]] bool wait(const std::function<bool(const Heard&)>& condition);
    [[nodiscard]] Heard heard() const;
    // Batches are kept, unread, from now on; or let go.
    void hold(bool on);

    // What happens with a question; the default answers with the question's bytes reversed.
    std::function<void(const QuestionView&, AnswerDoor)> on_ask{};

  private:
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    Heard heard_;
    bool holding_ = false;
    std::vector<ReceivedBatch> held_;
};

// Thread: the test's.
class TestNode {
  public:
    // `change` alters the options before the start.
    explicit TestNode(uint32_t node, uint32_t start = 1,
                      const std::function<void(LinkOptions&)>& change = {});
    ~TestNode();

    [[nodiscard]] LinkHost& host() { return *host_; }
    [[nodiscard]] bool running() const { return host_ != nullptr; }
    [[nodiscard]] const std::string& error() const { return error_; }
    [[nodiscard]] std::string address() const;
    [[nodiscard]] Member member() const;
    [[nodiscard]] NodeId id() const { return options_.self.node; }
    void knows(const std::vector<const TestNode*>& others);
    void stop() { host_.reset(); }

    [[nodiscard]] Offer send(const TestNode& to, TrafficClass traffic, std::string_view item);
    // Offers until it is taken; false after ten seconds or when the link is down.
    [[nodiscard]] bool push(const TestNode& to, TrafficClass traffic, std::string_view item);
    [[nodiscard]] bool wait_up(const TestNode& to);
    [[nodiscard]] bool wait_count(Metric metric, std::size_t label, uint64_t at_least);
    [[nodiscard]] std::vector<std::string> received(const TestNode& from, TrafficClass traffic);

    Recorder recorder;
    Metrics metrics;

  private:
    std::unique_ptr<Logger> logger_;
    LinkOptions options_;
    std::unique_ptr<LinkHost> host_;
    std::string error_;
};

// Until the condition holds, asked again and again; false after ten seconds.
[[nodiscard]] bool eventually(const std::function<bool()>& condition);

}  // namespace quorate::link
