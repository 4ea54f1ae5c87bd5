// Copies from global to shared memory that go on while the thread computes (sm_80 and later).
//
// A thread begins copies, closes them into a group, and waits for groups. The wait makes what the
// thread itself copied visible to itself alone: for others' copies a barrier must follow. BYTES is
// 4, 8 or 16, and both addresses are multiples of it; bytes beyond `source_bytes` become zero, and
// with 0 of them `from` is not read.
#pragma once

#include "ptx/instruction.cuh"

template <int BYTES>
__device__ __forceinline__ void copy_async(void* to, const void* from, int source_bytes = BYTES) {
    static_assert(BYTES == 4 || BYTES == 8 || BYTES == 16, "4, 8 or 16 bytes");
    if constexpr (BYTES == 16) {
        // Past the L1 cache, which only copies of 16 bytes can do.
        PTX_COPY("cp.async.cg.shared.global", to, from, BYTES, source_bytes);
    } else {
        PTX_COPY("cp.async.ca.shared.global", to, from, BYTES, source_bytes);
    }
}

__device__ __forceinline__ void commit_copies() {
    PTX_BARE("cp.async.commit_group");
}

// Waits for all groups of this thread but the last PENDING.
template <int PENDING>
__device__ __forceinline__ void wait_for_copies() {
    PTX_CONSTANT("cp.async.wait_group", PENDING);
}

// Waits for all copies of this thread, in a group or not.
__device__ __forceinline__ void wait_for_all_copies() {
    PTX_BARE("cp.async.wait_all");
}
