#include "proto/base/bytes.h"

#include <thread>
#include <vector>

#include "proto/base/environment.h"
#include "proto/base/ids.h"
#include "tests/unit/catch.h"

namespace quorate {
namespace {

TEST_CASE("Copies of shared bytes are the same bytes", "[bytes]") {
    const SharedBytes empty;
    CHECK(empty.empty());
    CHECK(empty.view().empty());

    SharedBytes first{as_bytes("payload")};
    const SharedBytes copy = first;
    CHECK(copy.view().data() == first.view().data());
    const SharedBytes moved = std::move(first);
    CHECK(moved.text() == "payload");
    CHECK(copy.text() == "payload");
    first = moved;
    CHECK(first.size() == 7);
    first = SharedBytes();
    CHECK(first.empty());
    CHECK(copy.text() == "payload");
}

TEST_CASE("Two parts follow each other in shared bytes", "[bytes]") {
    CHECK(SharedBytes(as_bytes("ab"), as_bytes("cde")).text() == "abcde");
    CHECK(SharedBytes(as_bytes(""), as_bytes("cde")).text() == "cde");
    CHECK(SharedBytes(as_bytes("ab"), as_bytes("")).text() == "ab");
    CHECK(SharedBytes(as_bytes(""), as_bytes("")).empty());
}

TEST_CASE("Shared bytes outlive the thread that made them", "[bytes]") {
    std::vector<SharedBytes> held(4);
    {
        const SharedBytes bytes{as_bytes("shared")};
        std::vector<std::thread> threads;
        for (SharedBytes& holder : held) {
            threads.emplace_back([&holder, bytes] {
                for (int i = 0; i < 1000; ++i) {
                    const SharedBytes copy = bytes;
                    holder = copy;
                }
            });
        }
        for (std::thread& thread : threads)
            thread.join();
    }
    for (const SharedBytes& bytes : held)
        CHECK(bytes.text() == "shared");
}

TEST_CASE("Integers of a record are little-endian and texts follow their length", "[bytes]") {
    std::string bytes;
    RecordWriter out(bytes);
    out.u16(0x0102);
    out.u32(0x03040506);
    out.text("ab");
    out.id(PacketId(0x0708));
    CHECK(bytes == std::string("\x02\x01\x06\x05\x04\x03\x02\x00\x00\x00"
                               "ab\x08\x07",
                               14));
    CHECK(out.size() == 14);
}

TEST_CASE("A record is read as it was written", "[bytes]") {
    std::string bytes;
    RecordWriter out(bytes);
    out.u8(255);
    out.u16(65'535);
    out.u32(0xFFFFFFFF);
    out.u64(~uint64_t{0});
    out.text("");
    out.text(std::string_view("a\0b", 3));
    out.raw("raw");
    out.id(SessionId(uint64_t{1} << 63));

    RecordReader in(bytes);
    CHECK(in.u8() == 255);
    CHECK(in.u16() == 65'535);
    CHECK(in.u32() == 0xFFFFFFFF);
    CHECK(in.u64() == ~uint64_t{0});
    CHECK(in.text().empty());
    CHECK(in.text() == std::string_view("a\0b", 3));
    CHECK(in.raw(3) == "raw");
    CHECK_FALSE(in.finished());
    CHECK(in.id<SessionId>() == SessionId(uint64_t{1} << 63));
    CHECK(in.finished());
}

TEST_CASE("A record that ends early fails, and stays failed", "[bytes]") {
    std::string whole;
    RecordWriter out(whole);
    out.u64(7);
    out.text("text");
    out.u8(1);
    for (std::size_t size = 0; size < whole.size(); ++size) {
        RecordReader in(std::string_view(whole).substr(0, size));
        (void)in.u64();
        (void)in.text();
        (void)in.u8();
        INFO("cut to " << size);
        CHECK(in.failed());
        CHECK_FALSE(in.finished());
        CHECK(in.u32() == 0);
        CHECK(in.text().empty());
        CHECK(in.rest().empty());
        CHECK(in.failed());
    }
}

TEST_CASE("A length larger than the record is refused", "[bytes]") {
    std::string bytes;
    RecordWriter(bytes).u32(0xFFFFFFFF);
    bytes += "abc";
    RecordReader in(bytes);
    CHECK(in.text().empty());
    CHECK(in.failed());
}

TEST_CASE("Any bytes can be read without harm", "[bytes]") {
    Random random(7);
    for (int round = 0; round < 200; ++round) {
        std::string bytes(random.below(40), '\0');
        for (char& c : bytes)
            c = static_cast<char>(random.next());
        RecordReader in(bytes);
        std::size_t read = 0;
        while (!in.failed() && !in.finished()) {
            read += in.text().size();
            (void)in.u8();
        }
        CHECK(read <= bytes.size());
    }
}

}  // namespace
}  // namespace quorate
