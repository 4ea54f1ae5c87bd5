// The words that CUDA adds to C++, and the variables that every kernel has.
#pragma once

#include "interface.h"

// In race mode an instruction is to tell its line in the kernel, through all that it calls.
#if defined(__SANITIZE_THREAD__)
#define __global__ __attribute__((flatten))
#else
#define __global__
#endif
#define __device__
#define __host__
// The host sets it through its symbol, so the compiler must not take it for zero.
#define __constant__ __attribute__((used))
#define __managed__ __attribute__((used))
#define __grid_constant__
// Where less is inlined, a function that is passed to another cannot be forced to be.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define __forceinline__ inline
#else
#define __forceinline__ inline __attribute__((always_inline))
#endif
#define __restrict__ __restrict
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))

// Shared memory is a copy for each thread of the host, each of which runs one block at a time.
// (The builder writes __dynamic_shared__ for the __shared__ of an extern array.) Under the address
// sanitizer one thread runs all blocks, so that shared arrays can have red zones.
#if defined(__clang__)
// Else what no kernel writes is taken for zero; the builder has an option of g++ against that.
#define EMULATOR_WRITTEN __attribute__((used))
#else
#define EMULATOR_WRITTEN
#endif
// It has no constructors: on a GPU, who would run them? On a GPU the first array lies at a multiple of
// 16 bytes, so that a float4 of it can be read, whatever its type is; here each does. More, a line of the
// cache, is a matter of speed.
#define EMULATOR_SHARED static constinit __attribute__((aligned(64))) EMULATOR_WRITTEN
#if defined(__SANITIZE_ADDRESS__)
#define __shared__ EMULATOR_SHARED
#define __dynamic_shared__
#else
#define __shared__ EMULATOR_SHARED thread_local
// Not thread_local, for which a function would be called that may construct it.
#define __dynamic_shared__ __thread
#endif

// Functions, for a kernel may have macros of its own that are called `thread` or `block`.
#define EMULATOR_PLACE(name, T, of_place)                                     \
    __attribute__((always_inline)) inline const T& emulator_##name() {        \
        return emulator::place.of_place;                                      \
    }
EMULATOR_PLACE(thread_index, uint3, thread)
EMULATOR_PLACE(block_index, uint3, block)
EMULATOR_PLACE(block_size, dim3, block_size)
EMULATOR_PLACE(grid_size, dim3, grid_size)
#undef EMULATOR_PLACE
#define threadIdx (::emulator_thread_index())
#define blockIdx (::emulator_block_index())
#define blockDim (::emulator_block_size())
#define gridDim (::emulator_grid_size())
constexpr int warpSize = 32;
