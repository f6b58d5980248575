// libFuzzer target: any bytes as a configuration file and as --set.
// Oracle: refused as a whole with a message, or accepted with every option within its range.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "broker/config/option_list.h"
#include "broker/config/scalar.h"
#include "broker/config/yaml_loader.h"

namespace quorate::broker {
namespace {

void check(const Result<Config>& loaded) {
    if (!loaded) {
        if (loaded.error().message.empty()) std::abort();
        return;
    }
    Config config = *loaded;
    if (config.listeners.empty()) std::abort();
    for (const OptionRow& row : option_rows()) {
        const OptionRef ref = row.at(config);
        if (std::holds_alternative<std::vector<ListenerConfig>*>(ref)) continue;
        if (std::holds_alternative<std::vector<std::string>*>(ref)) continue;
        std::string text = value_text(row, config);
        if (text.starts_with('"')) text = text.substr(1, text.size() - 2);
        if (assign_scalar(row, ref, text)) std::abort();
    }
}

}  // namespace
}  // namespace quorate::broker

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace quorate::broker;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    check(parse_config(text, "fuzz.yaml"));
    ConfigSources sources;
    sources.sets.emplace_back(text);
    check(load_config(sources));
    return 0;
}
