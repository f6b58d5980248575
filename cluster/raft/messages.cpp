#include "cluster/raft/messages.h"

#include <algorithm>

namespace quorate::raft {
namespace {
constexpr uint8_t kConfigurationVersion = 1;
}

bool Configuration::contains(ReplicaId replica) const {
    return std::binary_search(voters.begin(), voters.end(), replica);
}

std::string encode(const Configuration& configuration) {
    std::string bytes;
    RecordWriter writer(bytes);
    writer.u8(kConfigurationVersion);
    writer.u32(static_cast<uint32_t>(configuration.voters.size()));
    for (const ReplicaId voter : configuration.voters) {
        writer.id(voter);
    }
    return bytes;
}

std::optional<Configuration> decode_configuration(std::string_view bytes) {
    RecordReader reader(bytes);
    if (reader.u8() != kConfigurationVersion) return std::nullopt;
    const uint32_t count = reader.u32();
    if (reader.failed() || reader.rest().size() != std::size_t{count} * sizeof(uint64_t)) {
        return std::nullopt;
    }
    Configuration configuration;
    for (uint32_t i = 0; i < count; ++i) {
        configuration.voters.push_back(reader.id<ReplicaId>());
    }
    const auto& voters = configuration.voters;
    // Sorted without repeats, and nobody is 0, which means "none".
    const bool sorted =
        std::adjacent_find(voters.begin(), voters.end(), std::greater_equal<>()) == voters.end();
    if (voters.empty() || !sorted || voters.front().value() == 0) return std::nullopt;
    return configuration;
}

}  // namespace quorate::raft
