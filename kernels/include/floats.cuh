// Neighbouring floats, along whatever axis, that are moved as one: as channels.cuh does it.
#pragma once

#include "channels.cuh"
#include "ptx/store.cuh"

template <int COUNT>
using Floats = Channels<float, COUNT>;

// The values at `address` if `wanted`, else zeros; then nothing is read.
template <int COUNT>
__device__ __forceinline__ Floats<COUNT> load_if(bool wanted, const float* address) {
    return wanted ? load_channels<COUNT>(address) : Floats<COUNT>{};
}

// To global memory, four by one instruction: store_channels is not always that where a thread
// writes much.
template <int COUNT>
__device__ __forceinline__ void store_floats(float* address, const Floats<COUNT>& values) {
    if constexpr (COUNT == 4) {
        store_four(address, values.of);
    } else {
        store_channels(address, values);
    }
}
