#include "broker/config/checks.h"

#include <algorithm>
#include <set>

#include "broker/config/address.h"

namespace quorate::broker {
namespace {

void check_listener(const ListenerConfig& listener, const std::string& option,
                    std::vector<ConfigProblem>& problems) {
    const TlsFiles& tls = listener.tls;
    if (listener.url.secure() && (tls.cert.empty() || tls.key.empty())) {
        problems.push_back({option, "expected tls.cert and tls.key for " + listener.url.text()});
    }
    if (!listener.url.secure() && tls != TlsFiles{}) {
        problems.push_back(
            {option, "expected tls:// or wss://, because tls is set, got " + listener.url.text()});
    }
    if (!listener.url.web_socket() && !listener.origins.empty()) {
        problems.push_back({option, "expected ws:// or wss://, because origins is set, got " +
                                        listener.url.text()});
    }
    if (tls.verify_client != VerifyClient::None && tls.ca.empty()) {
        problems.push_back({option, "expected tls.ca, because tls.verify_client is set"});
    }
}

void check_listeners(const Config& config, std::vector<ConfigProblem>& problems) {
    if (config.listeners.empty()) {
        problems.push_back({"listeners", "expected at least one"});
    }
    std::set<std::string> seen;
    for (size_t i = 0; i < config.listeners.size(); ++i) {
        const ListenerConfig& listener = config.listeners[i];
        const std::string option = "listeners[" + std::to_string(i) + "]";
        check_listener(listener, option, problems);
        const ListenerUrl& url = listener.url;
        const bool chosen_by_system = url.transport != Transport::Unix && url.port == 0;
        const std::string place =
            url.transport == Transport::Unix ? url.path : url.host + ":" + std::to_string(url.port);
        if (!chosen_by_system && !seen.insert(place).second) {
            problems.push_back({option, "expected an address of its own, " + place + " is taken"});
        }
    }
}

}  // namespace

std::vector<ConfigProblem> check_rules(const Config& config) {
    std::vector<ConfigProblem> problems;
    check_listeners(config, problems);
    if (config.auth.allow_anonymous == AllowAnonymous::Auto && !config.allow_anonymous()) {
        const auto public_one = std::ranges::find_if(
            config.listeners, [](const ListenerConfig& each) { return !each.url.local(); });
        const auto index = public_one - config.listeners.begin();
        problems.push_back(
            {"auth.allow_anonymous",
             "expected true or false, because a listener can be reached from other machines",
             "listeners[" + std::to_string(index) + "]"});
    }
    if (config.storage.disk_stop < config.storage.disk_high_water) {
        problems.push_back({"storage.disk_stop", "expected at least storage.disk_high_water",
                            "storage.disk_high_water"});
    }
    if (!config.cluster.seeds.empty()) {
        problems.push_back({"cluster.seeds", "expected none: this version runs a single node"});
    }
    return problems;
}

}  // namespace quorate::broker
