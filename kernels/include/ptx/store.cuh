// Stores to global memory of several values by one instruction.
//
// A store of a struct is not always one: the compiler takes it apart, and where a thread makes many
// of them may not put it together again.
#pragma once

#include "ptx/instruction.cuh"

// Four floats; the address is a multiple of 16, and never one of shared memory.
__device__ __forceinline__ void store_four(float* address, const float (&values)[4]) {
    PTX_STORE_X4("st.global.v4.f32", address, values);
}
