// Links: opaque items from node to node, in order and in batches, and rare questions.
//
// Each node dials every other one, with one gRPC stream (and one TCP connection) for each class of
// traffic, so that bulk never holds up consensus; items go from the dialer to the acceptor,
// receipts come back. The links know neither Raft nor MQTT.
//
// What holds: items of one stream arrive in the order offered, none twice, none missing, until the
// stream ends. With it an unknown suffix is lost; the next stream has a higher epoch, both ends
// hear of it, and the layers above send again what they must.
//
// Bounds: a queue for each peer and class (QueueLimits), gRPC's own buffers (about 4 MiB for a
// stalled stream), and the window: bytes that the receiver has not let go.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cluster/link/receipts.h"
#include "cluster/link/send_queue.h"
#include "cluster/link/wire/peer.h"
#include "proto/base/bytes.h"
#include "proto/base/log.h"
#include "proto/base/metrics.h"
#include "proto/base/result.h"

namespace quorate::link {

// What a question is about; numbered by the layers above.
using QuestionKind = Id<struct QuestionKindTag, uint32_t>;

// Who asks. What it says of itself is proven by TLS only when `member` is set or a URI says so.
struct Asker {
    std::string cluster_id;
    PeerId peer;          // node 0: none yet
    bool member = false;  // the node is one of set_members(), and with TLS its certificate says so
    std::vector<std::string> uris;  // of its certificate
};

// Where the answer to one question goes. Move-only; without an answer the asker gets Unavailable
// when this is destroyed. *Thread*: any, also after the host has stopped. *Owner*: the handler.
class AnswerDoor {
  public:
    AnswerDoor(LoopDoor door, std::function<void(Result<std::string>)> give);
    AnswerDoor(AnswerDoor&& other) noexcept;
    AnswerDoor& operator=(AnswerDoor&& other) noexcept;
    AnswerDoor(const AnswerDoor&) = delete;
    AnswerDoor& operator=(const AnswerDoor&) = delete;
    ~AnswerDoor();

    // At most kItemBytesMax bytes, or an error. Later calls do nothing.
    void answer(Result<std::string> result);

  private:
    LoopDoor door_;
    std::function<void(Result<std::string>)> give_;
};

struct QuestionView {
    QuestionKind kind;
    ByteView bytes;  // of the call
    const Asker& from;
};

// What the layer above does with what arrives. *Thread*: the link thread, which must not be held
// up: move what came into a mailbox and return. Everything is noexcept.
class LinkHandler {
  public:
    virtual ~LinkHandler() = default;
    // Out: offers for this epoch are taken from now on. In: its batches follow.
    virtual void on_up(const StreamId& stream) noexcept = 0;
    // Nothing follows from it. Out: what was queued is dropped.
    virtual void on_down(const StreamId& stream, LinkEnd end) noexcept = 0;
    // The batch is well-formed as a batch; its items are anybody's bytes.
    virtual void on_batch(const StreamId& from, ReceivedBatch batch) noexcept = 0;
    virtual void on_question(const QuestionView& question, AnswerDoor answer) noexcept = 0;
};

struct LinkTlsFiles {
    std::string cert;  // PEM, the chain with the leaf first
    std::string key;   // PEM
    std::string ca;    // PEM, whom other nodes' certificates are checked against
};

struct LinkOptions {
    std::string listen = "127.0.0.1:7400";  // a numeric address; port 0: the kernel chooses
    // Mutual TLS. The files are read again every second, so that new ones need no restart; open
    // streams stay.
    std::optional<LinkTlsFiles> tls{};
    bool allow_plaintext = false;  // without TLS also beyond loopback
    Self self{};

