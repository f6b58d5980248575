#include "cluster/link/link.h"

#include <atomic>
#include <future>
#include <mutex>
#include <thread>
#include <utility>

#include <grpcpp/grpcpp.h>
#include <pthread.h>

#include "cluster/link/core.h"
#include "cluster/link/transport.h"

namespace quorate::link {

AnswerDoor::AnswerDoor(LoopDoor door, std::function<void(Result<std::string>)> give)
    : door_(std::move(door)), give_(std::move(give)) {}
AnswerDoor::AnswerDoor(AnswerDoor&& other) noexcept
    : door_(std::move(other.door_)), give_(std::exchange(other.give_, nullptr)) {}
AnswerDoor& AnswerDoor::operator=(AnswerDoor&& other) noexcept {
    std::swap(door_, other.door_);
    std::swap(give_, other.give_);
    return *this;
}
AnswerDoor::~AnswerDoor() {
    answer(Error{ErrorCode::Unavailable, "nobody answered"});
}

void AnswerDoor::answer(Result<std::string> result) {
    if (!give_) return;
    // Its place was reserved when the question was taken.
    door_.post_reserved([give = std::exchange(give_, nullptr),
                         result = std::move(result)]() mutable { give(std::move(result)); });
}

class LinkHost::Impl {
  public:
    Impl(LinkOptions given, LinkHandler& handler, Metrics& metrics, Logger& logger,
         std::unique_ptr<Transport> made, Transport::Listening listening)
        : options(std::move(given)),
          transport(std::move(made)),
          port(listening.port),
          loop(std::move(listening.queue)),
          core({options, handler, metrics.make_shard(), Log(logger, "link"), *transport, loop}) {}

    void run() noexcept {
        pthread_setname_np(pthread_self(), "link");
        core.start();
        loop.run({[this] { core.on_wake(); },
                  [this](CompletionLoop::TimePoint now) { core.on_time(now); },
                  [this] { core.on_turn_end(); }});
    }

    const LinkOptions options;
    const std::unique_ptr<Transport> transport;
    const uint16_t port;
    CompletionLoop loop;
    LinkCore core;
    std::atomic<uint32_t> asked{0};
    std::mutex stop_mutex;  // one stop at a time
    std::thread thread;
};

LinkHost::LinkHost(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LinkHost::~LinkHost() {
    stop();
}

Result<std::unique_ptr<LinkHost>> LinkHost::start(const LinkOptions& options, LinkHandler& handler,
                                                  Metrics& metrics, Logger& logger) {
    auto transport = Transport::create(options);
    if (!transport) return transport.error();
    auto listening = (*transport)->listen();
    if (!listening) return listening.error();
    auto impl = std::make_unique<Impl>(options, handler, metrics, logger,
                                       std::move(transport).value(), std::move(listening).value());
    impl->thread = std::thread([raw = impl.get()] { raw->run(); });
    return std::make_unique<LinkHost>(std::move(impl));
}

uint16_t LinkHost::port() const {
    return impl_->port;
}

void LinkHost::become(Self self) {
    impl_->loop.door().post_reserved(
        [core = &impl_->core, self = std::move(self)]() mutable { core->become(std::move(self)); });
}

void LinkHost::set_members(std::vector<Member> members) {
    impl_->loop.door().post_reserved([core = &impl_->core, members = std::move(members)]() mutable {
        core->set_members(std::move(members));
    });
}

Offer LinkHost::offer(const Target& target, ByteView first, ByteView second) {
    const SendQueue::Outcome outcome = impl_->core.offer(target, first, second);
    if (outcome.wake) impl_->loop.door().wake();
    return outcome.offer;
}

Status LinkHost::ask(Question question, std::string bytes,
                     std::function<void(Result<std::string>)> reply) {
    if (impl_->asked.fetch_add(1) >= impl_->options.questions_max) {
        impl_->asked.fetch_sub(1);
        return Error{ErrorCode::LimitExceeded, "too many questions are under way"};
    }
    auto counted = [impl = impl_.get(), reply = std::move(reply)](Result<std::string> result) {
        impl->asked.fetch_sub(1);
        reply(std::move(result));
    };
    const bool posted =
        impl_->loop.door().post([core = &impl_->core, question = std::move(question),
                                 bytes = std::move(bytes), counted = std::move(counted)]() mutable {
            core->ask(std::move(question), std::move(bytes), std::move(counted));
        });
    if (posted) return {};
    impl_->asked.fetch_sub(1);
    return Error{ErrorCode::Unavailable, "the links have stopped"};
}

Status LinkHost::resolve(std::vector<std::string> addresses,
                         std::function<void(std::vector<std::string>)> reply) {
    const bool posted =
        impl_->loop.door().post([core = &impl_->core, addresses = std::move(addresses),
                                 reply = std::move(reply)]() mutable {
            core->resolve(std::move(addresses), std::move(reply));
        });
    if (posted) return {};
    return Error{ErrorCode::Unavailable, "the links have stopped"};
}

std::vector<LinkState> LinkHost::states() {
    std::promise<std::vector<LinkState>> promise;
    std::future<std::vector<LinkState>> future = promise.get_future();
    const bool posted = impl_->loop.door().post(
        [core = &impl_->core, &promise] { promise.set_value(core->states()); });
    return posted ? future.get() : std::vector<LinkState>();
}

void LinkHost::stop() {
    const std::lock_guard lock(impl_->stop_mutex);
    if (!impl_->thread.joinable()) return;
    impl_->loop.door().post_reserved([core = &impl_->core] { core->stop(); });
    impl_->transport->close();
    impl_->loop.door().post_reserved([core = &impl_->core] { core->server_closed(); });
    impl_->thread.join();
}

}  // namespace quorate::link
