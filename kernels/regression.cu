// Losses of a regression, over predictions x and targets y, both (N, T), and what is shown of it:
//
//     squared error   losses[n]        = Σ_t d² / T                      d = x[n,t] − y[n,t]
//                     gradient[n,t]    = 2 · scale / T · d
//     Huber           losses[n]        = Σ_t h(d) / T
//                     gradient[n,t]    = scale / T · min(max(d, −delta), delta)
//                     h(d)             = d² / 2 if |d| ≤ delta, else delta · (|d| − delta / 2)
//
//     totals[0] += the tree (shards.cuh) of Σ_n losses[n] over the shards        in double
//     totals[1] += the tree of Σ_n Σ_t d² / T                                    in double
//
// Source of h: Huber, "Robust estimation of a location parameter", Ann. Math. Statist. 35 (1964).
// A NaN, in x or in y, stays one.
//
// Losses: a block takes a row, row n = blockIdx.x; thread t takes the numbers t, t + ROW_THREADS, …,
// and the block adds up what its threads have. Gradients: a block takes a row as well. Totals: one
// block over all N rows, in shards of `shard_rows`; thread t takes the numbers t, t + THREADS, … of a
// shard, whose rows are next to one another. Nothing is added if the guard forbids it (guard.cuh).
//
// Constants: K (the numbers a row, T above), ROW_THREADS, THREADS (a block's, whole warps).

#include "guard.cuh"
#include "reduction.cuh"
#include "shards.cuh"

// Σ_t value(x[n,t] − y[n,t]) / T of this block's row, with all its threads.
template <typename Value>
__device__ __forceinline__ void loss_of_row(
    const float* predictions, const float* targets, float* losses, Value value) {
    __shared__ float scratch[ROW_THREADS / WARP];
    const long long row = static_cast<long long>(blockIdx.x) * K;
    float sum = 0.0f;
    for (int k = threadIdx.x; k < K; k += ROW_THREADS) {
        sum += value(predictions[row + k] - targets[row + k]);
    }
    sum = block_reduce<ROW_THREADS>(sum, Sum(), scratch);
    if (threadIdx.x == 0) {
        losses[blockIdx.x] = sum / K;
    }
}

__global__ void squared_error_forward(
    const float* predictions, const float* targets, float* losses) {
    loss_of_row(predictions, targets, losses, [](float d) { return d * d; });
}

// slope is 2 · scale / T.
__global__ void squared_error_input_grad(
    const float* predictions, const float* targets, float slope, float* gradient) {
    const long long row = static_cast<long long>(blockIdx.x) * K;
    for (int k = threadIdx.x; k < K; k += ROW_THREADS) {
        gradient[row + k] = slope * (predictions[row + k] - targets[row + k]);
    }
}

__global__ void huber_forward(
    const float* predictions, const float* targets, float delta, float* losses) {
    loss_of_row(predictions, targets, losses, [=](float d) {
        const float size = fabsf(d);
        return size > delta ? delta * (size - 0.5f * delta) : 0.5f * d * d;
    });
}

// slope is scale / T.
__global__ void huber_input_grad(
    const float* predictions, const float* targets, float delta, float slope, float* gradient) {
    const long long row = static_cast<long long>(blockIdx.x) * K;
    for (int k = threadIdx.x; k < K; k += ROW_THREADS) {
        const float d = predictions[row + k] - targets[row + k];
        gradient[row + k] = slope * (d < -delta ? -delta : (d > delta ? delta : d));
    }
}

__global__ void accumulate_errors(
    const float* losses, const float* predictions, const float* targets, double* totals,
    const int* guard, int N, int shard_rows, int shards) {
    if (is_refused(guard)) {
        return;
    }
    __shared__ double scratch[THREADS / WARP];
    const auto loss_of_shard = [&](int shard) {
        const Terms rows = terms_of_slice(shard, shard_rows, 0, shard_rows, N);
        double loss = 0.0;
        for (long long n = rows.first + threadIdx.x; n < rows.last; n += THREADS) {
            loss += losses[n];
        }
        return block_reduce<THREADS>(loss, Sum(), scratch);
    };
    const auto squares_of_shard = [&](int shard) {
        const Terms rows = terms_of_slice(shard, shard_rows, 0, shard_rows, N);
        double squares = 0.0;
        for (long long i = rows.first * K + threadIdx.x; i < rows.last * K; i += THREADS) {
            const double d = static_cast<double>(predictions[i]) - targets[i];
            squares += d * d;
        }
        return block_reduce<THREADS>(squares, Sum(), scratch);
    };
    const double loss = tree_of_shards<double>(shards, loss_of_shard, Sum());
    const double squares = tree_of_shards<double>(shards, squares_of_shard, Sum());
    if (threadIdx.x == 0) {
        totals[0] += loss;
        totals[1] += squares / K;
    }
}
