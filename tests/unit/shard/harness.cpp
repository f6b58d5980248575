#include "tests/unit/shard/harness.h"

#include "proto/mqtt/message.h"
#include "tests/unit/catch.h"

namespace quorate::cluster::testing {

Harness::Harness(const ShardOptions& options, uint32_t shards) : options_(options) {
    identity_.shard = ShardId(0);
    identity_.layout.shards = shards;
    state_ = std::make_unique<ShardState>(identity_, options_);
    twin_ = std::make_unique<ShardState>(identity_, options_);
    REQUIRE(state_->load(store_).ok());
    REQUIRE(twin_->load(twin_store_).ok());
}

CommandHeader Harness::header(const Lane& lane) {
    CommandHeader header;
    header.lane = lane;
    header.number = ++numbers[lane];
    header.token = header.number.value() * 10;
    return header;
}

void Harness::apply(const CommandHeader& header, const CommandBody& body, bool checked) {
    std::string command;
    encode_command(command, header, body);
    apply_bytes(command, checked);
}

void Harness::apply_bytes(std::string_view command, bool checked) {
    actions.clear();
    storage::StateBatch batch;
    REQUIRE(state_->apply(now, command, batch, actions).ok());
    state_->end_entry(batch);
    REQUIRE(store_.write(batch).ok());

    Actions ignored;
    storage::StateBatch twin_batch;
    REQUIRE(twin_->apply(now, command, twin_batch, ignored).ok());
    twin_->end_entry(twin_batch);
    REQUIRE(twin_store_.write(twin_batch).ok());
    if (!checked) return;
    REQUIRE(state_->digest() == twin_->digest());
    REQUIRE(loaded()->digest() == state_->digest());
}

std::unique_ptr<ShardState> Harness::loaded() const {
    auto fresh = std::make_unique<ShardState>(identity_, options_);
    const Status status = fresh->load(store_);
    INFO((status.ok() ? std::string() : status.error().message));
    REQUIRE(status.ok());
    return fresh;
}

void Harness::restart() {
    state_ = loaded();
}

std::string flat(std::string_view topic, std::string_view payload, mqtt::QoS qos, bool retain,
                 std::optional<uint32_t> expiry_s, uint64_t publisher) {
    mqtt::MessageView view;
    view.topic = topic;
    view.payload = payload;
    view.qos = qos;
    view.retain = retain;
    view.message_expiry_s = expiry_s;
    view.publisher = publisher;
    std::string out;
    mqtt::encode_message(out, view);
    return out;
}

}  // namespace quorate::cluster::testing
