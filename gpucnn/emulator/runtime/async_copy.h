// Asynchronous copies that the threads of a block have under way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace emulator {

struct AsyncCopy {
    char* to;
    const char* from;
    size_t bytes;
    size_t source_bytes;  // The rest is zeros.
    bool is_done;
    // Of the kernel, where the call returns to.
    const void* instruction;
    uint32_t group;
};

class AsyncCopies {
public:
    void reset(unsigned threads);
    void start(unsigned thread, AsyncCopy copy);
    // Closes the thread's open group.
    void commit(unsigned thread);
    // Takes out the copies of all closed groups but the last `pending`.
    std::vector<AsyncCopy> wait(unsigned thread, unsigned pending);
    // One under way that reads any of these bytes; null for none.
    const AsyncCopy* reader_of(uintptr_t address, size_t bytes) const;

private:
    struct Queue {
        std::vector<AsyncCopy> copies;
        uint32_t closed = 0;
    };
    // A thread's; empty as long as no thread of the block has begun a copy.
    std::vector<Queue> queues_;
    unsigned threads_ = 0;
    size_t under_way_ = 0;
};

}  // namespace emulator
