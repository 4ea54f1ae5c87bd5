// What a training step does besides its layers, its loss and its optimizer.
//
// The norm of the gradient, of `count` elements, and the two ways to clip it, in place:
//
//     norm      = √Σ g²                                in double, which no square of a float overflows
//     by norm     g ← g · min(1, limit / norm)
//     by value    g ← min(max(g, −limit), limit)       a NaN stays
//
// The norm is not finite if any element is not. It stays on the device: clipping reads it there. It
// takes two kernels. In sum_squares a block takes PIECE neighbouring elements, a thread VECTOR of
// them at a time; norm_of_sums is one block over the sums of all pieces. The pieces, and so the order
// of the sum, depend on the count alone. Clipping is elementwise (elementwise.cuh).
//
// The moving average of all values, after each step:
//
//     average ← average + share · (value − average)
//
// The guard, whether the step may be taken:
//
//     guard[0]  ← step, if guard[0] is 0 and norm[0] or any of losses[0 … N − 1] is not finite
//
// so guard[0] is 0, or the first step that must not be taken. The kernels that take steps read it
// (guard.cuh), and change nothing if it is not 0. One block, thread t the losses t, t + THREADS, ….
//
// The totals that a trainer shows, of a batch of scores x (N, K):
//
//     totals[0] += the tree (shards.cuh) of Σ_n losses[n] over the shards      in double
//     totals[1] += the count of rows whose first largest score is the label's
//
// A row counts if every score before the label's is smaller and none after it is larger. A NaN
// compares false with everything, so a row that has one never counts. Nothing is added if the guard
// forbids it. Two kernels, one after the other: in rows_right a block takes a row, row n = blockIdx.x,
// and thread t the classes t, t + blockDim.x, …; accumulate_metrics is one block over all N rows, in
// shards of `shard_rows`.
//
// Constants: PIECE, THREADS (a block's, whole warps; those of rows_right at most). PIECE is a
// multiple of THREADS · VECTOR.

#include "elementwise.cuh"
#include "guard.cuh"
#include "reduction.cuh"
#include "shards.cuh"
#include "update.cuh"

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

__global__ void update_average(
    float* average, const float* values, float share, const int* guard, long long count) {
    if (is_refused(guard)) {
        return;
    }
    update_elements(
        count, [=](float value, float& a) { a += share * (value - a); }, values, average);
}

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

__global__ void rows_right(
    const float* scores, const int* labels, unsigned char* right, int K) {
    __shared__ int scratch[THREADS / WARP];
    const float* row = scores + static_cast<long long>(blockIdx.x) * K;
    const int label = labels[blockIdx.x];
    const float best = row[label];
    int better = 0;
    for (int k = threadIdx.x; k < K; k += blockDim.x) {
        const bool below = k < label ? row[k] < best : row[k] <= best;
        better += below ? 0 : 1;
    }
    better = block_reduce(blockDim.x, better, Sum(), scratch);
    if (threadIdx.x == 0) {
        right[blockIdx.x] = better == 0;
    }
}

__global__ void accumulate_metrics(
    const float* losses, const unsigned char* right, double* totals, const int* guard, int N,
    int shard_rows, int shards) {
    if (is_refused(guard)) {
        return;
    }
    __shared__ double loss_scratch[THREADS / WARP];
    __shared__ int right_scratch[THREADS / WARP];
    int count = 0;
    const auto loss_of_shard = [&](int shard) {
        const Terms rows = terms_of_slice(shard, shard_rows, 0, shard_rows, N);
        double loss = 0.0;
        for (long long n = rows.first + threadIdx.x; n < rows.last; n += THREADS) {
            loss += losses[n];
            count += right[n];
        }
        return block_reduce<THREADS>(loss, Sum(), loss_scratch);
    };
    const double loss = tree_of_shards<double>(shards, loss_of_shard, Sum());
    count = block_reduce<THREADS>(count, Sum(), right_scratch);
    if (threadIdx.x == 0) {
        totals[0] += loss;
        totals[1] += count;
    }
}
