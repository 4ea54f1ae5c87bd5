// A launch: blocks spread over threads of the host.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "../include/module.h"
#include "block.h"

extern "C" {

struct Region {
    const char* begin;
    uint64_t bytes;
};

struct LaunchRequest {
    const char* kernel;
    void (*entry)(void** arguments);
    const emulator::SharedMemory* shared;
    void** arguments;
    // The arrays among the arguments, which race mode holds accesses against.
    const Region* regions;
    uint64_t region_count;
    uint32_t grid[3];
    uint32_t block[3];
    uint64_t shared_bytes;
    uint64_t seed;
    uint32_t workers;
    // Whether the module was compiled for race mode.
    uint32_t checked;
};

struct LaunchFailure {
    char message[2048];
    // Instructions whose source lines are still to be looked up, or null: the one that failed, and
    // the one that it is at odds with.
    const void* instruction;
    const void* other_instruction;
};

// 0, or 1 with `failure` filled in.
int emulator_launch(const LaunchRequest* request, LaunchFailure* failure);

}  // extern "C"

namespace emulator {

// Shared memory of one block: static and dynamic.
struct SharedRanges {
    char* begin[3];
    size_t bytes[3];
    size_t static_bytes() const { return bytes[0] + bytes[1]; }
};
SharedRanges shared_ranges(const SharedMemory& shared, size_t dynamic_bytes);

// Makes faults of the processor (SIGSEGV, SIGBUS, SIGFPE) failures of the running launch. Each
// thread of the host needs a stack for signals, since a fault may be that of a full stack.
void catch_faults();
void use_signal_stack();

// Race mode: before a launch and before each of its blocks.
void begin_launch_checks(const LaunchRequest& request);
void begin_block_checks(const SharedRanges& ranges);

}  // namespace emulator
