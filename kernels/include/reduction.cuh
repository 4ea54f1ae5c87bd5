// Reductions over a warp and over a block, in an order that never changes.
//
// `combine` must be commutative to the last bit, so that all threads get the same result. Sum is;
// Maximum is but for NaN, which its users look for themselves.
#pragma once

constexpr int WARP = 32;
constexpr unsigned ALL_LANES = 0xffffffffu;

struct Sum {
    template <typename T>
    __device__ __forceinline__ T operator()(T a, T b) const {
        return a + b;
    }
};

struct Maximum {
    template <typename T>
    __device__ __forceinline__ T operator()(T a, T b) const {
        return a > b ? a : b;
    }
};

// Over the 32 values of a warp, all of whose lanes must call; a butterfly.
template <typename T, typename Combine>
__device__ __forceinline__ T warp_reduce(T value, Combine combine) {
    for (int distance = WARP / 2; distance > 0; distance /= 2) {
        value = combine(value, __shfl_xor_sync(ALL_LANES, value, distance));
    }
    return value;
}

// Over the values of a block of so many threads (a multiple of 32, at most 1,024), all of which must
// call. `scratch` is shared memory for threads / 32 values; it may be used again at once.
template <typename T, typename Combine>
__device__ __forceinline__ T block_reduce(int threads, T value, Combine combine, T* scratch) {
    value = warp_reduce(value, combine);
    if (threadIdx.x % WARP == 0) {
        scratch[threadIdx.x / WARP] = value;
    }
    __syncthreads();
    T result = scratch[0];
    for (int warp = 1; warp < threads / WARP; ++warp) {
        result = combine(result, scratch[warp]);
    }
    __syncthreads();
    return result;
}

// The same if the number is known when the kernel is compiled.
template <int THREADS, typename T, typename Combine>
__device__ __forceinline__ T block_reduce(T value, Combine combine, T* scratch) {
    static_assert(THREADS % WARP == 0 && THREADS <= WARP * WARP, "whole warps, at most 32 of them");
    return block_reduce(THREADS, value, combine, scratch);
}
