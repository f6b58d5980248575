// Every metric of the server, one row each: the enum, the table and the exported text are all made
// from these rows, so they cannot drift apart.
//
// A row is METRIC(enumerator, kind, unit, name, label, help). Names follow Prometheus: base units,
// counters end in _total. A label is an enum below, so its cardinality is fixed here and each value
// is exported from the start at 0. Client ids, topics and users are never labels.
//
// kind: Counter only rises; Gauge may fall, and the shards' values add up; CounterSet and GaugeSet
// are written whole by one place at the time of a scrape; Histogram has the buckets of its unit.
// unit: None; Seconds, recorded in nanoseconds; Bytes; Items, a count with buckets of its own.
#pragma once

// clang-format off
#define QUORATE_LABEL_NONE(VALUE) VALUE(Only, "")
#define QUORATE_LABEL_PROTOCOL(VALUE) \
    VALUE(Mqtt31, "3.1") VALUE(Mqtt311, "3.1.1") VALUE(Mqtt5, "5.0")
#define QUORATE_LABEL_TRANSPORT(VALUE) \
    VALUE(Tcp, "tcp") VALUE(Tls, "tls") VALUE(WebSocket, "ws") VALUE(SecureWebSocket, "wss") \
    VALUE(Unix, "unix")
#define QUORATE_LABEL_CONNECT_RESULT(VALUE) \
    VALUE(Accepted, "accepted") VALUE(BadProtocol, "bad_protocol") \
    VALUE(BadClientId, "bad_client_id") VALUE(BadCredentials, "bad_credentials") \
    VALUE(NotAuthorized, "not_authorized") VALUE(Busy, "busy") \
    VALUE(Unavailable, "unavailable") VALUE(Quota, "quota") VALUE(RateLimited, "rate_limited") \
    VALUE(Malformed, "malformed") VALUE(Timeout, "timeout") VALUE(Other, "other")
#define QUORATE_LABEL_DISCONNECT_REASON(VALUE) \
    VALUE(Normal, "normal") VALUE(WithWill, "with_will") VALUE(ClientClosed, "client_closed") \
    VALUE(ClientError, "client_error") VALUE(KeepAlive, "keep_alive_timeout") \
    VALUE(TakenOver, "session_taken_over") VALUE(ProtocolError, "protocol_error") \
    VALUE(Malformed, "malformed_packet") VALUE(TooLarge, "packet_too_large") \
    VALUE(Quota, "quota_exceeded") VALUE(SlowReader, "slow_reader") \
    VALUE(NotAuthorized, "not_authorized") VALUE(Administrative, "administrative") \
    VALUE(ServerShutdown, "server_shutdown") VALUE(Memory, "memory_pressure") \
    VALUE(Unavailable, "unavailable") VALUE(IoError, "io_error") VALUE(Other, "other")
#define QUORATE_LABEL_PACKET_TYPE(VALUE) \
    VALUE(Connect, "connect") VALUE(Connack, "connack") VALUE(Publish, "publish") \
    VALUE(Puback, "puback") VALUE(Pubrec, "pubrec") VALUE(Pubrel, "pubrel") \
    VALUE(Pubcomp, "pubcomp") VALUE(Subscribe, "subscribe") VALUE(Suback, "suback") \
    VALUE(Unsubscribe, "unsubscribe") VALUE(Unsuback, "unsuback") VALUE(Pingreq, "pingreq") \
    VALUE(Pingresp, "pingresp") VALUE(Disconnect, "disconnect") VALUE(Auth, "auth")
#define QUORATE_LABEL_PROTOCOL_ERROR(VALUE) \
    VALUE(Malformed, "malformed_packet") VALUE(Protocol, "protocol_error") \
    VALUE(NotConnected, "first_packet_not_connect") VALUE(TooLarge, "packet_too_large") \
    VALUE(TopicName, "topic_name_invalid") VALUE(TopicFilter, "topic_filter_invalid") \
    VALUE(TopicAlias, "topic_alias_invalid") VALUE(ReceiveMaximum, "receive_maximum_exceeded") \
    VALUE(QosNotSupported, "qos_not_supported") VALUE(UserProperties, "user_properties") \
    VALUE(WebSocket, "websocket") VALUE(ProxyHeader, "proxy_header") VALUE(Http, "http") \
    VALUE(Tls, "tls")
