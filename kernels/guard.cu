// Whether a step may be taken:
//
//     guard[0] ← step, where guard[0] is 0 and norm[0] or any of losses[0 … N − 1] is not finite
//
// so guard[0] is 0, or the first step that must not be taken. The kernels that take steps look at
// it (guard.cuh) and change nothing where it is not 0.
//
// One block, thread t the losses t, t + THREADS, ….
//
// Constants: THREADS (whole warps).

#include "reduction.cuh"

__global__ void guard_step(
    int* guard, const double* norm, const float* losses, int step, int N) {
    __shared__ int scratch[THREADS / WARP];
    // x − x is 0 for finite numbers, and NaN for others.
    int wrong = norm[0] - norm[0] == 0.0 ? 0 : 1;
    for (int n = threadIdx.x; n < N; n += THREADS) {
        wrong |= losses[n] - losses[n] == 0.0f ? 0 : 1;
    }
    wrong = block_reduce<THREADS>(wrong, Maximum(), scratch);
    if (threadIdx.x == 0 && wrong != 0 && guard[0] == 0) {
        guard[0] = step;
    }
}
