#include "tests/unit/shard/script_print.h"

#include <sstream>

#include "tests/unit/catch.h"

namespace quorate::cluster::testing {

namespace {

const char* name(AnswerCode code) {
    switch (code) {
        case AnswerCode::Applied:
            return "ok";
        case AnswerCode::Duplicate:
            return "duplicate";
        case AnswerCode::Gap:
            return "gap";
        case AnswerCode::StaleSource:
            return "stale-source";
        case AnswerCode::Fenced:
            return "fenced";
        case AnswerCode::StaleEpoch:
            return "stale-epoch";
        case AnswerCode::Malformed:
            return "malformed";
        case AnswerCode::LimitExceeded:
            return "limit";
        case AnswerCode::NotFound:
            return "not-found";
    }
    return "?";
}

std::string text(const Incarnation& incarnation) {
    return std::to_string(node_of(incarnation).value()) + "." +
           std::to_string(incarnation.value() & 0xFFFFFFFFU);
}

std::string text(const ConnectionRef& connection) {
    return text(connection.incarnation) + "." + std::to_string(connection.slot);
}

std::string text(const Destination& destination) {
    const std::string shard = std::to_string(destination.shard.value());
    switch (destination.kind) {
        case DestinationKind::Shard:
            return "shard," + shard;
        case DestinationKind::Node:
            return "node," + text(destination.node);
        case DestinationKind::Group:
            return "group," + shard + "," + destination.group;
        case DestinationKind::Session:
            return "session," + shard + "," + std::to_string(destination.session.value());
        case DestinationKind::Connection:
            return "connection," + text(destination.connection);
    }
    return "?";
}

struct PrintResult {
    std::ostringstream& out;

