// A block while it runs: its threads' memory, its barriers, and what race detection remembers.
#pragma once

#include <array>

#include "executor.h"
#include "shared_memory.h"

namespace ptx {

// One of a block's 16 barriers.
struct Barrier {
    uint32_t arrived_warps = 0;  // a bit a warp
    uint32_t waiting_warps = 0;  // those of them that wait
    uint32_t arrived_threads = 0;
    uint32_t expected = 0;       // threads; 0: all of the block
    uint32_t ones = 0;           // of bar.red: predicates that are true,
    uint32_t votes = 0;          // and all of them
};

// A copy that cp.async has begun.
struct PendingCopy {
    uint32_t to;        // in shared memory
    uint32_t bytes;
    char content[16];   // if it is read early
    const char* from;   // if it is read late; null otherwise
    uint32_t from_bytes;
    uint32_t pc;
};

struct ThreadCopies {
    std::vector<PendingCopy> open;                  // not in a group yet
    std::vector<std::vector<PendingCopy>> groups;   // oldest first
};

struct Block {
    const Launch* launch;
    const Program* program;
    uint64_t* counts;       // how often each instruction has run
    uint32_t index[3];
    unsigned thread_count;
    std::vector<Warp> warps;
    std::vector<char> registers, local;
    SharedMemory shared;
    std::array<Barrier, 16> barriers;
    std::vector<ThreadCopies> copies;
    Random random;
    uint64_t clock = 0;
    unsigned running_warp = 0;  // which a failure is reported of
};

}  // namespace ptx