#define QUORATE_LABEL_LIMIT(VALUE) \
    VALUE(ConnectRate, "connect_rate") VALUE(ConnectRateAddress, "connect_rate_per_address") \
    VALUE(Connections, "max_connections") VALUE(Unauthenticated, "max_unauthenticated") \
    VALUE(UnauthenticatedBytes, "max_unauthenticated_bytes") \
    VALUE(TlsHandshakes, "max_tls_handshakes") VALUE(Descriptors, "fd_reserve") \
    VALUE(PublishRate, "publish_rate") VALUE(PublishBytes, "publish_bytes") \
    VALUE(PublishCredit, "publish_credit") VALUE(Takeovers, "takeover_rate") \
    VALUE(AuthFailures, "auth_failure_rate") VALUE(Subscriptions, "max_subscriptions") \
    VALUE(SharedGroups, "max_shared_groups") VALUE(Sessions, "max_sessions") \
    VALUE(Retained, "retained_max") VALUE(RetainedScans, "retained_scans") \
    VALUE(Memory, "memory_high_water") VALUE(Disk, "disk")
#define QUORATE_LABEL_SESSION_STATE(VALUE) VALUE(Connected, "connected") VALUE(Offline, "offline")
#define QUORATE_LABEL_QOS(VALUE) VALUE(Qos0, "0") VALUE(Qos1, "1") VALUE(Qos2, "2")
#define QUORATE_LABEL_DROP_REASON(VALUE) \
    VALUE(QueueMessages, "queue_messages") VALUE(QueueBytes, "queue_bytes") \
    VALUE(Qos0Queue, "qos0_queue") VALUE(Expired, "expired") VALUE(TooLarge, "too_large") \
    VALUE(Denied, "denied") VALUE(OutboxFull, "outbox_full") VALUE(Timeout, "publish_timeout") \
    VALUE(NoQuorum, "no_quorum") VALUE(Purged, "purged") VALUE(SessionEnded, "session_ended") \
    VALUE(Refused, "refused") VALUE(Memory, "memory_pressure") VALUE(ThreadBusy, "thread_busy")
#define QUORATE_LABEL_DIRECTION(VALUE) VALUE(In, "in") VALUE(Out, "out")
#define QUORATE_LABEL_SCOPE(VALUE) VALUE(Local, "local") VALUE(Remote, "remote")
#define QUORATE_LABEL_ROUTE_KIND(VALUE) \
    VALUE(Exact, "exact") VALUE(Wildcard, "wildcard") VALUE(Node, "node")
#define QUORATE_LABEL_STAGE(VALUE) \
    VALUE(Loop, "loop") VALUE(Worker, "worker") VALUE(LogWriter, "log_writer") VALUE(Pool, "pool")
#define QUORATE_LABEL_LOG_LEVEL(VALUE) \
    VALUE(Error, "error") VALUE(Warn, "warn") VALUE(Info, "info") VALUE(Debug, "debug")
#define QUORATE_LABEL_RESULT(VALUE) VALUE(Ok, "ok") VALUE(Failed, "failed")
#define QUORATE_LABEL_STORAGE_OP(VALUE) \
    VALUE(Open, "open") VALUE(Read, "read") VALUE(Write, "write") VALUE(Sync, "sync") \
    VALUE(Flush, "flush") VALUE(Compact, "compact")
#define QUORATE_LABEL_TLS_FAILURE(VALUE) \
    VALUE(Protocol, "protocol") VALUE(Certificate, "certificate") VALUE(Timeout, "timeout") \
    VALUE(Closed, "closed")
#define QUORATE_LABEL_AUTH_RESULT(VALUE) \
    VALUE(Anonymous, "anonymous") VALUE(Accepted, "accepted") VALUE(Refused, "refused")
