// Sums over the rows of a matrix, in two stages.
//
//     partial[c, s, k] = Σ x[m, c] over the rows m of chunk k of shard s
//     total[c]         = the tree (shards.cuh) of Σ_k partial[c, s, k] over the shards s
//
// x is (rows, C); partial is (C, shards, chunks), so that the second stage reads along memory. A
// matrix of one chunk in all needs the first stage only.
//
// Constants: WIDTH: neighbouring channels of a thread (channel_rows.cuh). Shards of `shard` rows lie
// along z, their chunks along y; the second stage has a block of whole warps a channel.

#include "channel_rows.cuh"
#include "reduction.cuh"

using Channels = Vector<float, WIDTH>;

__global__ void __launch_bounds__(CHANNEL_ROWS_THREADS) channel_sum_of_chunks(
    const float* x, float* partial, long long rows, long long shard, long long chunk, int C) {
    __shared__ Channels scratch[CHANNEL_ROWS_THREADS];
    const auto block = ChannelRows<WIDTH>::of_launch(C);
    const RowSpan span = block.of_chunk_of_shard(shard, chunk, rows);
    const SumOfVectors add;
    Channels sum = {};
    block.for_each(span, [&](long long, const Channels& values) { sum = add(sum, values); }, x);
    sum = block.join(sum, add, scratch);
    if (threadIdx.y == 0 && span.channel < C) {
        block.store_partial(partial, span, sum);
    }
}

__global__ void __launch_bounds__(CHANNEL_ROWS_THREADS)
    channel_sum_join(const float* partial, float* total, int shards, int chunks) {
    __shared__ float scratch[CHANNEL_ROWS_THREADS / WARP];
    const float* of_channel = partial + static_cast<long long>(blockIdx.x) * shards * chunks;
    const auto sum_of_shard = [&](int shard) {
        const float* of_shard = of_channel + shard * chunks;
        float sum = 0.0f;
        for (int k = threadIdx.x; k < chunks; k += blockDim.x) {
            sum += of_shard[k];
        }
        return block_reduce(blockDim.x, sum, Sum{}, scratch);
    };
    const float sum = tree_of_shards<float>(shards, sum_of_shard, Sum{});
    if (threadIdx.x == 0) {
        total[blockIdx.x] = sum;
    }
}
