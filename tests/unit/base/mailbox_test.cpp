#include "proto/base/mailbox.h"

#include <atomic>
#include <memory>
#include <thread>

#include "tests/unit/catch.h"

namespace quorate {
namespace {

using Mail = std::unique_ptr<int>;

TEST_CASE("A full mailbox refuses and leaves the item with its sender", "[mailbox]") {
    Mailbox<Mail> mailbox(2, [] {});
    Mail item = std::make_unique<int>(1);
    CHECK(mailbox.try_push(item));
    CHECK(item == nullptr);
    item = std::make_unique<int>(2);
    CHECK(mailbox.try_push(item));
    item = std::make_unique<int>(3);
    CHECK_FALSE(mailbox.try_push(item));
    REQUIRE(item != nullptr);
    CHECK(*item == 3);

    std::vector<Mail> taken;
    mailbox.take(taken);
    REQUIRE(taken.size() == 2);
    CHECK(*taken[0] == 1);
    CHECK(*taken[1] == 2);
    CHECK(mailbox.size() == 0);
    CHECK(mailbox.try_push(item));
}

TEST_CASE("An answer finds room in a full mailbox, in its place", "[mailbox]") {
    Mailbox<int> mailbox(1, [] {});
    int item = 1;
    CHECK(mailbox.try_push(item));
    mailbox.push_reserved(2);
    mailbox.push_reserved(3);
    CHECK_FALSE(mailbox.try_push(item));
    CHECK(mailbox.size() == 3);
    CHECK(mailbox.capacity() == 1);
    std::vector<int> taken;
    mailbox.take(taken);
    CHECK(taken == std::vector<int>{1, 2, 3});
}

TEST_CASE("The consumer is woken once for each batch", "[mailbox]") {
    int woken = 0;
    Mailbox<int> mailbox(10, [&woken] { ++woken; });
    int item = 1;
    CHECK(mailbox.try_push(item));
    CHECK(mailbox.try_push(item));
    mailbox.push_reserved(item);
    CHECK(woken == 1);
    std::vector<int> taken;
    mailbox.take(taken);
    mailbox.push_reserved(item);
    CHECK(woken == 2);
}

TEST_CASE("Nothing is lost between producers and each one's items stay in order", "[mailbox]") {
    constexpr int kProducers = 3;
    constexpr int kItems = 3000;
    std::atomic<int> woken{0};
    Mailbox<int> mailbox(64, [&woken] { ++woken; });
    std::vector<std::thread> producers;
    for (int producer = 0; producer < kProducers; ++producer) {
        producers.emplace_back([&mailbox, producer] {
            for (int i = 0; i < kItems; ++i) {
                int item = producer * kItems + i;
                while (!mailbox.try_push(item))
                    std::this_thread::yield();
            }
        });
    }
    std::vector<int> next(kProducers, 0);
    std::vector<int> taken;
    int count = 0;
    int seen = 0;
    bool ordered = true;
    while (count < kProducers * kItems) {
        // A wake-up that was not noticed yet says that something waits.
        const int rung = woken.load();
        if (rung == seen) {
            std::this_thread::yield();
            continue;
        }
        seen = rung;
        taken.clear();
        mailbox.take(taken);
        for (const int item : taken) {
            int& expected = next[static_cast<std::size_t>(item / kItems)];
            ordered = ordered && item % kItems == expected;
            ++expected;
        }
        count += static_cast<int>(taken.size());
    }
    for (std::thread& producer : producers)
        producer.join();
    CHECK(ordered);
    CHECK(count == kProducers * kItems);
    CHECK(mailbox.size() == 0);
}

}  // namespace
}  // namespace quorate