#define QUORATE_LABEL_RAFT_ROLE(VALUE) \
    VALUE(Leader, "leader") VALUE(Follower, "follower") VALUE(Candidate, "candidate") \
    VALUE(Learner, "learner")
#define QUORATE_LABEL_HTTP_STATUS(VALUE) \
    VALUE(Ok, "200") VALUE(BadRequest, "400") VALUE(NotFound, "404") VALUE(Method, "405") \
    VALUE(TooLarge, "431") VALUE(Unavailable, "503")
#define QUORATE_LABEL_TRAFFIC_CLASS(VALUE) \
    VALUE(Consensus, "consensus") VALUE(Publishes, "publishes") VALUE(Bulk, "bulk")
#define QUORATE_LABEL_LINK_REFUSAL(VALUE) \
    VALUE(Malformed, "malformed") VALUE(Version, "version") VALUE(Cluster, "cluster_id") \
    VALUE(OwnNode, "own_node_id") VALUE(UnknownNode, "unknown_node") \
    VALUE(OldIncarnation, "old_incarnation") VALUE(OldEpoch, "old_epoch") \
    VALUE(Identity, "certificate_identity") VALUE(NotMember, "not_a_member") \
    VALUE(Timeout, "timeout") VALUE(Limit, "limit")
#define QUORATE_LABEL_LINK_END(VALUE) \
    VALUE(Closed, "closed") VALUE(Silent, "silent") VALUE(Malformed, "malformed") \
    VALUE(Window, "window") VALUE(Replaced, "replaced") VALUE(Removed, "removed") \
    VALUE(Refused, "refused") VALUE(Unreachable, "unreachable") VALUE(Stopped, "stopped")

// LABEL(type, key, values)
#define QUORATE_METRIC_LABELS(LABEL) \
    LABEL(NoLabel, "", QUORATE_LABEL_NONE) \
    LABEL(ProtocolLabel, "protocol", QUORATE_LABEL_PROTOCOL) \
    LABEL(TransportLabel, "transport", QUORATE_LABEL_TRANSPORT) \
    LABEL(ConnectResult, "result", QUORATE_LABEL_CONNECT_RESULT) \
    LABEL(DisconnectReason, "reason", QUORATE_LABEL_DISCONNECT_REASON) \
    LABEL(PacketTypeLabel, "type", QUORATE_LABEL_PACKET_TYPE) \
    LABEL(ProtocolErrorLabel, "reason", QUORATE_LABEL_PROTOCOL_ERROR) \
    LABEL(LimitLabel, "limit", QUORATE_LABEL_LIMIT) \
    LABEL(SessionStateLabel, "state", QUORATE_LABEL_SESSION_STATE) \
    LABEL(QosLabel, "qos", QUORATE_LABEL_QOS) \
    LABEL(DropReason, "reason", QUORATE_LABEL_DROP_REASON) \
    LABEL(DirectionLabel, "dir", QUORATE_LABEL_DIRECTION) \
    LABEL(ScopeLabel, "scope", QUORATE_LABEL_SCOPE) \
    LABEL(RouteKindLabel, "kind", QUORATE_LABEL_ROUTE_KIND) \
    LABEL(StageLabel, "stage", QUORATE_LABEL_STAGE) \
    LABEL(LogLevelLabel, "level", QUORATE_LABEL_LOG_LEVEL) \
    LABEL(ResultLabel, "result", QUORATE_LABEL_RESULT) \
    LABEL(StorageOpLabel, "op", QUORATE_LABEL_STORAGE_OP) \
    LABEL(TlsFailure, "reason", QUORATE_LABEL_TLS_FAILURE) \
    LABEL(AuthResult, "result", QUORATE_LABEL_AUTH_RESULT) \
    LABEL(RaftRoleLabel, "role", QUORATE_LABEL_RAFT_ROLE) \
    LABEL(HttpStatusLabel, "code", QUORATE_LABEL_HTTP_STATUS) \
    LABEL(TrafficClass, "class", QUORATE_LABEL_TRAFFIC_CLASS) \
    LABEL(LinkRefusal, "reason", QUORATE_LABEL_LINK_REFUSAL) \
    LABEL(LinkEnd, "reason", QUORATE_LABEL_LINK_END)

