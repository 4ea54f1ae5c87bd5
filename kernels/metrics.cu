// What a trainer shows of a batch of scores x (N, K), added to totals that stay on the device:
//
//     totals[0] += the tree (shards.cuh) of Σ_n losses[n] over the shards      in double
//     totals[1] += the count of rows whose first largest score is the label's
//
// A row counts if every score before the label's is smaller and none after it is larger. A NaN
// compares false with everything, so a row that has one never counts. Nothing is added if the guard
// forbids it (guard.cuh).
//
// Two kernels, one after the other. In rows_right a block takes a row, row n = blockIdx.x, and
// thread t the classes t, t + ROW_THREADS, …. accumulate_metrics is one block over all N rows, in
// shards of `shard_rows`.
//
// Constants: K, ROW_THREADS and SUM_THREADS (the two kernels' threads a block, whole warps).

#include "guard.cuh"
#include "reduction.cuh"
#include "shards.cuh"

__global__ void rows_right(const float* scores, const int* labels, unsigned char* right) {
    __shared__ int scratch[ROW_THREADS / WARP];
    const float* row = scores + static_cast<long long>(blockIdx.x) * K;
    const int label = labels[blockIdx.x];
    const float best = row[label];
    int better = 0;
    for (int k = threadIdx.x; k < K; k += ROW_THREADS) {
        const bool below = k < label ? row[k] < best : row[k] <= best;
        better += below ? 0 : 1;
    }
    better = block_reduce<ROW_THREADS>(better, Sum(), scratch);
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
    __shared__ double loss_scratch[SUM_THREADS / WARP];
    __shared__ int right_scratch[SUM_THREADS / WARP];
    int count = 0;
    const auto loss_of_shard = [&](int shard) {
        const Terms rows = terms_of_slice(shard, shard_rows, 0, shard_rows, N);
        double loss = 0.0;
        for (long long n = rows.first + threadIdx.x; n < rows.last; n += SUM_THREADS) {
            loss += losses[n];
            count += right[n];
        }
        return block_reduce<SUM_THREADS>(loss, Sum(), loss_scratch);
    };
    const double loss = tree_of_shards<double>(shards, loss_of_shard, Sum());
    count = block_reduce<SUM_THREADS>(count, Sum(), right_scratch);
    if (threadIdx.x == 0) {
        totals[0] += loss;
        totals[1] += count;
    }
}
