#include "broker/config/checks.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

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

// A part of topics ($SYS) and of a certificate's URI.
bool is_name(const std::string& text) {
    constexpr std::string_view kOthers = "-._";
    return text.size() <= 128 && std::ranges::all_of(text, [&](char c) {
               return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                      kOthers.find(c) != std::string_view::npos;
           });
}

void check_links(const ClusterConfig& cluster, std::vector<ConfigProblem>& problems) {
    const HostPort listen = cluster.listens_at();
    if (!listen.numeric() || listen.port == 0) {
        problems.push_back({"cluster.listen", "expected a numeric address and a port of its own"});
    }
    const bool everywhere = listen.host == "0.0.0.0" || listen.host == "::";
    if (everywhere && cluster.advertise.empty()) {
        problems.push_back({"cluster.advertise",
                            "expected what other nodes use to reach this one, because "
                            "cluster.listen is every address",
                            "cluster.listen"});
    } else if (!cluster.advertise.empty() && cluster.advertise.port == 0) {
        problems.push_back({"cluster.advertise", "expected a port"});
    }
    const TlsFiles& tls = cluster.tls;
    const auto unset = std::ranges::count(std::array{tls.cert, tls.key, tls.ca}, std::string());
    if (unset == 1 || unset == 2) {
        problems.push_back({"cluster.tls", "expected cert, key and ca, or none of them",
                            tls.ca.empty() ? "cluster.tls.cert" : "cluster.tls.ca"});
    }
    if (unset == 3 && !listen.local() && !cluster.allow_plaintext) {
        problems.push_back({"cluster.tls",
                            "expected cert, key and ca (or cluster.allow_plaintext: true), because "
                            "cluster.listen can be reached from other machines",
                            "cluster.listen"});
    }
}

void check_cluster(const Config& config, std::vector<ConfigProblem>& problems) {
    constexpr ByteSize kPacketMax = mib(3);  // an entry with it is an item of a link
    check_links(config.cluster, problems);
    if (!is_name(config.node.name)) {
        problems.push_back(
            {"node.name", "expected at most 128 letters, digits, dots, hyphens and underscores"});
    }
    if (config.mqtt.max_packet_size > kPacketMax) {
        problems.push_back(
            {"mqtt.max_packet_size", "expected at most 3MiB in a cluster", "cluster.seeds"});
    }
    if (config.storage.sync.interval) {
        problems.push_back({"storage.sync",
                            "expected always in a cluster: another node counts on what this one "
                            "has acknowledged",
                            "cluster.seeds"});
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
    if (config.cluster.clustered()) check_cluster(config, problems);
    return problems;
}

}  // namespace quorate::broker