#define QUORATE_METRICS(METRIC) \
    METRIC(StartTime, GaugeSet, Seconds, "quorate_start_time_seconds", NoLabel, \
           "Start of this process, in seconds since the Unix epoch.") \
    METRIC(ProcessStartTime, GaugeSet, Seconds, "process_start_time_seconds", NoLabel, \
           "Start of this process, in seconds since the Unix epoch.") \
    METRIC(ProcessCpu, CounterSet, Seconds, "process_cpu_seconds_total", NoLabel, \
           "User and system CPU time of this process.") \
    METRIC(ProcessResident, GaugeSet, Bytes, "process_resident_memory_bytes", NoLabel, \
           "Resident memory of this process.") \
    METRIC(ProcessVirtual, GaugeSet, Bytes, "process_virtual_memory_bytes", NoLabel, \
           "Virtual memory of this process.") \
    METRIC(ProcessOpenFds, GaugeSet, None, "process_open_fds", NoLabel, \
           "Open file descriptors.") \
    METRIC(ProcessMaxFds, GaugeSet, None, "process_max_fds", NoLabel, \
           "File descriptors this process may open.") \
    METRIC(MemoryLimit, GaugeSet, Bytes, "quorate_memory_limit_bytes", NoLabel, \
           "Memory above which the server begins to refuse work; 0: no limit.") \
    METRIC(DiskFree, GaugeSet, Bytes, "quorate_disk_free_bytes", NoLabel, \
           "Free space of the file system with the data directory.") \
    METRIC(DiskUsed, GaugeSet, Bytes, "quorate_disk_used_bytes", NoLabel, \
           "Used space of the file system with the data directory.") \
    METRIC(OverloadLevel, GaugeSet, None, "quorate_overload_level", NoLabel, \
           "0: none, 1: publishers are paused, 2: connects are refused, 3: buffers are closed.") \
    METRIC(Ready, GaugeSet, None, "quorate_ready", NoLabel, \
           "1 while this node serves clients.") \
    METRIC(EventLoopDelay, Histogram, Seconds, "quorate_event_loop_delay_seconds", NoLabel, \
           "How late a timer of a front-end loop fires.") \
    METRIC(EventLoopBusy, Counter, Seconds, "quorate_event_loop_busy_seconds_total", NoLabel, \
           "Time the front-end loops did not wait.") \
    METRIC(QueueDepth, Gauge, None, "quorate_queue_depth", StageLabel, \
           "Items that wait in the mailboxes of a stage.") \
    METRIC(UnreadBytes, GaugeSet, Bytes, "quorate_unread_bytes", NoLabel, \
           "Messages handed from one thread to another and not yet read there.") \
    METRIC(QueueRefused, Counter, None, "quorate_queue_refused_total", StageLabel, \
           "Items that a full mailbox refused.") \
    METRIC(LogMessages, CounterSet, None, "quorate_log_messages_total", LogLevelLabel, \
           "Lines written to the log.") \
    METRIC(LogSuppressed, CounterSet, None, "quorate_log_suppressed_total", NoLabel, \
           "Log lines held back by the rate limit.") \
    METRIC(LogLost, CounterSet, None, "quorate_log_lost_total", NoLabel, \
           "Log lines lost because the writer was behind or the target failed.") \
    METRIC(ConfigReload, Counter, None, "quorate_config_reload_total", ResultLabel, \
           "Reloads of the configuration.") \
    METRIC(HttpRequests, Counter, None, "quorate_http_requests_total", HttpStatusLabel, \
           "Requests to the metrics and health endpoint.") \
    METRIC(Connections, Gauge, None, "quorate_connections", ProtocolLabel, \
           "Connected clients.") \
    METRIC(Sockets, Gauge, None, "quorate_sockets", TransportLabel, \
           "Open client sockets, connected to a session or not yet.") \
    METRIC(ConnectionLimit, GaugeSet, None, "quorate_connection_limit", NoLabel, \
           "Sum of max_connections over all listeners.") \
    METRIC(Connects, Counter, None, "quorate_connects_total", ConnectResult, \
           "CONNECT packets by result.") \
    METRIC(Disconnects, Counter, None, "quorate_disconnects_total", DisconnectReason, \
           "Ended connections of clients by reason.") \
    METRIC(ConnectDuration, Histogram, Seconds, "quorate_connect_duration_seconds", NoLabel, \
           "From the accept of the socket to CONNACK.") \
    METRIC(TlsHandshake, Histogram, Seconds, "quorate_tls_handshake_seconds", NoLabel, \
           "Duration of completed TLS handshakes.") \
    METRIC(TlsHandshakeFailures, Counter, None, "quorate_tls_handshake_failures_total", \
           TlsFailure, "Failed TLS handshakes.") \
    METRIC(Auth, Counter, None, "quorate_auth_total", AuthResult, \
           "Authentications by result.") \
    METRIC(BytesReceived, Counter, Bytes, "quorate_bytes_received_total", TransportLabel, \
           "Bytes read from client sockets.") \
    METRIC(BytesSent, Counter, Bytes, "quorate_bytes_sent_total", TransportLabel, \
           "Bytes written to client sockets.") \
    METRIC(SocketReads, Counter, None, "quorate_socket_reads_total", NoLabel, \
           "Reads from client sockets.") \
    METRIC(SocketWrites, Counter, None, "quorate_socket_writes_total", NoLabel, \
           "Writes to client sockets.") \
    METRIC(PacketsReceived, Counter, None, "quorate_packets_received_total", PacketTypeLabel, \
           "MQTT packets received.") \
    METRIC(PacketsSent, Counter, None, "quorate_packets_sent_total", PacketTypeLabel, \
           "MQTT packets sent.") \
    METRIC(ProtocolErrors, Counter, None, "quorate_protocol_errors_total", ProtocolErrorLabel, \
           "Violations of the protocol by clients.") \
    METRIC(Throttled, Counter, None, "quorate_throttled_total", LimitLabel, \
           "Times a limit slowed down or refused a client.") \
    METRIC(KeepAliveTimeouts, Counter, None, "quorate_keepalive_timeouts_total", NoLabel, \
           "Connections closed because the client was silent for 1.5 times its keep-alive.") \
    METRIC(OutputBuffered, Gauge, Bytes, "quorate_output_buffered_bytes", NoLabel, \
           "Bytes that wait to be written to client sockets.") \
    METRIC(Sessions, Gauge, None, "quorate_sessions", SessionStateLabel, \
           "Sessions that this node leads or holds.") \
    METRIC(SessionsCreated, Counter, None, "quorate_sessions_created_total", NoLabel, \
           "Sessions made.") \
    METRIC(SessionsExpired, Counter, None, "quorate_sessions_expired_total", NoLabel, \
           "Sessions ended by their expiry interval.") \
    METRIC(SessionTakeovers, Counter, None, "quorate_session_takeovers_total", ScopeLabel, \
           "Connections ended because their client id connected again.") \
    METRIC(Subscriptions, Gauge, None, "quorate_subscriptions", NoLabel, \
           "Subscriptions of all sessions.") \
    METRIC(SharedGroups, Gauge, None, "quorate_shared_groups", NoLabel, \
           "Shared subscription groups.") \
    METRIC(WillsPending, Gauge, None, "quorate_wills_pending", NoLabel, \
           "Wills that wait for their delay.") \
    METRIC(WillsPublished, Counter, None, "quorate_wills_published_total", NoLabel, \
           "Wills published.") \
    METRIC(PublishReceived, Counter, None, "quorate_publish_received_total", QosLabel, \
           "PUBLISH packets accepted from clients.") \
    METRIC(PublishDelivered, Counter, None, "quorate_publish_delivered_total", QosLabel, \
           "PUBLISH packets sent to clients.") \
    METRIC(PublishDropped, Counter, None, "quorate_publish_dropped_total", DropReason, \
           "Messages that were not delivered to a subscriber, by reason.") \
    METRIC(PublishUnmatched, Counter, None, "quorate_publish_unmatched_total", NoLabel, \
           "Messages that matched no subscription.") \
    METRIC(PublishAck, Histogram, Seconds, "quorate_publish_ack_seconds", QosLabel, \
           "From the reading of a PUBLISH to its PUBACK or PUBREC.") \
    METRIC(Inflight, Gauge, None, "quorate_inflight_messages", DirectionLabel, \
           "Messages of QoS 1 and 2 that are not yet acknowledged.") \
    METRIC(QueuedMessages, Gauge, None, "quorate_queued_messages", NoLabel, \
           "Messages in the queues of sessions.") \
    METRIC(QueuedBytes, Gauge, Bytes, "quorate_queued_bytes", NoLabel, \
           "Bytes of the messages in the queues of sessions.") \
    METRIC(RetainedMessages, Gauge, None, "quorate_retained_messages", NoLabel, \
           "Retained messages.") \
    METRIC(RetainedBytes, Gauge, Bytes, "quorate_retained_bytes", NoLabel, \
           "Bytes of retained messages with their topics.") \
    METRIC(RetainedLookups, Counter, None, "quorate_retained_lookups_total", NoLabel, \
           "Scans of the retained messages for a new subscription.") \
    METRIC(RoutingFanout, Histogram, Items, "quorate_routing_fanout", NoLabel, \
           "Subscriptions that a PUBLISH matched; one in 64 is sampled.") \
    METRIC(Match, Histogram, Seconds, "quorate_match_seconds", NoLabel, \
           "Time to match a topic; one in 64 is sampled.") \
    METRIC(Routes, Gauge, None, "quorate_routes", RouteKindLabel, \
           "Routes from topic filters to destinations.") \
    METRIC(Redeliveries, Counter, None, "quorate_redeliveries_total", NoLabel, \
           "PUBLISH packets sent with DUP 1.") \
    METRIC(RaftGroups, Gauge, None, "quorate_raft_groups", RaftRoleLabel, \
           "Raft groups by the role of this node.") \
    METRIC(RaftStopped, Gauge, None, "quorate_raft_replicas_stopped", NoLabel, \
           "Replicas of this node that take no part: damaged, forgetful, or not in their " \
           "leader's state. The log says which, why, and how they are rebuilt.") \
    METRIC(RaftStateChecks, Counter, None, "quorate_raft_state_checks_total", ResultLabel, \
           "Comparisons of a replica's state with its leader's; a failed one stops it.") \
    METRIC(RaftAppendsRefused, Counter, None, "quorate_raft_appends_refused_total", NoLabel, \
           "Appends of leaders that this node did not take because its disk is full.") \
    METRIC(RaftElections, Counter, None, "quorate_raft_elections_total", ResultLabel, \
           "Elections this node stood in.") \
    METRIC(RaftLeaderChanges, Counter, None, "quorate_raft_leader_changes_total", NoLabel, \
           "Changes of leader seen over all groups.") \
    METRIC(RaftProposals, Counter, None, "quorate_raft_proposals_total", NoLabel, \
           "Entries proposed.") \
    METRIC(RaftProposalsFailed, Counter, None, "quorate_raft_proposals_failed_total", NoLabel, \
           "Entries refused or lost with the leadership.") \
    METRIC(RaftProposalsPending, Gauge, None, "quorate_raft_proposals_pending", NoLabel, \
           "Entries proposed and not yet applied.") \
    METRIC(RaftCommands, Counter, None, "quorate_raft_commands_total", NoLabel, \
           "Commands in applied entries.") \
    METRIC(RaftCommit, Histogram, Seconds, "quorate_raft_commit_seconds", NoLabel, \
           "From the proposal of an entry to its commit.") \
    METRIC(RaftApply, Histogram, Seconds, "quorate_raft_apply_seconds", NoLabel, \
           "Time to apply a batch of committed entries.") \
    METRIC(RaftFsync, Histogram, Seconds, "quorate_raft_fsync_seconds", NoLabel, \
           "Time of one write and sync of the Raft log of all groups.") \
    METRIC(RaftLogBytes, Gauge, Bytes, "quorate_raft_log_bytes", NoLabel, \
           "Bytes of entries in the Raft logs that are not yet cut.") \
    METRIC(RaftReadIndex, Histogram, Seconds, "quorate_raft_read_index_seconds", NoLabel, \
           "Time of a linearizable read.") \
    METRIC(WalWrite, Histogram, Seconds, "quorate_wal_write_seconds", NoLabel, \
           "Time of one write to the log without its sync.") \
    METRIC(WalBatchEntries, Histogram, Items, "quorate_wal_batch_entries", NoLabel, \
           "Raft entries that shared one sync.") \
    METRIC(StorageErrors, Counter, None, "quorate_storage_errors_total", StorageOpLabel, \
           "Errors of the storage engine.") \
    METRIC(CorruptionDetected, Counter, None, "quorate_corruption_detected_total", NoLabel, \
           "Stored records that failed their checksum.") \
    METRIC(LinkStreamsOut, Gauge, None, "quorate_link_streams_out", TrafficClass, \
           "Open streams to other nodes.") \
    METRIC(LinkStreamsIn, Gauge, None, "quorate_link_streams_in", TrafficClass, \
           "Open streams from other nodes.") \
    METRIC(LinkBytesSent, Counter, Bytes, "quorate_link_bytes_sent_total", TrafficClass, \
           "Bytes of items sent to other nodes.") \
    METRIC(LinkBytesReceived, Counter, Bytes, "quorate_link_bytes_received_total", TrafficClass, \
           "Bytes of items received from other nodes.") \
    METRIC(LinkItemsSent, Counter, None, "quorate_link_items_sent_total", TrafficClass, \
           "Items sent to other nodes.") \
    METRIC(LinkItemsReceived, Counter, None, "quorate_link_items_received_total", TrafficClass, \
           "Items received from other nodes.") \
    METRIC(LinkBatchesSent, Counter, None, "quorate_link_batches_sent_total", TrafficClass, \
           "Batches sent to other nodes.") \
    METRIC(LinkBatchesReceived, Counter, None, "quorate_link_batches_received_total", \
           TrafficClass, "Batches received from other nodes.") \
    METRIC(LinkQueueBytes, Gauge, Bytes, "quorate_link_send_queue_bytes", TrafficClass, \
           "Bytes that wait to be sent to other nodes.") \
    METRIC(LinkFull, Counter, None, "quorate_link_full_total", TrafficClass, \
           "Items that a full queue dropped (consensus) or refused.") \
    METRIC(LinkLost, Counter, None, "quorate_link_lost_total", TrafficClass, \
           "Queued items dropped because their stream ended.") \
    METRIC(LinkUnread, Gauge, Bytes, "quorate_link_unread_bytes", TrafficClass, \
           "Bytes received from other nodes and not yet let go.") \
    METRIC(LinkRefused, Counter, None, "quorate_link_refused_total", LinkRefusal, \
           "Greetings of other nodes or strangers that this node refused.") \
    METRIC(LinkRefusedByPeer, Counter, None, "quorate_link_refused_by_peer_total", LinkRefusal, \
           "Greetings of this node that another one refused.") \
    METRIC(LinkReset, Counter, None, "quorate_link_reset_total", LinkEnd, \
           "Ended streams and failed attempts to open one.") \
    METRIC(LinkReconnects, Counter, None, "quorate_link_reconnects_total", TrafficClass, \
           "Attempts to open a stream to another node.") \
    METRIC(LinkRtt, Histogram, Seconds, "quorate_link_rtt_seconds", TrafficClass, \
           "Round trip of a ping on a stream.") \
    METRIC(LinkCalls, Counter, None, "quorate_link_calls_total", ResultLabel, \
           "Calls of this node answered by another node, or failed.") \
    METRIC(LinkCallsServed, Counter, None, "quorate_link_calls_served_total", ResultLabel, \
           "Calls of other nodes that this node answered, or failed.")
// clang-format on
