#include <string>

#include "cluster/link/receipts.h"
#include "cluster/link/send_queue.h"
#include "cluster/link/wire/batch.h"
#include "tests/unit/catch.h"

namespace {

using namespace quorate;
using namespace quorate::link;

const StreamEpoch kEpoch(3);

}  // namespace

TEST_CASE("a queue takes items only for the stream that is open", "[link]") {
    SendQueue queue({1000, 10});
    CHECK(queue.offer({}, as_bytes("a"), {}).offer == Offer::Down);
    queue.open(kEpoch);
    CHECK(queue.offer(kEpoch, as_bytes("a"), {}).offer == Offer::Taken);
    CHECK(queue.offer({}, as_bytes("b"), {}).offer == Offer::Taken);
    CHECK(queue.offer(StreamEpoch(2), as_bytes("c"), {}).offer == Offer::Down);
    CHECK(queue.close() == 2);
    CHECK(queue.offer({}, as_bytes("a"), {}).offer == Offer::Down);
    CHECK(queue.empty());
}

TEST_CASE("only the first offer after an empty take wakes the link thread", "[link]") {
    SendQueue queue({1000, 10});
    queue.open(kEpoch);
    CHECK(queue.offer({}, as_bytes("a"), {}).wake);
    CHECK_FALSE(queue.offer({}, as_bytes("b"), {}).wake);
    std::string batch;
    CHECK(queue.take(batch) == 2);
    CHECK_FALSE(queue.offer({}, as_bytes("c"), {}).wake);  // a write is under way
    CHECK(queue.take(batch) == 1);
    CHECK(queue.take(batch) == 0);
    CHECK(queue.offer({}, as_bytes("d"), {}).wake);
}

TEST_CASE("a full queue refuses by items and by bytes, and counts", "[link]") {
    SendQueue items({1'000'000, 2});
    items.open(kEpoch);
    CHECK(items.offer({}, as_bytes("a"), {}).offer == Offer::Taken);
    CHECK(items.offer({}, as_bytes("b"), {}).offer == Offer::Taken);
    CHECK(items.offer({}, as_bytes("c"), {}).offer == Offer::Full);
    CHECK(items.figures().full == 1);
    CHECK(items.figures().full == 0);

    SendQueue bytes({100, 1000});
    bytes.open(kEpoch);
    const std::string large(5000, 'x');
    CHECK(bytes.offer({}, as_bytes(large), {}).offer == Offer::Taken);  // alone, when empty
    CHECK(bytes.offer({}, as_bytes("a"), {}).offer == Offer::Full);
    std::string batch;
    CHECK(bytes.take(batch) == 1);
    CHECK(bytes.offer({}, as_bytes("a"), {}).offer == Offer::Taken);
}

TEST_CASE("a batch ends at 256 items or 64 KiB, and a larger item goes alone", "[link]") {
    SendQueue queue({std::size_t{10} << 20U, 100'000});
    queue.open(kEpoch);
    for (int i = 0; i < 300; ++i)
        REQUIRE(queue.offer({}, as_bytes("a"), {}).offer == Offer::Taken);
    std::string batch;
    CHECK(queue.take(batch) == 256);
    CHECK(queue.take(batch) == 44);
    const std::string half(40'000, 'h');
    const std::string large(200'000, 'l');
    for (const std::string& item : {half, half, large, half})
        REQUIRE(queue.offer({}, as_bytes(item), {}).offer == Offer::Taken);
    CHECK(queue.bytes() > 320'000);
    for (int i = 0; i < 4; ++i) {
        CHECK(queue.take(batch) == 1);
        CHECK(count_items(batch) == 1U);
    }
    CHECK(queue.bytes() == 0);
}

TEST_CASE("a batch counts as let go when its last copy is gone", "[link]") {
    std::string bytes;
    append_item(bytes, as_bytes("one"), {});
    append_item(bytes, as_bytes("two"), {});
    const std::size_t size = bytes.size();
    const ReceiptAccount account(LoopDoor(), 100);
    ReceivedBatch first(bytes, 2, account);
    ReceivedBatch second = first;
    CHECK(second.count() == 2);
    first = {};
    CHECK(account.taken_bytes() == 0);
    const ReceivedBatch third = std::move(second);
    CHECK(as_text(*third.items().next()) == "one");
    CHECK(account.taken_bytes() == 0);
    { const ReceivedBatch last(bytes, 2, account); }
    CHECK(account.taken_bytes() == size);
}
