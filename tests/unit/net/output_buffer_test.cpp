#include "broker/net/output_buffer.h"

#include <string>
#include <vector>

#include "proto/base/environment.h"
#include "tests/unit/catch.h"

using quorate::as_bytes;
using quorate::as_text;
using quorate::SharedBytes;
using quorate::broker::ChunkPool;
using quorate::broker::OutputBuffer;

namespace {

std::string contents(const OutputBuffer& buffer) {
    std::vector<iovec> pieces(1000);
    std::size_t count = buffer.pieces(pieces);
    std::string all;
    for (std::size_t i = 0; i < count; ++i)
        all.append(static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len);
    return all;
}

}  // namespace

TEST_CASE("output comes out in the order it went in, whatever its pieces") {
    ChunkPool pool(1U << 20);
    OutputBuffer buffer(pool);
    std::string expected;
    quorate::Random random(7);
    for (int i = 0; i < 2'000; ++i) {
        std::string piece(random.below(i % 50 == 0 ? 60'000 : 200),
                          static_cast<char>('a' + i % 26));
        if (i % 5 == 0) {
            buffer.append_shared(SharedBytes(as_bytes(piece)));
        } else {
            buffer.append(as_bytes(piece));
        }
        expected += piece;
        if (i % 7 == 0) {
            std::size_t take = random.below(expected.size() + 1);
            std::string front(as_text(buffer.front()));
            CHECK(expected.compare(0, front.size(), front) == 0);
            buffer.consume(take);
            expected.erase(0, take);
        }
        REQUIRE(buffer.size() == expected.size());
    }
    CHECK(contents(buffer) == expected);
}

TEST_CASE("an empty buffer holds no chunk") {
    ChunkPool pool(1U << 20);
    OutputBuffer buffer(pool);
    CHECK(pool.bytes_in_use() == 0);
    buffer.append(as_bytes(std::string(100'000, 'x')));
    CHECK(pool.bytes_in_use() >= 100'000);
    buffer.consume(100'000);
    CHECK(pool.bytes_in_use() == 0);
    CHECK(buffer.front().empty());
}

TEST_CASE("the first message of an idle connection takes a small chunk") {
    ChunkPool pool(1U << 20);
    OutputBuffer buffer(pool);
    buffer.append(as_bytes("x"));
    CHECK(pool.bytes_in_use() == ChunkPool::kChunkBytes[0]);
}

TEST_CASE("the pool keeps no more unused chunks than it may") {
    ChunkPool pool(20'000);
    {
        std::vector<std::unique_ptr<OutputBuffer>> buffers;
        for (int i = 0; i < 100; ++i) {
            buffers.push_back(std::make_unique<OutputBuffer>(pool));
            buffers.back()->append(as_bytes("x"));
        }
    }
    CHECK(pool.bytes_kept() <= 20'000);
    CHECK(pool.bytes_kept() >= 10 * ChunkPool::kChunkBytes[0]);
    pool.trim(0);
    CHECK(pool.bytes_kept() == 0);
}

TEST_CASE("prepared bytes that are not committed leave no trace") {
    ChunkPool pool(1U << 20);
    OutputBuffer buffer(pool);
    static_cast<void>(buffer.prepare(500'000));
    CHECK(buffer.empty());
    CHECK(buffer.front().empty());
    buffer.append(as_bytes("after"));
    CHECK(contents(buffer) == "after");
    buffer.consume(5);
    CHECK(pool.bytes_in_use() == 0);
}

TEST_CASE("splice moves bytes without copying them") {
    ChunkPool pool(1U << 20);
    OutputBuffer a(pool);
    OutputBuffer b(pool);
    a.append(as_bytes("one "));
    b.append(as_bytes("two "));
    const std::byte* where = b.front().data();
    a.splice(b);
    CHECK(b.empty());
    CHECK(contents(a) == "one two ");
    a.consume(4);
    CHECK(a.front().data() == where);
    a.append(as_bytes("three"));
    CHECK(contents(a) == "two three");
}
