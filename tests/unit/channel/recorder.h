// `Recorder`: a ChannelHost that writes down everything a channel does, and `Bench`: a channel with
// its recorder, its input buffer and its clock, driven by lines of text.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/mqtt/channel.h"
#include "tests/unit/channel/notation.h"

namespace quorate::broker::test {

class Recorder : public ChannelHost {
  public:
    // What it will answer; tests change these at any time.
    PublishVerdict verdict;
    AuthOutcome auth;
    std::optional<AttachOutcome> attach_outcome;                  // set: Bench answers by itself
    std::size_t stuck_output = 0;                                 // added to output_bytes()
    mqtt::ProtocolVersion version = mqtt::ProtocolVersion::V311;  // how to read the output

    // Every call and every packet written, in their order, since the last take.
    [[nodiscard]] std::vector<std::string> take_log();
    [[nodiscard]] bool closed() const { return close_cause.has_value(); }
    std::optional<CloseCause> close_cause;
    std::size_t detaches = 0;
    std::size_t drains_awaited = 0;
    std::size_t answers_awaited = 0;
    bool attach_waits = false;
    std::string output;  // not yet told in the log

    std::byte* prepare(std::size_t size) override;
    void commit(std::size_t size) override;
    [[nodiscard]] std::size_t output_bytes() const override { return stuck_output; }
    void answer_awaited() override { ++answers_awaited; }
    void await_drain() override { ++drains_awaited; }
    void close(const CloseCause& cause) override;
    [[nodiscard]] std::string make_client_id() override { return "assigned-1"; }
    [[nodiscard]] AuthOutcome authenticate(const AuthenticateRequest& request) override;
    void attach(const AttachRequest& request) override;
    void detach(DetachHow how, std::optional<uint32_t> new_expiry_seconds,
                MessageNumber highest_written) override;
    [[nodiscard]] PublishVerdict publish(const InboundPublish& publish) override;
    void release(PacketId packet_id) override;
    void subscribe(SubscribeRequest&& request) override;
    void unsubscribe(UnsubscribeRequest&& request) override;
    void acknowledge(MessageNumber number, AckKind kind, uint64_t shared_ticket) override;
    void window_open() override { note("window_open"); }

    void note(std::string line);

  private:
    void read_output();

    std::vector<std::string> log_;
    std::string room_;
};

class Bench {
  public:
    explicit Bench(const ChannelLimits& limits = {});

    // Sends packets in the notation, one a line, in one piece.
    Bench& send(std::string_view lines);
    Bench& send_bytes(std::string_view bytes);
    // CONNECT and the answer to attach(). Returns with an empty log.
    Bench& connect(std::string_view line, const AttachOutcome& outcome = {});
    // Does what a line of a script says, see script_test.cpp.
    void command(std::string_view line);
    // The log since the last call, one line each, joined by newlines.
    [[nodiscard]] std::string log();
    [[nodiscard]] std::vector<std::string> lines() { return recorder.take_log(); }

    OfferResult offer(std::string_view topic, mqtt::QoS qos, std::string_view payload = "x");

    ChannelContext context;
    Recorder recorder;
    LoopTime now{1000};
    std::unique_ptr<Channel> channel;
    std::string input;  // not yet consumed

  private:
    void give_input();
    void command_answer(const std::vector<std::string>& words);
    void command_offer(const std::vector<std::string>& words);
    void command_deliver(const std::vector<std::string>& words);
    void command_host(const std::vector<std::string>& words);
    void command_limits(const std::vector<std::string>& words);
};

[[nodiscard]] const char* name_of(Channel::State state);

}  // namespace quorate::broker::test
