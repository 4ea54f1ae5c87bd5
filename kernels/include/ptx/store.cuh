// Stores to global memory of several values by one instruction.
//
// A store of a struct is not always one: the compiler takes it apart, and where a thread makes many
// of them may not put it together again.
#pragma once

#include "ptx/instruction.cuh"
#include "vector.cuh"

// The address is never one of shared memory.
template <int COUNT>
__device__ __forceinline__ void store_global(float* address, const Vector<float, COUNT>& values) {
    if constexpr (COUNT == 4) {
        PTX_STORE_X4("st.global.v4.f32", address, values.of);
    } else {
        store_vector(address, values);
    }
}