    // By class: consensus, publishes, bulk.
    std::array<QueueLimits, kTrafficClasses> queues = {{{std::size_t{16} << 20U, 65'536},
                                                        {std::size_t{16} << 20U, 65'536},
                                                        {std::size_t{8} << 20U, 65'536}}};
    std::array<std::size_t, kTrafficClasses> window_bytes = {
        {std::size_t{8} << 20U, std::size_t{8} << 20U, std::size_t{8} << 20U}};

    std::chrono::milliseconds ping_interval{1000};
    std::chrono::milliseconds silence_max{3000};       // a stream that hears nothing is ended
    std::chrono::milliseconds greeting_timeout{5000};  // from the connection to the greeting
    std::chrono::milliseconds backoff_min{100};   // between attempts, doubled up to backoff_max,
    std::chrono::milliseconds backoff_max{2000};  // each time less a random part up to half
    uint32_t members_max = 1024;
    uint32_t strangers_max = 64;  // incoming streams that have not greeted yet
    uint32_t questions_max = 64;  // under way, in each direction
    uint64_t seed = 0;            // of the random parts; 0: from the operating system
};

// One peer and class as it is now, for metrics and administration.
struct LinkState {
    NodeId node;
    TrafficClass traffic = TrafficClass::Consensus;
    bool up_out = false;
    bool up_in = false;
    Incarnation heard;  // 0: never
    std::size_t queue_bytes = 0;
    uint64_t attempts = 0;            // to open the outgoing stream
    std::chrono::nanoseconds rtt{0};  // of the last ping; 0: none yet
};

struct Target {
    NodeId node;
    TrafficClass traffic = TrafficClass::Consensus;
    StreamEpoch epoch{};  // 0: whichever stream is up
};

struct Question {
    std::string address;  // host:port; of a name the first address
    QuestionKind kind;
    std::chrono::milliseconds deadline{2000};
};

// All links of this node.
//
// *Thread*: every method from every thread; the handler and the replies run on the link thread.
// *Owner*: the program. The handler, metrics and logger outlive it. *Errors*: start() says what the
// operator must change; later ones are logged, counted and tried again.
class LinkHost {
  public:
    [[nodiscard]] static Result<std::unique_ptr<LinkHost>> start(const LinkOptions& options,
                                                                 LinkHandler& handler,
                                                                 Metrics& metrics, Logger& logger);
    ~LinkHost();  // as stop()
    LinkHost(const LinkHost&) = delete;
    LinkHost& operator=(const LinkHost&) = delete;

    // Where it listens.
    [[nodiscard]] uint16_t port() const;
    // Once this node is a member (its incarnation may be 0 for now), or has a new incarnation: all
    // streams are opened anew.
    void become(Self self);
    // The other nodes of the cluster; this node's own entry is ignored. Streams to and from nodes
    // that are not named end; a node with changed addresses is dialed at once. Entries beyond
    // members_max are ignored, with an error in the log.
    void set_members(std::vector<Member> members);

    // Queues one item, made of two parts that follow each other, and never waits. When full,
    // consensus items count as dropped (Raft sends them again); others are the caller's to keep.
    [[nodiscard]] Offer offer(const Target& target, ByteView first, ByteView second = {});

    // Asks whoever answers at an address, member or not. Not even tried when questions_max are
    // under way or the host has stopped; otherwise `reply` is called exactly once.
    [[nodiscard]] Status ask(Question question, std::string bytes,
                             std::function<void(Result<std::string>)> reply);

    // All numeric addresses of host:port texts, for those that want to ask each of them; names that
    // are not known give none. As ask() otherwise.
    [[nodiscard]] Status resolve(std::vector<std::string> addresses,
                                 std::function<void(std::vector<std::string>)> reply);

    // The links as they are; asks the link thread and waits for it.
    // Requires: not called on the link thread.
    [[nodiscard]] std::vector<LinkState> states();

    // Ends all streams, tells the handler, and ends the thread. Waits for it; later calls do
    // nothing.
    void stop();

    class Impl;  // only start() can make one
    explicit LinkHost(std::unique_ptr<Impl> impl);

  private:
    std::unique_ptr<Impl> impl_;
};

}  // namespace quorate::link
