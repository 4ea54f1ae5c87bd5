// The second pass of a sum that was cut into shards and slices: adds them up.
//
//     sum[i]    = the tree (shards.cuh) of Σ_slice partial[shard, slice, i] over the shards
//     result[i] = sum[i]    then + bias[channel], + residual[i], max(…, 0)
//
// as epilogue.cuh has it, but decided at run time: this is compiled once for all uses. A bias or
// residual that is null is left out; `relu` is 0 or 1. partial is (shards, slices, count); result has
// `count` elements, the last axis of which has `channels`.
//
// A thread's element is along threadIdx.x. If there are few elements and many slices, the block
// has threads along y too, at most 512 in all: each adds up every blockDim.y-th slice of the
// element, and then the first of them adds these sums, in order.

#include "reduction.cuh"
#include "shards.cuh"

constexpr int MOST_THREADS = 512;

__global__ void __launch_bounds__(MOST_THREADS) sum_slices(
    const float* partial, const float* bias, const float* residual, float* result, int relu,
    int shards, int slices, int channels, long long count) {
    __shared__ float sums[MOST_THREADS];
    const long long place = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    const int rows = blockDim.y;
    const int row = threadIdx.y;
    const int turns = place < count ? (slices - row + rows - 1) / rows : 0;
    const auto sum_of_shard = [&](int shard) {
        const long long first = static_cast<long long>(shard) * slices + row;
        const float* own = partial + first * count + place;
        float sum = 0.0f;
        for (int turn = 0; turn < turns; ++turn) {
            sum += own[turn * (rows * count)];
        }
        if (rows > 1) {
            __syncthreads();  // the sums of the shard before have been read
            sums[row * blockDim.x + threadIdx.x] = sum;
            __syncthreads();
            for (int other = 1; row == 0 && other < rows; ++other) {
                sum += sums[other * blockDim.x + threadIdx.x];
            }
        }
        return sum;
    };
    float sum = tree_of_shards<float>(shards, sum_of_shard, Sum{});
    if (place >= count || row > 0) {
        return;
    }
    if (bias != nullptr) {
        sum += bias[place % channels];
    }
    if (residual != nullptr) {
        sum += residual[place];
    }
    result[place] = relu != 0 && sum < 0.0f ? 0.0f : sum;
}
