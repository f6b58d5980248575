#include "cluster/router/nodes/copy_desk.h"

#include <iterator>
#include <utility>

namespace quorate::cluster {
namespace {

// What an owner may have unanswered follows from what its askers may have unanswered at it.
constexpr CopyWindow kUnbounded{UINT32_MAX, UINT64_MAX};

}  // namespace

// Numbers begin anew with each term, so the sender of this node's last one stays.
bool CopyDesk::over(const SenderName& name, const CopySender& sender) const {
    const auto led = led_.find(name.from.source);
    return led != led_.end() && name.from.term < led->second && sender.unanswered() == 0;
}

void CopyDesk::lead(ShardId shard, Term term) {
    led_[shard] = term;
    std::erase_if(senders_, [this](const auto& entry) { return over(entry.first, entry.second); });
}

void CopyDesk::send(Incarnation to, uint64_t token, Copy copy) {
    if (token == 0) return host_.send({std::move(copy), to});
    const SenderName name{to, copy.fence};
    auto found = senders_.find(name);
    if (found == senders_.end()) found = senders_.emplace(name, CopySender(kUnbounded)).first;
    const bool sent = found->second.send(token, std::move(copy));
    if (sent) flush(name, found->second);
}

void CopyDesk::flush(const SenderName& name, CopySender& sender) {
    for (Copy& copy : sender.take())
        host_.send({std::move(copy), name.to});
}

void CopyDesk::answered(const NodeCopyAnswer& answer) {
    const auto found = senders_.find({answer.at, answer.fence});
    if (found == senders_.end()) return;
    std::vector<CopySender::Done> done;
    found->second.answered(answer.number, answer.verdict, done);
    flush(found->first, found->second);
    if (over(found->first, found->second)) senders_.erase(found);
    tell(done, answer.receivers, answer.fence);
}

void CopyDesk::tell(const std::vector<CopySender::Done>& done, uint32_t receivers,
                    const SourceFence& of) {
    for (const CopySender::Done& each : done)
        host_.copied(each.token, receivers, each.stale, of);
}

void CopyDesk::arrived(const PortRef& from, Incarnation owner, const Copy& copy) {
    const auto message = mqtt::decode_message(copy.message.text());
    if (!message) return;
    if (copy.number == 0) {
        if (fence_.up(owner) && fence_.hear(copy.fence)) (void)host_.to_loops(0, *message);
        return;
    }
    Waiting waiting;
    waiting.owner = from;
    waiting.answer.fence = copy.fence;
    waiting.answer.number = copy.number;
    waiting.answer.verdict = receiver_.receive({owner, copy.fence.source, copy.fence.term}, copy);
    if (waiting.answer.verdict == CopyVerdict::Queue) {
        waiting.answer.verdict = CopyVerdict::Taken;
        const uint64_t ticket = kTicketBit | next_ticket_++;
        waiting.awaited = host_.to_loops(ticket, *message);
        if (waiting.awaited > 0) {
            waiting_.emplace(ticket, std::move(waiting));
            return;
        }
    } else if (waiting.answer.verdict == CopyVerdict::Taken) {
        waiting.answer.receivers = 1;  // who took it is not known any more: somebody may have
    }
    host_.answer(from, waiting.answer);
}

void CopyDesk::taken(uint64_t ticket, uint32_t receivers) {
    const auto found = waiting_.find(ticket);
    if (found == waiting_.end()) return;
    found->second.answer.receivers += receivers;
    if (--found->second.awaited > 0) return;
    host_.answer(found->second.owner, found->second.answer);
    waiting_.erase(found);
}

void CopyDesk::peers_changed(const PeerMap& before, const PeerMap& now) {
    for (const auto& [node, peer] : now) {
        const auto known = before.find(node);
        const Peer was = known == before.end() ? Peer{} : known->second;
        if (peer.first_up > was.first_up) {
            const Incarnation last_down(peer.first_up.value() - 1);
            fence_.down(last_down);
            receiver_.down(last_down);
        }
        if (peer == was) continue;
        const SenderName first{make_incarnation(node, 0), {}};
        for (auto at = senders_.lower_bound(first);
             at != senders_.end() && node_of(at->first.to) == node;) {
            if (at->first.to < peer.first_up) {
                std::vector<CopySender::Done> done;
                at->second.down(done);
                const SourceFence of = at->first.from;
                at = senders_.erase(at);
                tell(done, 0, of);
                continue;
            }
            if (peer.links != was.links) {
                at->second.resend();
                flush(at->first, at->second);
            }
            ++at;
        }
    }
}

}  // namespace quorate::cluster
