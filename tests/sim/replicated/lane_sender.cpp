#include "tests/sim/replicated/lane_sender.h"

#include <algorithm>
#include <utility>

#include "cluster/group/group_ids.h"
#include "proto/base/assert.h"

namespace quorate::sim::replicated {
namespace {

using cluster::AnswerCode;
using cluster::LaneClass;

// Each doubles the time until it asks again.
constexpr uint32_t kSilencesMax = 4;

}  // namespace

LaneSender::LaneSender(Stage& stage, uint32_t node, Incarnation incarnation)
    : stage_(stage), node_(node), incarnation_(incarnation), progress_(stage.now) {
    const GroupId group = cluster::group_of(ShardId(0));
    for (const LaneClass lane : {LaneClass::Control, LaneClass::Publish}) {
        lanes_.emplace(lane, cluster::LaneClient(group, {incarnation, 0, lane}));
    }
}

bool LaneSender::submit(const cluster::Command& command) {
    cluster::LaneClient& lane = lanes_.at(command.header.lane.lane_class);
    if (unanswered() == 0) progress_ = stage_.now;
    return lane.submit(command.header.token, command.header.fence, command.body, parcel_);
}

void LaneSender::flush() {
    cluster::CommandParcel parcel = std::exchange(parcel_, {});
    if (parcel.bytes.empty() || !leader_) return;
    stage_.send(node_, *leader_, CommandPacket{std::move(parcel)});
}

void LaneSender::hear(Term term, uint32_t replica) {
    if (term < heard_ || (term == heard_ && leader_ == replica)) return;
    heard_ = term;
    leader_ = replica;
    silences_ = 0;
    resend();
}

void LaneSender::poll() {
    if (unanswered() == 0 || fenced_) return;
    if (stage_.now < progress_ + (stage_.plan.retry_us << silences_)) return;
    progress_ = stage_.now;
    silences_ = std::min(silences_ + 1, kSilencesMax);
    // Silence: it may be anybody else.
    if (!leader_ || stage_.random.chance(1, 2)) {
        leader_ = static_cast<uint32_t>(stage_.random.below(stage_.plan.nodes));
    }
    resend();
}

void LaneSender::resend() {
    parcel_ = {};
    if (unanswered() == 0) return;
    ++stage_.counts[Count::Resends];
    resent_ = stage_.now;
    for (auto& [name, lane] : lanes_) {
        lane.resend(parcel_);
    }
    flush();
}

void LaneSender::straggle() {
    stage_.counts[Count::LateFronts] += unanswered();
    resend();
}

std::optional<uint64_t> LaneSender::answered(const cluster::Answer& answer) {
    progress_ = stage_.now;
    silences_ = 0;
    switch (answer.code) {
        case AnswerCode::Gap:
            ++stage_.counts[Count::Gaps];
            // One answer of a whole parcel's: the others say the same.
            if (stage_.now > resent_ + stage_.plan.retry_us / 4) resend();
            return std::nullopt;
        case AnswerCode::Fenced:
            ++stage_.counts[Count::FencedAnswers];
            fenced_ = true;
            return std::nullopt;
        case AnswerCode::Duplicate:
            ++stage_.counts[Count::ResentDuplicates];
            break;
        case AnswerCode::StaleSource:
            ++stage_.counts[Count::StaleSources];
            break;
        case AnswerCode::Applied:
        case AnswerCode::StaleEpoch:
        case AnswerCode::Malformed:
        case AnswerCode::LimitExceeded:
        case AnswerCode::NotFound:
            break;
    }
    return lanes_.at(answer.lane.lane_class).answered(answer.number);
}

std::size_t LaneSender::unanswered() const {
    std::size_t sum = 0;
    for (const auto& [name, lane] : lanes_) {
        sum += lane.unanswered();
    }
    return sum;
}

}  // namespace quorate::sim::replicated
