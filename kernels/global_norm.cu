// The norm of a gradient of `count` elements, and the two ways to clip it, in place:
//
//     norm    = √Σ g²                               in double, which no square of a float overflows
//     by norm   g ← g · min(1, limit / norm)
//     by value  g ← min(max(g, −limit), limit)      a NaN stays
//
// The norm is not finite where any element is not. It stays on the device: clipping reads it there.
//
// The norm takes two kernels. In sum_squares a block takes PIECE neighbouring elements, a thread
// VECTOR of them at a time; norm_of_sums is one block over the sums of all pieces. The pieces, and
// so the order of the sum, depend on the count alone. Clipping is elementwise (elementwise.cuh).
//
// Constants: PIECE, THREADS (a block's, whole warps). PIECE is a multiple of THREADS · VECTOR.

#include "elementwise.cuh"
#include "reduction.cuh"

static_assert(PIECE % (THREADS * VECTOR) == 0, "a piece is whole rounds of a block's threads");

__global__ void sum_squares(const float* gradients, double* sums, long long count) {
    __shared__ double scratch[THREADS / WARP];
    const long long piece = static_cast<long long>(blockIdx.x) * PIECE;
    // A sum for each element of the vectors: four additions in flight.
    double partial[VECTOR] = {};
    for (int round = 0; round < PIECE; round += THREADS * VECTOR) {
        const long long first = piece + round + threadIdx.x * VECTOR;
        if (first + VECTOR <= count) {
            const Vector<float, VECTOR> values = load_vector<VECTOR>(gradients + first);
            for (int i = 0; i < VECTOR; ++i) {
                const double wide = values.of[i];
                partial[i] += wide * wide;
            }
        } else {
            for (long long i = first; i < count; ++i) {
                const double wide = gradients[i];
                partial[0] += wide * wide;
            }
        }
    }
    const double sum = (partial[0] + partial[1]) + (partial[2] + partial[3]);
    const double total = block_reduce<THREADS>(sum, Sum(), scratch);
    if (threadIdx.x == 0) {
        sums[blockIdx.x] = total;
    }
}

__global__ void norm_of_sums(const double* sums, double* norm, int pieces) {
    __shared__ double scratch[THREADS / WARP];
    double sum = 0.0;
    for (int piece = threadIdx.x; piece < pieces; piece += THREADS) {
        sum += sums[piece];
    }
    sum = block_reduce<THREADS>(sum, Sum(), scratch);
    if (threadIdx.x == 0) {
        norm[0] = sqrt(sum);
    }
}

__global__ void clip_by_global_norm(
    float* gradients, const double* norm, double limit, long long count) {
    // Not greater is also a NaN, which is left for others to see.
    if (!(norm[0] > limit)) {
        return;
    }
    const float factor = static_cast<float>(limit / norm[0]);
    map_elements(count, [=](float g) { return g * factor; }, gradients, gradients);
}

__global__ void clip_by_value(float* gradients, float limit, long long count) {
    map_elements(
        count, [=](float g) { return g < -limit ? -limit : (g > limit ? limit : g); }, gradients,
        gradients);
}
