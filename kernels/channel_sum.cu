// Sums over the rows of a matrix, in two stages.
//
//     partial[c, k] = Σ x[m, c] over the rows m of chunk k
//     total[c]      = Σ partial[c, k] over k
//
// x is (rows, C); partial is (C, chunks), so that the second stage reads along memory. A matrix of
// one chunk needs the first stage only.
//
// Constants: C; WIDTH, LANES and ROWS, how a chunk is divided over a block (channel_rows.cuh);
// JOIN_THREADS, threads a block of the second stage, which has a block a channel. Chunks lie along
// y.

#include "channel_rows.cuh"
#include "reduction.cuh"

using Channels = Vector<float, WIDTH>;

__global__ void __launch_bounds__(LANES * ROWS)
    channel_sum_of_chunks(const float* x, float* partial, long long rows, long long chunk) {
    __shared__ Channels scratch[LANES * ROWS];
    constexpr ChannelRows<WIDTH> block{C, LANES, ROWS};
    const RowSpan span = block.of_chunk(blockIdx.y, chunk, rows);
    const SumOfVectors add;
    Channels sum = {};
    block.for_each(span, [&](long long, const Channels& values) { sum = add(sum, values); }, x);
    sum = block.join(sum, add, scratch);
    if (threadIdx.y == 0 && span.channel < C) {
        block.store_partial(partial, span, sum);
    }
}

__global__ void __launch_bounds__(JOIN_THREADS)
    channel_sum_join(const float* partial, float* total, int chunks) {
    __shared__ float scratch[JOIN_THREADS / WARP];
    const float* of_channel = partial + static_cast<long long>(blockIdx.x) * chunks;
    float sum = 0.0f;
    for (int k = threadIdx.x; k < chunks; k += JOIN_THREADS) {
        sum += of_channel[k];
    }
    sum = block_reduce<JOIN_THREADS>(sum, Sum{}, scratch);
    if (threadIdx.x == 0) {
        total[blockIdx.x] = sum;
    }
}
