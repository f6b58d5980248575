// How gRPC is set up on both ends: credentials, channel arguments, limits; and what a certificate
// said.
#pragma once

#include <memory>
#include <string>

#include "cluster/link/link.h"
#include "cluster/link/wire/handshake.h"
#include "proto/base/result.h"

namespace grpc {
class AuthContext;
class Channel;
class ServerCompletionQueue;
class ServerContext;
template <class W>
class ServerAsyncResponseWriter;
template <class W, class R>
class ServerAsyncReaderWriter;
}  // namespace grpc

namespace quorate::v1 {
class Answer;
class FromAcceptor;
class FromDialer;
class Question;
}  // namespace quorate::v1

namespace quorate::link {

// *Thread*: the link thread, after listen(); close() another. *Owner*: LinkHost.
// TLS 1.2 (ECDHE and AEAD only) and 1.3. Both sides check the chain against the authority; whom a
// certificate names is judged with the greeting (handshake.h), because only that says who is meant.
class Transport {
  public:
    // Checks the files and the address. Errors: InvalidArgument, with the file and what is wrong.
    [[nodiscard]] static Result<std::unique_ptr<Transport>> create(const LinkOptions& options);
    ~Transport();
    Transport(const Transport&) = delete;
    Transport& operator=(const Transport&) = delete;

    struct Listening {
        std::unique_ptr<grpc::ServerCompletionQueue> queue;
        uint16_t port = 0;
    };
    // Starts the server. Errors: Io, when the address is in use or not ours.
    [[nodiscard]] Result<Listening> listen();
    // Cancels what has arrived and waits for it, while another thread drains the queue.
    void close();

    // Asks for the next stream or question; the tag comes out of the queue with it.
    using ConnectStream = grpc::ServerAsyncReaderWriter<v1::FromAcceptor, v1::FromDialer>;
    void request_stream(grpc::ServerContext& context, ConnectStream& stream,
                        grpc::ServerCompletionQueue& queue, void* tag);
    struct AskRoom {
        grpc::ServerContext& context;
        v1::Question& question;
        grpc::ServerAsyncResponseWriter<v1::Answer>& writer;
    };
    void request_question(const AskRoom& room, grpc::ServerCompletionQueue& queue, void* tag);

    // A channel of its own to one numeric address: no subchannel is shared, so that a broken one is
    // never inherited. Null when a plain connection would leave this machine unasked.
    // style-exempt(shared_ptr): gRPC hands out channels in no other way.
    [[nodiscard]] std::shared_ptr<grpc::Channel> dial(const std::string& address) const;

    [[nodiscard]] bool tls() const;
    // style-exempt(shared_ptr): as above.
    [[nodiscard]] Proof proof_of(const std::shared_ptr<const grpc::AuthContext>& context) const;

    struct Impl;  // only create() can make one
    explicit Transport(std::unique_ptr<Impl> impl);

  private:
    std::unique_ptr<Impl> impl_;
};

// Splits host:port; the host may be a name, IPv4, or IPv6 in brackets. Empty host: not an address.
struct HostAndPort {
    std::string host;  // without brackets
    uint16_t port = 0;
};
[[nodiscard]] HostAndPort split_address(const std::string& address);
// True for numeric addresses of this machine alone.
[[nodiscard]] bool is_loopback(const std::string& host);
[[nodiscard]] bool is_numeric(const std::string& host);

}  // namespace quorate::link
