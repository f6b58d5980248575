#include "cluster/link/transport.h"

#include <charconv>
#include <utility>

#include <arpa/inet.h>
#include <grpc/grpc_security_constants.h>
#include <grpc/support/log.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <netinet/in.h>
#include <quorate/v1/link.grpc.pb.h>

#include "cluster/link/tls_files.h"
#include "cluster/link/wire/batch.h"

namespace quorate::link {

namespace {

// gRPC's message limit is on the whole envelope; an item and its envelope fit with room to spare.
constexpr int kMessageMax = static_cast<int>(kMessageBytesMax);
constexpr int kStreamsMax = 128;
constexpr int kIdleConnectionMs = 10'000;
constexpr unsigned kReloadSeconds = 1;
constexpr int kIdentityOnly = 1;  // bit of "no compression" in the set of algorithms

using TlsOptions = grpc::experimental::TlsCredentialsOptions;

void share_files(const LinkTlsFiles& files, TlsOptions& options) {
    // style-exempt(shared_ptr): what gRPC's options take.
    auto provider = std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
        files.key, files.cert, files.ca, kReloadSeconds);
    options.set_certificate_provider(std::move(provider));
    options.watch_root_certs();
    options.watch_identity_key_cert_pairs();
}

grpc::ChannelArguments channel_arguments() {
    grpc::ChannelArguments out;
    out.SetMaxReceiveMessageSize(kMessageMax);
    out.SetMaxSendMessageSize(kMessageMax);
    out.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    out.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    out.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
    out.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
    out.SetInt(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, kIdentityOnly);
    return out;
}

// gRPC writes lines of its own to standard error, with a stranger's bytes in them and no limit.
// What of them matters comes back as a status, and is logged by us.
void drop_line(gpr_log_func_args* /*line*/) {}

std::string target_of(const HostAndPort& address) {
    const bool six = address.host.find(':') != std::string::npos;
    std::string out = six ? "ipv6:[" : "ipv4:";
    out.append(address.host).append(six ? "]:" : ":").append(std::to_string(address.port));
    return out;
}

}  // namespace

struct Transport::Impl {
    std::string listen;
    bool tls = false;
    bool plain_anywhere = false;
    // style-exempt(shared_ptr): what gRPC hands out and takes.
    std::shared_ptr<grpc::ServerCredentials> server{};
    // style-exempt(shared_ptr): as above.
    std::shared_ptr<grpc::ChannelCredentials> client{};
    v1::Link::AsyncService service{};
    std::unique_ptr<grpc::Server> running{};
};

Transport::Transport(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Transport::~Transport() = default;

Result<std::unique_ptr<Transport>> Transport::create(const LinkOptions& options) {
    const HostAndPort address = split_address(options.listen);
    if (!is_numeric(address.host)) {
        return Error{ErrorCode::InvalidArgument,
                     "links: expected a numeric address and a port, got " + options.listen};
    }
    gpr_set_log_function(&drop_line);
    auto impl = std::make_unique<Impl>();
    impl->listen = options.listen;
    if (!options.tls) {
        if (!is_loopback(address.host) && !options.allow_plaintext) {
            return Error{ErrorCode::InvalidArgument,
                         "links: " + options.listen +
                             " can be reached from other machines; expected certificates"};
        }
        impl->plain_anywhere = options.allow_plaintext;
        impl->server = grpc::InsecureServerCredentials();
        impl->client = grpc::InsecureChannelCredentials();
        return std::make_unique<Transport>(std::move(impl));
    }
    if (Status checked = check_tls_files(*options.tls, options.self); !checked) {
        return checked.error();
    }
    grpc::experimental::TlsServerCredentialsOptions server(nullptr);
    share_files(*options.tls, server);
    server.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
    grpc::experimental::TlsChannelCredentialsOptions client;
    share_files(*options.tls, client);
    client.set_verify_server_certs(true);
    client.set_check_call_host(false);
    // The chain is verified all the same; this one only looks at host names.
    // style-exempt(shared_ptr): what gRPC's options take.
    auto any_host = std::make_shared<grpc::experimental::NoOpCertificateVerifier>();
    client.set_certificate_verifier(std::move(any_host));
    impl->tls = true;
    impl->server = grpc::experimental::TlsServerCredentials(server);
    impl->client = grpc::experimental::TlsCredentials(client);
    return std::make_unique<Transport>(std::move(impl));
}

Result<Transport::Listening> Transport::listen() {
    Listening out;
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort(impl_->listen, impl_->server, &port);
    builder.RegisterService(&impl_->service);
    builder.SetMaxReceiveMessageSize(kMessageMax);
    builder.SetMaxSendMessageSize(kMessageMax);
    builder.AddChannelArgument(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, kIdentityOnly);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kStreamsMax);
    builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 5000);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, kIdleConnectionMs);
    // Two nodes on one port must be an error, not a lottery.
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    out.queue = builder.AddCompletionQueue();
    impl_->running = builder.BuildAndStart();
    if (impl_->running == nullptr || port == 0) {
        out.queue->Shutdown();
        void* tag = nullptr;
        bool ok = false;
        while (out.queue->Next(&tag, &ok)) {
        }
        return Error{ErrorCode::Io, "links: cannot listen on " + impl_->listen +
                                        "; it is in use, or not an address of this machine"};
    }
    out.port = static_cast<uint16_t>(port);
    return out;
}