    void operator()(const std::monostate&) const {}
    void operator()(const AttachResult& r) const {
        out << " attach " << mqtt::to_string(r.code) << " conn=" << text(r.connection);
        if (r.code != mqtt::ReasonCode::Success) return;
        out << " session=" << r.session.value() << " epoch=" << r.epoch.value()
            << " present=" << r.session_present;
        if (!r.durable) {
            out << " bound";
            return;
        }
        out << " first=" << r.first_unacked.value() << " next=" << r.next.value()
            << " mark=" << r.mark.value() << " subscriptions=" << r.subscriptions;
        for (const OwedReplay& replay : r.replays) {
            out << " replay " << replay.filter;
            print(replay.from);
        }
    }
    void operator()(const SubscribeResult& r) const {
        for (const RequestedSubscription& filter : r.filters) {
            out << " [" << static_cast<int>(mqtt::number(filter.code))
                << (filter.is_new ? " new" : "") << (filter.shared ? " shared" : "");
            if (filter.wait_for.value() != 0) out << " wait=" << filter.wait_for.value();
            if (filter.replay != ReplayId()) {
                out << " replay=" << filter.replay.epoch.value() << "."
                    << filter.replay.number.value();
            }
            out << "]";
        }
    }
    void operator()(const UnsubscribeResult& r) const {
        for (const mqtt::ReasonCode code : r.codes) {
            out << " [" << static_cast<int>(mqtt::number(code)) << "]";
        }
    }
    void operator()(const EnqueueResult& r) const {
        out << " queued=" << r.queued;
        if (r.repeat) out << " repeat";
        if (r.live_qos0 != 0) out << " live=" << r.live_qos0;
        if (r.dropped_full != 0) out << " dropped=" << r.dropped_full;
        if (r.rejected != 0) out << " rejected=" << r.rejected;
        if (r.offline_qos0 != 0) out << " offline=" << r.offline_qos0;
        if (r.no_local != 0) out << " no-local=" << r.no_local;
    }
    void operator()(const ReplayResult& r) const {
        if (r.left) {
            print(*r.left);
        } else {
            out << " done";
        }
        if (r.full) out << " full";
    }
    void print(const PendingReplay& replay) const {
        out << " from=" << replay.shard.value() << "/" << replay.after
            << " id=" << replay.id.epoch.value() << "." << replay.id.number.value();
    }
    void operator()(const EnqueueGroupResult& r) const {
        out << (r.queued   ? " queued n=" + std::to_string(r.number.value())
                : r.repeat ? std::string(" repeat")
                           : std::string(" forward"));
    }
    void operator()(const AckResult& r) const {
        out << " first=" << r.first_unacked.value() << " next=" << r.next.value();
        if (r.ignored != 0) out << " ignored=" << r.ignored;
    }
    void operator()(const OutboxPutResult& r) const {
        out << " " << mqtt::to_string(r.code) << (r.already_received ? " already received" : "");
    }
    void operator()(const ReleaseResult& r) const { out << (r.found ? " found" : " unknown"); }
    void operator()(const RetainResult& r) const { out << " " << mqtt::to_string(r.code); }
    void operator()(const RouteResult& r) const {
        if (r.wait_for.value() != 0) out << " wait=" << r.wait_for.value();
    }
    void operator()(const DetachedResult& r) const { out << (r.ended ? " ended" : ""); }
};

const char* name(SessionEndCause cause) {
    switch (cause) {
        case SessionEndCause::CleanStart:
            return "clean start";
        case SessionEndCause::Expired:
            return "expired";
        case SessionEndCause::Disconnected:
            return "disconnected";
        case SessionEndCause::Administrator:
            return "administrator";
    }
    return "?";
}

void print_queue(Harness& harness, SessionId id, std::ostringstream& out) {
    const Status status = harness.state().read_queue(
        id, MessageNumber(1), 1000, 1 << 20U, harness.now, [&out](const QueueEntryView& entry) {
            out << "  " << entry.number.value() << " id=" << entry.packet_id.value() << " qos"
                << static_cast<int>(entry.message.qos) << " " << entry.message.topic << " "
                << entry.message.payload << (entry.dup ? " DUP" : "")
                << (entry.pubrec_known ? " PUBREL" : "") << (entry.message.retain ? " retain" : "")
                << (entry.expired ? " expired" : "");
            if (entry.remaining_expiry_s) out << " expires in " << *entry.remaining_expiry_s;
            for (const uint32_t sub : entry.subscription_ids)
                out << " sub=" << sub;
            if (!entry.share_filter.empty()) out << " by " << entry.share_filter;
            out << "\n";
            return true;
        });
    REQUIRE(status.ok());
}

void print_session(const SessionView& view, std::ostringstream& out) {
    out << "  id=" << view.id.value() << " epoch=" << view.epoch.value()
        << (view.durable ? " durable" : " bound");
    out << (view.connection ? " at " + text(*view.connection) : std::string(" away"));
    if (view.expires_at) out << " expires at " << view.expires_at->value();
    out << " first=" << view.first_unacked.value() << " next=" << view.next.value()
        << " mark=" << view.mark.value() << " queued=" << view.queued
        << (view.has_will ? " will" : "") << "\n";
}

void print_outbox(Harness& harness, std::ostringstream& out) {
    const char* kinds[] = {"topic", "group", "session", "node"};
    for (const OutboxTarget& target : harness.state().outbox_targets()) {
        const Status status = harness.state().outbox_window(
            target, OutboxNumber(), 100, harness.now, [&](const OutboxEntryView& entry) {
                out << "  " << kinds[static_cast<int>(target.kind)] << " "
                    << (target.kind == OutboxTargetKind::Node
                            ? text(target.node)
                            : std::to_string(target.shard.value()))
                    << " n=" << entry.source.number.value() << " H=" << entry.source.high.value();
                for (const OutboxNumber open : entry.source.unfinished) {
                    out << " open=" << open.value();
                }
                out << " " << entry.message.topic << " " << entry.message.payload << " qos"
                    << static_cast<int>(entry.message.qos);
                if (!entry.group.empty()) out << " group=" << entry.group;
                if (target.kind >= OutboxTargetKind::Session) out << " to " << text(entry.member);
                if (entry.message.message_expiry_s) {
                    out << " expires in " << *entry.message.message_expiry_s;
                }
                out << "\n";
            });
        REQUIRE(status.ok());
    }
}

void print_owed(Harness& harness, std::ostringstream& out) {
    for (const WantedRoute& wanted : harness.state().wanted_routes(RouteSerial(), 100)) {
        out << "  " << wanted.route.serial.value() << " " << wanted.route.filter << " -> "
            << text(wanted.route.destination) << " qos" << static_cast<int>(wanted.route.best_qos)
            << (wanted.route.remove ? " remove" : "")
            << (wanted.at == WantedRoute::At::Wildcards
                    ? std::string(" at wildcards")
                    : " at shard " + std::to_string(wanted.shard.value()))
            << "\n";
    }
}

void print_retained(Harness& harness, const std::string& filter, std::ostringstream& out) {
    std::string cursor;
    while (true) {
        const auto next = harness.state().retained_scan(
            filter, cursor, 2, harness.now, [&out](const RetainedView& retained) {
                out << "  " << retained.message.topic << " " << retained.message.payload;
                if (retained.message.message_expiry_s) {
                    out << " expires in " << *retained.message.message_expiry_s;
                }
                out << "\n";
                return true;
            });
        REQUIRE(next.ok());
        if (!next->has_value()) return;
        cursor = **next;
    }
}

void print_group(Harness& harness, const std::string& name, std::ostringstream& out) {
    const auto group = harness.state().group(name);
    if (!group) {
        out << "  none\n";
        return;
    }
    for (const GroupMember& member : group->members) {
        out << "  " << text(member.member) << " qos" << static_cast<int>(member.qos) << "\n";
    }
    const Status status = harness.state().read_group(
        name, MessageNumber(), 100, harness.now,
        [&out](MessageNumber number, const mqtt::MessageView& message) {
            out << "  " << number.value() << " " << message.payload << "\n";
            return true;
        });
    REQUIRE(status.ok());
}

}  // namespace

std::string print(const Actions& actions) {
    std::ostringstream out;
    for (const Answer& answer : actions.answers) {
        out << "  " << name(answer.code);
        if (answer.code == AnswerCode::Gap) out << " expected=" << answer.expected.value();
        std::visit(PrintResult{out}, answer.result);
        out << "\n";
    }
    for (const LetGo& let_go : actions.let_go) {
        out << "  let go: " << text(let_go.connection) << " epoch=" << let_go.epoch.value() << "\n";
    }
    for (const SessionEnded& ended : actions.ended) {
        out << "  ended: " << ended.client_id << " (" << name(ended.cause) << ")\n";
    }
    for (const LiveCopy& copy : actions.live) {
        out << "  live: session " << copy.session.value() << (copy.retain ? " retain" : "");
        for (const uint32_t id : copy.subscription_ids)
            out << " sub=" << id;
        out << "\n";
    }
    for (const SessionId session : actions.new_messages) {
        out << "  fresh: session " << session.value() << "\n";
    }
    for (const RouteMade& made : actions.made) {
        out << "  made: " << made.filter << " " << made.serial.value() << "\n";
    }
    for (const std::string& group : actions.group_messages)
        out << "  pick: " << group << "\n";
    if (actions.outbox_ready) out << "  outbox\n";
    if (actions.routes_wanted) out << "  routes\n";
    if (actions.work_left) out << "  more\n";
    return out.str();
}

std::optional<std::string> ask(Harness& harness, const std::string& verb,
                               const std::string& about) {
    std::ostringstream out;
    const auto session = harness.state().session(std::string_view(about));
    if (verb == "session") {
        if (session) print_session(*session, out);
        if (!session) out << "  none\n";
    } else if (verb == "queue") {
        if (session) print_queue(harness, session->id, out);
    } else if (verb == "owed") {
        print_owed(harness, out);
    } else if (verb == "outbox") {
        print_outbox(harness, out);
    } else if (verb == "retained") {
        print_retained(harness, about, out);
    } else if (verb == "group") {
        print_group(harness, about, out);
    } else if (verb == "match") {
        harness.state().match(about, 0, [&out](const MatchedSession& match) {
            out << "  session " << match.session.value() << " qos" << static_cast<int>(match.qos);
            for (const uint32_t id : match.subscription_ids)
                out << " sub=" << id;
            out << "\n";
        });
    } else if (verb == "routes") {
        harness.state().routes().for_each([&out](std::string_view filter, const RouteEntry& route) {
            out << "  " << filter << " -> " << text(route.destination) << " qos"
                << static_cast<int>(route.best_qos) << "\n";
        });
    } else if (verb == "incarnations") {
        for (const Incarnation each : harness.state().attached_incarnations())
            out << "  " << text(each) << "\n";
    } else if (verb == "letgo") {
        std::vector<LetGo> all;
        harness.state().let_gos(all);
        for (const LetGo& one : all)
            out << "  " << text(one.connection) << "\n";
    } else if (verb == "deadline") {
        const auto at = harness.state().next_deadline();
        out << "  " << (at ? std::to_string(at->value()) : std::string("none")) << "\n";
    } else if (verb == "counts") {
        const ShardCounts c = harness.state().counts();
        out << "  sessions=" << c.sessions << " attached=" << c.attached
            << " subscriptions=" << c.subscriptions << " queued=" << c.queued_messages
            << " wills=" << c.wills_pending << " outbox=" << c.outbox << " lanes=" << c.lanes
            << " retained=" << c.retained << "\n";
    } else {
        return std::nullopt;
    }
    return out.str();
}

}  // namespace quorate::cluster::testing
