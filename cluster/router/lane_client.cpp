#include "cluster/router/lane_client.h"

#include "proto/base/assert.h"

namespace quorate::cluster {

bool LaneClient::full() const {
    const uint64_t unapplied = next_.value() - 1 - applied_.value();
    return unapplied >= window_.commands_max || (unapplied > 0 && bytes_ >= window_.bytes_max);
}

void LaneClient::keep(uint64_t token, std::string bytes, CommandParcel& out) {
    stage(bytes, out);
    bytes_ += bytes.size();
    pending_.push_back({token, false, false, std::move(bytes)});
    ++next_;
}

void LaneClient::stage(const std::string& bytes, CommandParcel& out) const {
    const std::size_t position = out.begin(group_);
    out.bytes.append(bytes);
    out.end(position);
}

std::optional<uint64_t> LaneClient::answered(CommandNumber number) {
    if (number < first_ || number >= next_) return std::nullopt;
    // Commands of a lane are applied in order: an answer to one says so of all before it. Those
    // may still wait for their own answers (an Attach for a let-go, a Subscribe for its routes).
    while (applied_ < number) {
        ++applied_;
        bytes_ -= pending_[applied_.value() - first_.value()].bytes.size();
    }
    Pending& entry = pending_[number.value() - first_.value()];
    if (entry.answered) return std::nullopt;
    entry.answered = true;
    entry.bytes = {};
    ++answered_in_pending_;
    const std::optional<uint64_t> token =
        entry.given_up ? std::nullopt : std::optional(entry.token);
    while (!pending_.empty() && pending_.front().answered) {
        pending_.pop_front();
        --answered_in_pending_;
        ++first_;
    }
    return token;
}

bool LaneClient::give_up(uint64_t token) {
    CommandNumber number = first_;
    for (Pending& entry : pending_) {
        if (entry.token == token && !entry.answered && !entry.given_up) {
            const std::size_t had = entry.bytes.size();
            entry.given_up = true;
            entry.bytes.clear();
            encode_command(entry.bytes, {lane_, number, token, std::nullopt}, CommandBody(Void{}));
            if (number > applied_) bytes_ -= had - entry.bytes.size();
            return true;
        }
        ++number;
    }
    return false;
}

void LaneClient::resend(CommandParcel& out) const {
    for (const Pending& entry : pending_) {
        if (!entry.answered) stage(entry.bytes, out);
    }
}

}  // namespace quorate::cluster
