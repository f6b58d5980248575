// The sessions of a shard by id, by Client Identifier and by the incarnation that holds their
// connection, and the writing of their records.
//
// Changes to a session are marked and written once per Raft entry, so that a burst of messages
// and acknowledgements costs one cursor record.
//
// Thread: the shard's worker. Owner: ShardState. Errors: load answers Corrupt with the key.
// Spec: rules.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cluster/sessions/session.h"
#include "cluster/sessions/timers.h"
#include "proto/base/ids.h"
#include "proto/base/result.h"

namespace quorate::storage {
class StateBatch;
class StateStore;
}  // namespace quorate::storage

namespace quorate::cluster {

class SubscriptionIndex;

class SessionTable {
  public:
    enum Dirty : uint8_t { kRecord = 1, kCursor = 2, kReceived = 4 };

    [[nodiscard]] Session* find(SessionId id);
    [[nodiscard]] const Session* find(SessionId id) const;
    [[nodiscard]] Session* find(std::string_view client_id);
    [[nodiscard]] const Session* find(std::string_view client_id) const;

    // Of the first message of every session made from now on.
    void set_first_number(MessageNumber number) { first_number_ = number; }
    // Requires: no session has this client id.
    Session& create(std::string_view client_id, std::string_view identity, bool durable);
    // Removes it and all its records. Requires: timers and body references are dealt with.
    void erase(Session& session, storage::StateBatch& batch);

    void attach(Session& session, const Attachment& attachment);
    void detach(Session& session);
    // Sessions held by this or an earlier incarnation of the node, at most `max`, by incarnation
    // and id.
    [[nodiscard]] std::vector<SessionId> held_by(Incarnation incarnation, std::size_t max) const;
    [[nodiscard]] std::vector<Incarnation> incarnations() const;

    void mark(Session& session, uint8_t dirty);
    // `free_queue`: remove what was acknowledged now, whatever little it is (the session went
    // away).
    void free_queue(Session& session, bool now, storage::StateBatch& batch);
    void end_entry(storage::StateBatch& batch);

    // In order of id.
    [[nodiscard]] std::vector<const Session*> ordered(SessionId after, std::size_t max) const;
    [[nodiscard]] uint64_t size() const { return by_id_.size(); }
    [[nodiscard]] uint64_t attached() const { return attached_; }
    [[nodiscard]] uint64_t durable() const { return durable_; }
    [[nodiscard]] SessionId next_id() const { return next_id_; }
    [[nodiscard]] uint64_t digest() const;

    // Start.
    void set_next_id(SessionId id) { next_id_ = id; }
    // Sessions, then cursors, entries, received ids and subscriptions; arms the timers.
    [[nodiscard]] Status load(const storage::StateStore& store, MessageStore& bodies,
                              SubscriptionIndex& subscriptions, Timers& timers);
    // One record of any of the families above, in that order.
    [[nodiscard]] Status load_record(std::string_view key, std::string_view value,
                                     MessageStore& bodies, SubscriptionIndex& subscriptions);

  private:
    void write(Session& session, storage::StateBatch& batch);
    [[nodiscard]] bool load_session(SessionId id, std::string_view value, MessageStore& bodies);
    [[nodiscard]] static bool load_entry(Session& session, uint64_t number, std::string_view value,
                                         MessageStore& bodies);
    [[nodiscard]] static bool load_subscription(Session& session, std::string_view filter,
                                                std::string_view value,
                                                SubscriptionIndex& subscriptions);
    [[nodiscard]] static bool load_replay(Session& session, std::string_view filter,
                                          std::string_view value);

    SessionId next_id_{1};
    MessageNumber first_number_{1};
    std::unordered_map<uint64_t, std::unique_ptr<Session>> by_id_;  // order never shows
    std::unordered_map<std::string_view, Session*> by_client_;      // keys live in the sessions
    std::set<std::pair<Incarnation, SessionId>> held_;
    std::vector<SessionId> dirty_;
    uint64_t attached_ = 0;
    uint64_t durable_ = 0;
};

}  // namespace quorate::cluster
