// What arrives on the link port: batches, greetings, and the names in certificates.
//
// The first byte chooses. Oracles beyond "no crash": a batch that is accepted encodes to the same
// bytes, and a cut or longer one has not the same number of items; a greeting that is accepted says
// what only a member with the right number, cluster, version and certificate may say.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <quorate/v1/link.pb.h>

#include "cluster/link/wire/batch.h"
#include "cluster/link/wire/handshake.h"
#include "proto/base/assert.h"

namespace {

using namespace quorate;
using namespace quorate::link;

void read_batch(std::string_view bytes) {
    const auto items = count_items(bytes);
    std::string again;
    BatchReader reader(bytes);
    uint32_t seen = 0;
    while (const auto item = reader.next()) {
        append_item(again, *item, {});
        ++seen;
    }
    ASSERT(again.size() <= bytes.size(), "items lie within the batch");
    ASSERT(bytes.substr(0, again.size()) == again, "what was read encodes to the same bytes");
    if (items) {
        ASSERT(*items == seen && again.size() == bytes.size(), "the count is that of the items");
        ASSERT(count_items(bytes.substr(0, bytes.size() - 1)) != items, "a cut batch has fewer");
    } else {
        ASSERT(bytes.empty() || reader.failed(), "what is no batch is seen when it is read");
    }
}

void judge(std::string_view bytes) {
    v1::FromDialer message;
    if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
    (void)count_items(message.data());
    Hello hello;
    if (!decode(message.greeting(), hello)) return;
    const Self self{"c1", NodeId(1), make_incarnation(NodeId(1), 1)};
    const Known known{"n2", make_incarnation(NodeId(2), 3), StreamEpoch(4)};
    const Proof proof{true, {"quorate://c1/name/n2"}};
    const Verdict verdict = judge_dialer(hello, self, &known, proof);
    if (verdict.refusal) {
        v1::Refusal refusal;
        encode(verdict, refusal);
        ASSERT(reason_of(refusal) == *verdict.refusal, "a reason survives the way");
        return;
    }
    ASSERT(hello.cluster_id == "c1" && hello.peer.node != NodeId(1),
           "another node of this cluster");
    ASSERT(hello.peer.incarnation >= known.heard, "no older one");
    ASSERT(hello.peer.incarnation > known.heard || hello.epoch > known.epoch_heard,
           "no old stream");
    ASSERT(verdict.version >= kVersionMin && verdict.version <= kVersionMax,
           "a version spoken here");
    v1::Greeting again;
    encode(hello, again);
    Hello twice;
    ASSERT(decode(again, twice) && twice.peer == hello.peer, "a greeting reads back");
}

void read_refusal(std::string_view bytes) {
    v1::FromAcceptor message;
    if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
    (void)to_string(reason_of(message.refusal()));
}

void read_uri(std::string_view bytes) {
    const std::vector<std::string> uris{std::string(bytes)};
    if (!certifies(uris, "c1", NodeId(2), "n2")) return;
    const std::string_view uri = bytes;
    const bool ours = uri == "quorate://c1/name/n2" || uri == "quorate:///name/n2" ||
                      uri == "quorate://c1/node/2" || uri == "quorate:///node/2";
    ASSERT(ours, "only four texts name this node");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    switch (data[0] % 4) {
        case 0:
            read_batch(bytes);
            break;
        case 1:
            judge(bytes);
            break;
        case 2:
            read_refusal(bytes);
            break;
        default:
            read_uri(bytes);
            break;
    }
    return 0;
}
