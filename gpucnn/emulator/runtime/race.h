// Race mode: what is known of a launch's accesses of memory.
#pragma once

#include <cstdint>
#include <vector>

#include "block_order.h"
#include "launch.h"
#include "shadow.h"

namespace emulator {

// A write, the earlier write that it is at odds with, and what that one has left in memory.
struct UnsettledWrite {
    Access access;
    Access earlier;
    const Memory* memory;
    uintptr_t address;
    size_t bytes;
    char left[MOST_GRANULE];
};

// Race mode runs all blocks on one thread of the host, so this needs no lock.
struct Checks {
    std::vector<Memory> arrays;
    std::vector<Memory> shared;
    WarpClocks clocks;
    BlockOrder block_order;
    // The module itself: its constants may be read, its variables are the last of `arrays`.
    uintptr_t module_begin = 0;
    size_t module_bytes = 0;
    // Blocks that have begun, the last of which is running, and their indices.
    uint32_t block = 0;
    std::vector<uint3> blocks;
    // Begun with each launch and each block, and never the same again.
    uint32_t epoch = 0;
    bool on = false;
    // A read of what is not written, and how many more accesses the block may make until it fails. A
    // missing barrier is often the cause: then a write follows, and is reported as a race.
    LaunchFailure unwritten;
    unsigned accesses_left = 0;
    // Writes of the running thread that are at odds with other writes. Whether they write the same
    // value is known only once they have been carried out.
    std::vector<UnsettledWrite> unsettled;
    bool are_same_values_allowed = false;
    // Whether the kernel may access memory of which nothing is known.
    bool is_memory_unknown = false;
};
extern Checks checks;

// An access by the running thread, by the call that returns to `instruction`.
void check(
    const void* pointer, size_t size, size_t alignment, Use use, const void* instruction);

}  // namespace emulator
