// The guard of a step (step.cu), as the kernels see it that would change something in the step.
#pragma once

// Whether nothing may be changed. The guard is null where there is none.
__device__ __forceinline__ bool is_refused(const int* guard) {
    return guard != nullptr && guard[0] != 0;
}
