// libFuzzer target: any bytes as a WebSocket upgrade request, whole and in pieces.
// Oracle: both give the same answer, of a known status; no more is taken than the limit; an agreed
// upgrade has a subprotocol that we speak.
#include "broker/net/stages/http_upgrade.h"
#include "tests/fuzz/net_fuzz.h"

namespace quorate::broker {
namespace {

struct Outcome {
    HttpUpgrade::State state = HttpUpgrade::State::NeedMore;
    std::size_t taken = 0;
    std::string answer;
    std::string subprotocol;
    bool operator==(const Outcome&) const = default;
};

Outcome parse(std::string_view bytes, std::size_t step, const UpgradeRules& rules) {
    ChunkPool pool(1U << 16);
    OutputBuffer out(pool);
    HttpUpgrade upgrade(rules);
    Outcome outcome;
    while (!bytes.empty() && upgrade.state() == HttpUpgrade::State::NeedMore) {
        outcome.taken += upgrade.feed(as_bytes(bytes.substr(0, step)), out);
        bytes.remove_prefix(std::min(step, bytes.size()));
    }
    outcome.state = upgrade.state();
    outcome.answer = fuzz::drain(out);
    if (outcome.state == HttpUpgrade::State::Upgraded) outcome.subprotocol = upgrade.subprotocol();
    return outcome;
}

bool is_known(std::string_view status) {
    for (std::string_view known : {"101", "400", "403", "404", "426", "431"}) {
        if (status == known) return true;
    }
    return false;
}

}  // namespace
}  // namespace quorate::broker

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace quorate::broker;
    fuzz::SplitInput input(data, size);
    UpgradeRules rules;
    rules.origins = {"https://a.example"};
    Outcome whole = parse(input.bytes, input.bytes.size() + 1, rules);
    fuzz::require(parse(input.bytes, input.step, rules) == whole);
    fuzz::require(whole.taken <= UpgradeRules().header_bytes_max);
    if (whole.state == HttpUpgrade::State::NeedMore) {
        fuzz::require(whole.answer.empty());
        return 0;
    }
    fuzz::require(whole.answer.starts_with("HTTP/1.1 ") && is_known(whole.answer.substr(9, 3)));
    bool upgraded = whole.state == HttpUpgrade::State::Upgraded;
    fuzz::require(upgraded == (whole.answer.substr(9, 3) == "101"));
    if (upgraded) fuzz::require(whole.subprotocol == "mqtt" || whole.subprotocol == "mqttv3.1");
    return 0;
}
