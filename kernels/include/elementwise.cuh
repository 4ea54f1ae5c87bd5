// Elementwise kernels: a function of one element of each input, for arrays of any length.
//
// A thread takes VECTOR neighbouring elements and moves each array's as one vector, so a warp
// reads and writes whole lines. The last thread of all may find fewer, and takes them one by one.
#pragma once

#include "vector.cuh"

constexpr int VECTOR = 4;

// The first of the VECTOR elements that are this thread's.
__device__ __forceinline__ long long first_element() {
    return (static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x) * VECTOR;
}

// output[i] = function(inputs[i]...) for this thread's i < count. The output may be an input.
template <typename Function, typename Output, typename... Inputs>
__device__ __forceinline__ void map_elements(
    long long count, Function function, Output* output, const Inputs*... inputs) {
    const long long first = first_element();
    if (first + VECTOR <= count) {
        Vector<Output, VECTOR> results;
        [&](const Vector<Inputs, VECTOR>&... values) {
            for (int i = 0; i < VECTOR; ++i) {
                results.of[i] = function(values.of[i]...);
            }
        }(load_vector<VECTOR>(inputs + first)...);
        store_vector(output + first, results);
    } else {
        // At most VECTOR - 1 turns; without this the compiler unrolls for more.
#pragma unroll 1
        for (long long i = first; i < count; ++i) {
            output[i] = function(inputs[i]...);
        }
    }
}
