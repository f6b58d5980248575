// The link thread's state: peers, their streams in both directions, when to dial again.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <shared_mutex>
#include <string>
#include <vector>

#include "cluster/link/calls.h"
#include "cluster/link/completion.h"
#include "cluster/link/incoming_stream.h"
#include "cluster/link/link.h"
#include "cluster/link/outgoing_stream.h"
#include "cluster/link/resolver.h"
#include "cluster/link/transport.h"
#include "cluster/link/wire/handshake.h"
#include "proto/base/environment.h"

namespace quorate::link {

// *Thread*: the link thread, but for offer(), which any may call. *Owner*: LinkHost.
class LinkCore {
  public:
    using TimePoint = CompletionLoop::TimePoint;

    struct Parts {
        const LinkOptions& options;
        LinkHandler& handler;
        MetricsShard& metrics;
        Log log;
        Transport& transport;
        CompletionLoop& loop;
    };
    explicit LinkCore(const Parts& parts);
    ~LinkCore();
    LinkCore(const LinkCore&) = delete;
    LinkCore& operator=(const LinkCore&) = delete;

    [[nodiscard]] SendQueue::Outcome offer(const Target& target, ByteView first, ByteView second);

    // What LinkHost asks for.
    void start();
    void become(Self self);
    void set_members(std::vector<Member> members);
    void resolve(std::vector<std::string> addresses, Resolver::Reply reply);
    void ask(Question question, std::string bytes, Asking::Reply reply);
    [[nodiscard]] std::vector<LinkState> states() const;
    // Ends everything; the loop is finished when the last stream is gone and the server is closed.
    void stop();
    void server_closed();

    // What the loop calls.
    void on_wake();
    void on_time(TimePoint now);
    void on_turn_end();

    // What streams and calls tell and ask.
    [[nodiscard]] bool incoming_arrived(IncomingStream& stream);  // false: too many strangers
    void incoming_up(IncomingStream& stream);
    void incoming_ended(IncomingStream& stream, LinkEnd reason);
    void outgoing_up(OutgoingStream& stream);
    void outgoing_ended(OutgoingStream& stream, LinkEnd reason);
    void outgoing_done(OutgoingStream& stream);
    [[nodiscard]] Hello hello(TrafficClass traffic, StreamEpoch epoch) const;
    [[nodiscard]] Verdict judge_dialer(const Hello& hello, const Proof& proof) const;
    [[nodiscard]] Verdict judge_acceptor(const Hello& hello, NodeId wanted,
                                         const Proof& proof) const;
    [[nodiscard]] Verdict judge_question(const Hello& hello, const Proof& proof) const;
    [[nodiscard]] bool is_member(NodeId node) const;
    void next_question();
    [[nodiscard]] std::size_t questions_under_way() const { return calls_.answering(); }
    void answer(uint64_t number, Result<std::string> result);
    void sent(TrafficClass traffic, uint32_t items, std::size_t bytes);
    void lost(TrafficClass traffic, uint32_t items);
    void received(const StreamId& from, ReceivedBatch batch, std::size_t bytes);
    void round_trip(const OutgoingStream& stream, std::chrono::nanoseconds time);
    void refused(LinkRefusal reason);
    void refused_by_peer(LinkRefusal reason);

    [[nodiscard]] const LinkOptions& options() const { return options_; }
    [[nodiscard]] std::size_t window_bytes(TrafficClass traffic) const;
    [[nodiscard]] LinkHandler& handler() { return handler_; }
    [[nodiscard]] MetricsShard& metrics() { return metrics_; }
    [[nodiscard]] const Log& log() const { return log_; }
    [[nodiscard]] Transport& transport() { return transport_; }
    [[nodiscard]] CompletionLoop& loop() { return loop_; }
    [[nodiscard]] bool stopping() const { return stopping_; }

  private:
    // This node's way to a peer in one class.
    struct Line {
        explicit Line(QueueLimits limits) : queue(limits) {}
        SendQueue queue;
        std::unique_ptr<OutgoingStream> stream;  // null: none, not even in the making
        TimePoint dial_at{};
        std::chrono::milliseconds backoff{0};
        std::size_t next_address = 0;
        uint64_t attempts = 0;
        std::chrono::nanoseconds rtt{0};
        std::string logged_failure;  // repeated ones are not logged
    };
    struct Peer {
        explicit Peer(const LinkOptions& options);
        Member member;
        bool named = false;  // by the last set_members()
        Incarnation heard;
        std::vector<std::string> addresses;  // numeric
        TimePoint resolve_at{};
        bool resolving = false;
        std::array<Line, kTrafficClasses> lines;
        std::array<StreamEpoch, kTrafficClasses> epochs_heard{};
        std::array<IncomingStream*, kTrafficClasses> incoming{};
    };

    Peer* find(NodeId node) const;
    [[nodiscard]] Known known(const Peer& peer, TrafficClass traffic) const;
    void hear(Peer& peer, Incarnation incarnation);
    void name_member(Member member, TimePoint now);
    void remove_unnamed();
    void dial_soon(Peer& peer, TimePoint now);
    void dial(Peer& peer, TrafficClass traffic, TimePoint now);
    void resolve(Peer& peer, TimePoint now);
    void on_resolved(NodeId node, std::vector<std::string> addresses);
    void refresh_metrics();
    void accept_next();
    void end_all(LinkEnd reason);

    const LinkOptions options_;
    LinkHandler& handler_;
    MetricsShard& metrics_;
    const Log log_;
    Transport& transport_;
    CompletionLoop& loop_;
    Random random_;
    Self self_;
    bool stopping_ = false;
    bool server_closed_ = false;
    StreamEpoch last_epoch_;
    std::size_t lookups_ = 0;  // questions whose address is looked up
    TimePoint metrics_at_{};

    mutable std::shared_mutex peers_mutex_;  // offer() shares it; changes of the map own it
    std::map<NodeId, std::unique_ptr<Peer>> peers_;
    std::vector<std::unique_ptr<IncomingStream>> incoming_;
    Calls calls_;
    Resolver resolver_;
};

}  // namespace quorate::link
