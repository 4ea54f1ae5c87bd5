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
#define __constant__ static const
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
// It has no constructors: on a GPU, who would run them?
#if defined(__SANITIZE_ADDRESS__)
#define __shared__ static constinit EMULATOR_WRITTEN
#define __dynamic_shared__
#else
#define __shared__ static constinit thread_local EMULATOR_WRITTEN
// Not thread_local, for which a function would be called that may construct it.
#define __dynamic_shared__ __thread
#endif

#define threadIdx (::emulator::place.thread)
#define blockIdx (::emulator::place.block)
#define blockDim (::emulator::place.block_size)
#define gridDim (::emulator::place.grid_size)
constexpr int warpSize = 32;
