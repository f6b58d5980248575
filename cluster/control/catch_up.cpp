#include "cluster/control/catch_up.h"

namespace quorate::cluster {
namespace {

constexpr int kSamples = 16;

}  // namespace

void CatchUp::sample(LogIndex committed, std::chrono::nanoseconds now) {
    if (younger_.empty() || now >= younger_.back().at + behind_max_ / kSamples) {
        younger_.push_back({committed, now});
    }
    while (!younger_.empty() && younger_.front().at + behind_max_ <= now) {
        needed_ = younger_.front().committed;
        old_enough_ = true;
        younger_.pop_front();
    }
    if (!old_enough_) needed_ = committed;
}

bool CatchUp::caught_up(LogIndex match) const {
    return match >= needed_;
}

}  // namespace quorate::cluster
