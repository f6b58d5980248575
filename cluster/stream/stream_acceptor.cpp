#include "cluster/stream/stream_acceptor.h"

#include "cluster/mutants.h"

namespace quorate::cluster {

void StreamAcceptor::lead(Term term) {
    streams_.clear();
    term_ = term;
    leading_ = true;
}

void StreamAcceptor::follow() {
    streams_.clear();
    leading_ = false;
}

Acceptance StreamAcceptor::begin(const StreamName& name, const StreamBegin& begin, bool ready) {
    const auto found = streams_.find(name);
    if (found != streams_.end() && begin.attempt <= found->second.attempt) {
        return Acceptance::Ignore;
    }
    if (!leading_ || !ready || begin.term != term_ || begin.first == 0) return Acceptance::Refuse;
    if (found == streams_.end() && streams_.size() >= streams_max_) return Acceptance::Refuse;
    streams_[name] = {begin.attempt, begin.first - 1};
    return Acceptance::Accept;
}

Acceptance StreamAcceptor::item(const StreamName& name, const StreamItem& item, bool ready) {
    const bool numbered = item.number != 0;
    const Acceptance otherwise = numbered ? Acceptance::Refuse : Acceptance::Ignore;
    if (mutated(RuleMutant::PrevUnchecked) && leading_ && ready) return Acceptance::Accept;
    const auto found = streams_.find(name);
    if (!leading_ || found == streams_.end()) return otherwise;
    Stream& stream = found->second;
    if (item.attempt < stream.attempt) return Acceptance::Ignore;
    const bool follows = item.attempt == stream.attempt && item.prev == stream.last;
    if (!follows || !ready) return otherwise;
    if (!numbered) return Acceptance::Accept;
    if (item.number <= stream.last) return otherwise;
    stream.last = item.number;
    return Acceptance::Accept;
}

void StreamAcceptor::down(Incarnation incarnation) {
    const StreamName first{make_incarnation(node_of(incarnation), 0), LoopId()};
    for (auto at = streams_.lower_bound(first);
         at != streams_.end() && at->first.incarnation <= incarnation;) {
        at = streams_.erase(at);
    }
}

}  // namespace quorate::cluster
