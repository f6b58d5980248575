// Bytes: views, the immutable shared payload, and the little-endian reader and writer that every
// record on disk and between threads is written with.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace quorate {

using ByteView = std::span<const std::byte>;

[[nodiscard]] inline ByteView as_bytes(std::string_view text) {
    return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
[[nodiscard]] inline std::string_view as_text(ByteView bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// An immutable byte string with one allocation and an atomic count of its holders: a payload that
// several sessions or threads share. Copying counts, it never copies bytes. Thread: any.
class SharedBytes {
  public:
    SharedBytes() = default;
    explicit SharedBytes(ByteView bytes);
    // One allocation for two parts that follow each other.
    SharedBytes(ByteView first, ByteView second);
    SharedBytes(const SharedBytes& other) noexcept : block_(other.block_) { hold(); }
    SharedBytes(SharedBytes&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
    SharedBytes& operator=(SharedBytes other) noexcept {
        std::swap(block_, other.block_);
        return *this;
    }
    ~SharedBytes() { release(); }

    [[nodiscard]] ByteView view() const;
    [[nodiscard]] std::string_view text() const { return as_text(view()); }
    [[nodiscard]] std::size_t size() const { return view().size(); }
    [[nodiscard]] bool empty() const { return size() == 0; }

  private:
    struct Block;
    void hold() noexcept;
    void release() noexcept;
    static Block* allocate(std::size_t size);

    Block* block_ = nullptr;
};

// Appends to a std::string; integers are little-endian, strings are preceded by a u32 length.
class RecordWriter {
  public:
    explicit RecordWriter(std::string& out) : out_(out) {}

    void u8(uint8_t value) { out_.push_back(static_cast<char>(value)); }
    void u16(uint16_t value) { integer(value); }
    void u32(uint32_t value) { integer(value); }
    void u64(uint64_t value) { integer(value); }
    void raw(std::string_view bytes) { out_.append(bytes); }
    void text(std::string_view bytes) {
        u32(static_cast<uint32_t>(bytes.size()));
        out_.append(bytes);
    }
    template <typename IdType>
    void id(IdType id) {
        integer(id.value());
    }
    [[nodiscard]] std::size_t size() const { return out_.size(); }

  private:
    template <typename Integer>
    void integer(Integer value) {
        char buffer[sizeof(Integer)];
        for (std::size_t i = 0; i < sizeof(Integer); ++i) {
            buffer[i] = static_cast<char>(static_cast<uint64_t>(value) >> (8 * i));
        }
        out_.append(buffer, sizeof(Integer));
    }
    std::string& out_;
};

// Reads what RecordWriter wrote. Reading past the end sets `failed()` and yields zeros and empty
// views from then on, so that a decoder checks once at its end. Views point into the input.
class RecordReader {
  public:
    explicit RecordReader(std::string_view in) : in_(in) {}

    uint8_t u8() { return integer<uint8_t>(); }
    uint16_t u16() { return integer<uint16_t>(); }
    uint32_t u32() { return integer<uint32_t>(); }
    uint64_t u64() { return integer<uint64_t>(); }
    std::string_view raw(std::size_t size) {
        if (size > in_.size()) {
            fail();
            return {};
        }
        std::string_view out = in_.substr(0, size);
        in_.remove_prefix(size);
        return out;
    }
    std::string_view text() { return raw(u32()); }
    template <typename IdType>
    IdType id() {
        return IdType(integer<typename IdType::integer_type>());
    }
    [[nodiscard]] std::string_view rest() const { return in_; }
    void fail() {
        failed_ = true;
        in_ = {};
    }
    [[nodiscard]] bool failed() const { return failed_; }
    // True when everything was read and nothing was missing.
    [[nodiscard]] bool finished() const { return !failed_ && in_.empty(); }

  private:
    template <typename Integer>
    Integer integer() {
        if (in_.size() < sizeof(Integer)) {
            fail();
            return 0;
        }
        uint64_t value = 0;
        for (std::size_t i = 0; i < sizeof(Integer); ++i) {
            value |= static_cast<uint64_t>(static_cast<uint8_t>(in_[i])) << (8 * i);
        }
        in_.remove_prefix(sizeof(Integer));
        return static_cast<Integer>(value);
    }
    std::string_view in_;
    bool failed_ = false;
};

}  // namespace quorate
