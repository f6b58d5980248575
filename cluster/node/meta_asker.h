// Commands to `meta` from anywhere on this node, answered wherever its leader is.
//
//   ask() ─► this node leads: proposed here
//         ─► else a question to the leader's node ─► proposed there, or "the leader is at ..."
//
// Asked again under the same token until it is answered or its time is over, so nothing is done
// twice: `meta` recognises the tokens of what hands out numbers, and the rest may be repeated.
//
// Thread: ask, on_question: any; answered: the worker of `meta`. Owner: the Cluster; links and host
// are stopped before it is destroyed.
// Errors: of an ask: Unavailable when its time was over, LimitExceeded beyond kAsksMax.
// Bounded: kAsksMax of this node, kAsksMax of others. Spec: design §6; R-9 (never blocks a worker).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/group/group_host.h"
#include "cluster/link/link.h"
#include "cluster/meta/meta_command.h"
#include "cluster/node/meta_runner.h"
#include "proto/base/ids.h"
#include "proto/base/log.h"
#include "proto/base/result.h"

namespace quorate::cluster {

// What another node says to a command: its answer, or where else to ask.
struct MetaReply {
    std::optional<MetaAnswer> answer;
    std::string leader_at;  // empty: nobody is known to lead
};
[[nodiscard]] std::string encode(const MetaReply& reply);
[[nodiscard]] Result<MetaReply> decode_meta_reply(std::string_view bytes);

class MetaAsker {
  public:
    using Done = std::function<void(Result<MetaAnswer>)>;
    static constexpr std::size_t kAsksMax = 256;

    // Requires: `meta` is group kMetaGroup of `host`, pinned where the host pins it by default.
    MetaAsker(GroupHost& host, MetaRunner& meta) : host_(host), meta_(meta) {}

    // With other nodes; `elsewhere`: whom to ask besides the nodes that `meta` knows of. Before the
    // first ask.
    void connect(link::LinkHost& links, NodeId self, std::vector<std::string> elsewhere);

    // `done` is called once, on the worker of `meta`, or at once when there are too many. The
    // answer may be a refusal: see MetaAnswer::code.
    void ask(const MetaCommandBody& body, std::chrono::nanoseconds limit, Done done);
    void ask(uint64_t token, const MetaCommandBody& body, std::chrono::nanoseconds limit,
             Done done);
    // Blocks. Requires: not on a worker or the link thread.
    [[nodiscard]] Result<MetaAnswer> ask_and_wait(uint64_t token, const MetaCommandBody& body,
                                                  std::chrono::nanoseconds limit);
    // Of kind kMetaQuestion, of a member.
    void on_question(const link::QuestionView& question, link::AnswerDoor door);
    void answered(const MetaAnswer& answer);

  private:
    using Time = std::chrono::nanoseconds;
    struct Request {
        std::string command;
        Time deadline{};
        Done done;
        Time again{};            // not before
        bool under_way = false;  // at another node
        bool proposed = false;   // here
        uint32_t tries = 0;
        uint32_t hops = 0;
        std::string redirect;
    };
    struct Waiting {
        link::AnswerDoor door;
        Time deadline{};
    };

    [[nodiscard]] Worker& worker();
    void add(uint64_t token, std::string command, Time limit, Done done);
    void answer_other(const std::string& command, link::AnswerDoor door);
    void work();
    void try_one(uint64_t token, Request& request, Time now);
    void send(uint64_t token, Request& request, Time now);
    void replied(uint64_t token, const Result<std::string>& reply);
    // Host and port of the node that leads; empty: unknown, or this node.
    [[nodiscard]] std::string leaders_address() const;
    [[nodiscard]] std::string next_address(Request& request) const;
    void finish(uint64_t token, const Result<MetaAnswer>& answer);
    void arm();

    GroupHost& host_;
    MetaRunner& meta_;
    link::LinkHost* links_ = nullptr;  // null: no other nodes
    NodeId self_;
    std::vector<std::string> elsewhere_;

    // The rest belongs to the worker.
    std::map<uint64_t, Request> requests_;  // by token
    std::map<uint64_t, Waiting> waiting_;   // of other nodes, by token
    bool armed_ = false;
};

}  // namespace quorate::cluster
