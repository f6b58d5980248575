#include "broker/app/front_end_metrics.h"

namespace quorate::broker {

TransportLabel transport_label(TransportKind kind) {
    switch (kind) {
        case TransportKind::Tcp:
        case TransportKind::Http:
            return TransportLabel::Tcp;
        case TransportKind::Tls:
            return TransportLabel::Tls;
        case TransportKind::WebSocket:
            return TransportLabel::WebSocket;
        case TransportKind::WebSocketTls:
            return TransportLabel::SecureWebSocket;
        case TransportKind::Unix:
            return TransportLabel::Unix;
    }
    return TransportLabel::Tcp;
}

ProtocolLabel protocol_label(mqtt::ProtocolVersion version) {
    switch (version) {
        case mqtt::ProtocolVersion::V31:
            return ProtocolLabel::Mqtt31;
        case mqtt::ProtocolVersion::V311:
            return ProtocolLabel::Mqtt311;
        case mqtt::ProtocolVersion::V5:
            return ProtocolLabel::Mqtt5;
    }
    return ProtocolLabel::Mqtt5;
}

DisconnectReason disconnect_reason(const CloseCause& cause) {
    switch (cause.kind) {
        case CloseKind::ClientDisconnect:
            return DisconnectReason::Normal;
        case CloseKind::ClientDisconnectWithWill:
            return DisconnectReason::WithWill;
        case CloseKind::TransportClosed:
            return DisconnectReason::ClientClosed;
        case CloseKind::KeepAliveTimeout:
            return DisconnectReason::KeepAlive;
        case CloseKind::TakenOver:
            return DisconnectReason::TakenOver;
        case CloseKind::Malformed:
            return DisconnectReason::Malformed;
        case CloseKind::PacketTooLarge:
            return DisconnectReason::TooLarge;
        case CloseKind::QuotaExceeded:
        case CloseKind::ReceiveMaximumExceeded:
            return DisconnectReason::Quota;
        case CloseKind::NotAuthorized:
            return DisconnectReason::NotAuthorized;
        case CloseKind::PublishRefused:
            return DisconnectReason::Unavailable;
        case CloseKind::ServerDisconnect:
            if (cause.reason == mqtt::ReasonCode::ServerShuttingDown) {
                return DisconnectReason::ServerShutdown;
            }
            return cause.reason == mqtt::ReasonCode::QuotaExceeded
                       ? DisconnectReason::Memory
                       : DisconnectReason::Administrative;
        case CloseKind::ConnectTimeout:
        case CloseKind::FirstPacketNotConnect:
        case CloseKind::ConnectRefused:
        case CloseKind::ProtocolError:
        case CloseKind::TopicInvalid:
        case CloseKind::TopicAliasInvalid:
        case CloseKind::NotSupported:
            return DisconnectReason::ProtocolError;
    }
    return DisconnectReason::Other;
}

ConnectResult connect_result(mqtt::ReasonCode reason) {
    switch (reason) {
        case mqtt::ReasonCode::Success:
            return ConnectResult::Accepted;
        case mqtt::ReasonCode::UnsupportedProtocolVersion:
            return ConnectResult::BadProtocol;
        case mqtt::ReasonCode::ClientIdentifierNotValid:
            return ConnectResult::BadClientId;
        case mqtt::ReasonCode::BadUserNameOrPassword:
        case mqtt::ReasonCode::BadAuthenticationMethod:
            return ConnectResult::BadCredentials;
        case mqtt::ReasonCode::NotAuthorized:
            return ConnectResult::NotAuthorized;
        case mqtt::ReasonCode::ServerBusy:
            return ConnectResult::Busy;
        case mqtt::ReasonCode::ServerUnavailable:
            return ConnectResult::Unavailable;
        case mqtt::ReasonCode::QuotaExceeded:
            return ConnectResult::Quota;
        case mqtt::ReasonCode::Banned:
        case mqtt::ReasonCode::ConnectionRateExceeded:
            return ConnectResult::RateLimited;
        case mqtt::ReasonCode::MalformedPacket:
            return ConnectResult::Malformed;
        default:
            return ConnectResult::Other;
    }
}

namespace {

DropReason drop_reason(DropCause cause) {
    switch (cause) {
        case DropCause::QueueMessages:
            return DropReason::QueueMessages;
        case DropCause::QueueBytes:
            return DropReason::QueueBytes;
        case DropCause::Output:
            return DropReason::Qos0Queue;
        case DropCause::Expired:
            return DropReason::Expired;
        case DropCause::TooLarge:
            return DropReason::TooLarge;
        case DropCause::NotConnected:
            return DropReason::SessionEnded;
    }
    return DropReason::Refused;
}

}  // namespace

void report_channel_counters(MetricsShard& metrics, const ChannelCounters& now,
                             ChannelCounters& reported) {
    constexpr std::size_t kFirstType = 1;  // CONNECT; 0 is reserved
    for (std::size_t type = kFirstType; type < now.packets_in.size(); ++type) {
        const auto label = static_cast<PacketTypeLabel>(type - kFirstType);
        metrics.add<Metric::PacketsReceived>(label,
                                             now.packets_in[type] - reported.packets_in[type]);
        metrics.add<Metric::PacketsSent>(label, now.packets_out[type] - reported.packets_out[type]);
    }
    for (std::size_t qos = 0; qos < now.publish_in.size(); ++qos) {
        const auto label = static_cast<QosLabel>(qos);
        metrics.add<Metric::PublishReceived>(label, now.publish_in[qos] - reported.publish_in[qos]);
        metrics.add<Metric::PublishDelivered>(label,
                                              now.publish_out[qos] - reported.publish_out[qos]);
    }
    for (std::size_t cause = 0; cause < kDropCauses; ++cause) {
        metrics.add<Metric::PublishDropped>(drop_reason(static_cast<DropCause>(cause)),
                                            now.dropped[cause] - reported.dropped[cause]);
    }
    metrics.add<Metric::Redeliveries>(now.redeliveries - reported.redeliveries);
    reported = now;
}

void report_shard_counters(MetricsShard& metrics, const cluster::ShardCounters& now,
                           cluster::ShardCounters& reported) {
    const auto dropped = [&](DropReason reason, uint64_t count, uint64_t before) {
        metrics.add<Metric::PublishDropped>(reason, count - before);
    };
    dropped(DropReason::QueueMessages, now.queue_full, reported.queue_full);
    dropped(DropReason::Expired, now.expired, reported.expired);
    dropped(DropReason::Qos0Queue, now.offline_qos0, reported.offline_qos0);
    dropped(DropReason::TooLarge, now.too_large, reported.too_large);
    dropped(DropReason::Denied, now.denied, reported.denied);
    dropped(DropReason::SessionEnded, now.session_ended, reported.session_ended);
    dropped(DropReason::OutboxFull, now.wills_dropped, reported.wills_dropped);
    dropped(DropReason::Refused, now.group_full, reported.group_full);
    metrics.add<Metric::SessionsCreated>(now.sessions_created - reported.sessions_created);
    metrics.add<Metric::SessionsExpired>(now.sessions_expired - reported.sessions_expired);
    metrics.add<Metric::WillsPublished>(now.wills_published - reported.wills_published);
    reported = now;
}

void report_listener_counts(MetricsShard& metrics, const ListenerCounts& now,
                            ListenerCounts& reported) {
    metrics.add<Metric::Throttled>(LimitLabel::ConnectRateAddress,
                                   now.refused_rate - reported.refused_rate);
    metrics.add<Metric::Throttled>(LimitLabel::ConnectRate, now.paused_rate - reported.paused_rate);
    metrics.add<Metric::Throttled>(LimitLabel::Connections,
                                   now.refused_full - reported.refused_full);
    metrics.add<Metric::Throttled>(LimitLabel::Descriptors,
                                   now.paused_descriptors - reported.paused_descriptors);
    metrics.add<Metric::Throttled>(LimitLabel::TlsHandshakes,
                                   now.paused_handshakes - reported.paused_handshakes);
    reported = now;
}

void report_net_counters(MetricsShard& metrics, const NetCounters& now, NetCounters& reported) {
    for (std::size_t kind = 0; kind < NetCounters::kKinds; ++kind) {
        const TransportLabel label = transport_label(static_cast<TransportKind>(kind));
        metrics.add<Metric::BytesReceived>(label, now.bytes_in[kind] - reported.bytes_in[kind]);
        metrics.add<Metric::BytesSent>(label, now.bytes_out[kind] - reported.bytes_out[kind]);
    }
    metrics.add<Metric::SocketReads>(now.reads - reported.reads);
    metrics.add<Metric::SocketWrites>(now.writes - reported.writes);
    reported = now;
}

void count_protocol_error(MetricsShard& metrics, const CloseCause& cause) {
    switch (cause.kind) {
        case CloseKind::FirstPacketNotConnect:
            metrics.add<Metric::ProtocolErrors>(ProtocolErrorLabel::NotConnected);
            return;
        case CloseKind::Malformed:
            metrics.add<Metric::ProtocolErrors>(ProtocolErrorLabel::Malformed);
            return;
        case CloseKind::ProtocolError:
            metrics.add<Metric::ProtocolErrors>(ProtocolErrorLabel::Protocol);
            return;
        case CloseKind::PacketTooLarge:
            metrics.add<Metric::ProtocolErrors>(ProtocolErrorLabel::TooLarge);
            return;
        case CloseKind::TopicInvalid:
            metrics.add<Metric::ProtocolErrors>(cause.reason == mqtt::ReasonCode::TopicFilterInvalid
                                                    ? ProtocolErrorLabel::TopicFilter
                                                    : ProtocolErrorLabel::TopicName);
            return;
        case CloseKind::TopicAliasInvalid:
            metrics.add<Metric::ProtocolErrors>(ProtocolErrorLabel::TopicAlias);
            return;
        case CloseKind::ReceiveMaximumExceeded:
            metrics.add<Metric::ProtocolErrors>(ProtocolErrorLabel::ReceiveMaximum);
            return;
        case CloseKind::NotSupported:
            metrics.add<Metric::ProtocolErrors>(ProtocolErrorLabel::QosNotSupported);
            return;
        case CloseKind::ClientDisconnect:
        case CloseKind::ClientDisconnectWithWill:
        case CloseKind::TransportClosed:
        case CloseKind::ConnectTimeout:
        case CloseKind::ConnectRefused:
        case CloseKind::QuotaExceeded:
        case CloseKind::KeepAliveTimeout:
        case CloseKind::TakenOver:
        case CloseKind::PublishRefused:
        case CloseKind::NotAuthorized:
        case CloseKind::ServerDisconnect:
            return;
    }
}

namespace {

void count_handshake_end(MetricsShard& metrics, EndCause cause, const Connection& connection) {
    TlsFailure reason = TlsFailure::Closed;
    if (cause == EndCause::TlsFailed) {
        const bool certificate = connection.close_detail().find("certificate") != std::string::npos;
        reason = certificate ? TlsFailure::Certificate : TlsFailure::Protocol;
    } else if (cause == EndCause::Server) {
        reason = TlsFailure::Timeout;
    }
    metrics.add<Metric::TlsHandshakeFailures>(reason);
}

}  // namespace

void count_end(MetricsShard& metrics, EndCause cause, const Connection& connection) {
    if (connection.handshaking() || (cause == EndCause::TlsFailed && connection.tls() == nullptr)) {
        count_handshake_end(metrics, cause, connection);
    }
    switch (cause) {
        case EndCause::TlsFailed:
            metrics.add<Metric::ProtocolErrors>(ProtocolErrorLabel::Tls);
            return;
        case EndCause::WebSocketFailed:
            metrics.add<Metric::ProtocolErrors>(ProtocolErrorLabel::WebSocket);
            return;
        case EndCause::ProxyFailed:
            metrics.add<Metric::ProtocolErrors>(ProtocolErrorLabel::ProxyHeader);
            return;
        case EndCause::Server:
        case EndCause::PeerClosed:
        case EndCause::PeerReset:
        case EndCause::WriteStalled:
        case EndCause::InputLimit:
        case EndCause::LoopStopped:
            return;
    }
}

}  // namespace quorate::broker
