// Brings a process into its cluster: drives Bootstrap over the links, the clock and the disk.
//
//   run() ─► Found    the cluster is formed with this node; its first copies are to be made
//         ─► Joined   a member has given it a node id and a copy of `meta`
//         ─► Resumed  it goes on as the node that its disk says it is
//
// Blocks the caller until then, or until stop(); what it waits for goes into the log and readiness.
// Meanwhile and afterwards it answers what other nodes ask while they start. A node that is in a
// cluster asks its seeds once whether they are of the same one, for at most `settle`.
//
// Thread: run: one; on_question and the replies: the link thread; stop, waits_for: any.
// Owner: NodeControl. The links are stopped before it is destroyed.
// Errors: of run: InvalidArgument or Corrupt for what the operator has to change, with text
// (exit 3); Io of the file; Unavailable after stop().
// Bounded: one question to each address at a time. Spec: rules "Bootstrap"; design §6 (Join).
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cluster/control/bootstrap.h"
#include "cluster/link/link.h"
#include "cluster/node/admission.h"
#include "cluster/node/node_file.h"
#include "proto/base/environment.h"
#include "proto/base/log.h"
#include "proto/base/result.h"

namespace quorate::cluster {

// Kinds of questions between nodes.
inline constexpr link::QuestionKind kBootstrapQuestion{1};
inline constexpr link::QuestionKind kMetaQuestion{2};
inline constexpr link::QuestionKind kAdmissionQuestion{3};

struct Arrival {
    NodeRecord record;  // as it is on disk
    // What the first copies of this node's groups begin with, until all of them were made.
    std::optional<Proposal> founding;
    // The copy of `meta` to begin with, until it was made.
    std::optional<Admission> admitted;
};

class BootstrapDriver {
  public:
    struct Options {
        BootstrapOptions bootstrap;
        bool has_meta = false;  // a copy of `meta` is on this disk
        uint64_t seed = 0;
        std::chrono::milliseconds settle{1000};
    };

    BootstrapDriver(Options options, NodeFile file, std::optional<NodeRecord> record,
                    link::LinkHost& links, const Log& log);

    // Once.
    [[nodiscard]] Result<Arrival> run();
    void stop();
    // Of kind kBootstrapQuestion.
    void on_question(ByteView bytes, link::AnswerDoor answer);
    // Empty: for nothing.
    [[nodiscard]] std::string waits_for() const;

  private:
    using Time = std::chrono::nanoseconds;
    using Lock = std::unique_lock<std::mutex>;

    [[nodiscard]] Status carry_out(Lock& lock);
    [[nodiscard]] Status take_outcome(BootstrapOutcome outcome);
    void resolve();
    void send(const std::vector<AskNode>& asks);
    [[nodiscard]] bool settled() const;
    [[nodiscard]] bool wants_admission() const;
    void ask_admission();
    [[nodiscard]] Status take_admission(Admission admission);
    [[nodiscard]] std::optional<Arrival> arrival() const;
    void tell_what_it_waits_for();
    [[nodiscard]] Status lost_meta() const;
    [[nodiscard]] Time now() const { return clock_.now(); }

    const Options options_;
    const NodeFile file_;
    link::LinkHost& links_;
    const Log log_;
    const SystemClock clock_{};

    mutable std::mutex mutex_;  // guards the rest
    std::condition_variable changed_;
    Bootstrap bootstrap_;
    NodeRecord record_;
    BootstrapActions pending_;
    BootstrapOutcome outcome_;  // Found or Resume, once there is one
    bool stopped_ = false;

    std::set<std::string> resolving_;
    std::set<std::string> resolved_;  // seeds that were looked up at least once
    Time resolve_at_{};
    Time resolved_at_{};
    std::set<std::string> asking_;  // addresses
    std::set<std::string> heard_;   // of those, which answered or failed
    std::set<std::string> asked_;   // in the last round
    Time settle_until_{};

    std::string admits_;  // the address that is asked for admission; empty: none
    bool admission_asked_ = false;
    Time admission_at_{};
    uint32_t admission_turn_ = 0;
    std::optional<Result<Admission>> admission_answer_;
    std::optional<Admission> admitted_;
    std::string admission_waits_;

    std::string told_;
    std::optional<Time> told_at_;
};

}  // namespace quorate::cluster
