// Address space with memory in the middle of it: whatever lies around the memory is a fault to access.
#pragma once

#include <cstddef>
#include <cstdint>

namespace emulator {

// How many bytes on each side of an array are examined for stray writes.
constexpr size_t MARGIN_BYTES = 256;

// Memory that ends at a fixed place and grows downwards, between two gaps that cannot be accessed.
// No 32-bit index of a type of up to 16 bytes can step over a gap, if the system allows that much.
class ReservedMemory {
public:
    ReservedMemory() = default;
    ~ReservedMemory();
    ReservedMemory(const ReservedMemory&) = delete;
    ReservedMemory& operator=(const ReservedMemory&) = delete;

    // Makes the last `bytes` before the end accessible; false if the system refuses.
    bool grow(size_t bytes);
    // Gives everything back if more than `kept` bytes are accessible.
    void shrink(size_t kept);
    // Where the memory ends; null before it has grown.
    char* end() const { return end_; }
    // What is accessible begins here.
    char* begin() const { return end_ - bytes_; }
    // Whether an address lies in it or in its gaps.
    bool holds(uintptr_t address) const;

private:
    bool reserve(size_t bytes);
    void release();

    char* mapping_ = nullptr;
    size_t mapped_ = 0;
    size_t gap_ = 0;
    char* end_ = nullptr;
    size_t bytes_ = 0;
};

}  // namespace emulator
