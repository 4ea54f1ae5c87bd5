// Neighbouring floats, along whatever axis, that are moved as one: as channels.cuh does it.
#pragma once

#include "channels.cuh"

template <int COUNT>
using Floats = Channels<float, COUNT>;

// The values at `address` if `wanted`, else zeros; then nothing is read.
template <int COUNT>
__device__ __forceinline__ Floats<COUNT> load_if(bool wanted, const float* address) {
    return wanted ? load_channels<COUNT>(address) : Floats<COUNT>{};
}
