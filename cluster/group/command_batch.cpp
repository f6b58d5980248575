#include "cluster/group/command_batch.h"

namespace quorate::cluster {
namespace {

constexpr uint8_t kVersion = 1;
constexpr uint8_t kStateCheck = 2;
// [version u8][time u64][count u32]
constexpr std::size_t kHeadBytes = 13;

}  // namespace

CommandBatch::CommandBatch() : buffer_(kHeadBytes, '\0') {}

void CommandBatch::add(std::string_view command) {
    RecordWriter(buffer_).text(command);
    ++count_;
    command_bytes_ += command.size();
}

SharedBytes CommandBatch::seal(ClusterTime time) {
    constexpr std::size_t kKeepBytes = std::size_t{2} << 20;
    std::string head;
    RecordWriter writer(head);
    writer.u8(kVersion);
    writer.id(time);
    writer.u32(count_);
    buffer_.replace(0, kHeadBytes, head);
    SharedBytes data(as_bytes(buffer_));
    buffer_.resize(kHeadBytes);
    if (buffer_.capacity() > kKeepBytes) buffer_.shrink_to_fit();
    count_ = 0;
    command_bytes_ = 0;
    return data;
}

SharedBytes encode_state_check(const StateDigest& digest) {
    std::string data;
    RecordWriter writer(data);
    writer.u8(kStateCheck);
    writer.id(digest.index);
    writer.u64(digest.digest);
    return SharedBytes(as_bytes(data));
}

std::optional<StateDigest> decode_state_check(std::string_view data) {
    RecordReader reader(data);
    if (reader.u8() != kStateCheck) return std::nullopt;
    StateDigest digest;
    digest.index = reader.id<LogIndex>();
    digest.digest = reader.u64();
    if (!reader.finished()) return std::nullopt;
    return digest;
}

CommandReader::CommandReader(std::string_view data) : reader_(data) {
    if (reader_.u8() != kVersion) reader_.fail();
    time_ = reader_.id<ClusterTime>();
    count_ = reader_.u32();
    left_ = count_;
}

std::optional<std::string_view> CommandReader::next() {
    if (left_ == 0) return std::nullopt;
    const std::string_view command = reader_.text();
    if (reader_.failed()) return std::nullopt;
    --left_;
    return command;
}

}  // namespace quorate::cluster