void Transport::close() {
    if (impl_->running != nullptr) impl_->running->Shutdown(std::chrono::system_clock::now());
}

void Transport::request_stream(grpc::ServerContext& context, ConnectStream& stream,
                               grpc::ServerCompletionQueue& queue, void* tag) {
    impl_->service.RequestConnect(&context, &stream, &queue, &queue, tag);
}

void Transport::request_question(const AskRoom& room, grpc::ServerCompletionQueue& queue,
                                 void* tag) {
    impl_->service.RequestAsk(&room.context, &room.question, &room.writer, &queue, &queue, tag);
}

// style-exempt(shared_ptr): gRPC hands out channels in no other way.
std::shared_ptr<grpc::Channel> Transport::dial(const std::string& address) const {
    const HostAndPort split = split_address(address);
    if (!is_numeric(split.host)) return nullptr;
    if (!impl_->tls && !impl_->plain_anywhere && !is_loopback(split.host)) return nullptr;
    return grpc::CreateCustomChannel(target_of(split), impl_->client, channel_arguments());
}

bool Transport::tls() const {
    return impl_->tls;
}

Proof Transport::proof_of(
    // style-exempt(shared_ptr): what gRPC hands out.
    const std::shared_ptr<const grpc::AuthContext>& context) const {
    Proof proof;
    proof.tls = impl_->tls;
    if (!proof.tls || context == nullptr || !context->IsPeerAuthenticated()) return proof;
    for (const grpc::string_ref& uri : context->FindPropertyValues(GRPC_PEER_URI_PROPERTY_NAME)) {
        proof.uris.emplace_back(uri.data(), uri.size());
    }
    return proof;
}

HostAndPort split_address(const std::string& address) {
    const std::size_t colon = address.rfind(':');
    if (colon == std::string::npos || colon == 0) return {};
    HostAndPort out{address.substr(0, colon), 0};
    const char* end = address.data() + address.size();
    const auto [at, error] = std::from_chars(address.data() + colon + 1, end, out.port);
    if (error != std::errc() || at != end) return {};
    if (out.host.front() == '[' && out.host.back() == ']') {
        out.host = out.host.substr(1, out.host.size() - 2);
    } else if (out.host.find(':') != std::string::npos) {
        return {};
    }
    return out;
}

bool is_numeric(const std::string& host) {
    in6_addr room{};
    return ::inet_pton(AF_INET, host.c_str(), &room) == 1 ||
           ::inet_pton(AF_INET6, host.c_str(), &room) == 1;
}

bool is_loopback(const std::string& host) {
    in_addr four{};
    if (::inet_pton(AF_INET, host.c_str(), &four) == 1) return (ntohl(four.s_addr) >> 24U) == 127;
    in6_addr six{};
    return ::inet_pton(AF_INET6, host.c_str(), &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

}  // namespace quorate::link
