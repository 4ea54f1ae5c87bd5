// The second pass of a sum that was cut into shards and slices: adds them up.
//
//     sum[i]    = the tree (shards.cuh) of Σ_slice partial[shard, slice, i] over the shards
//     result[i] = sum[i]    then + bias[channel], + residual[i], max(…, 0)
//
// as epilogue.cuh has it, but decided at run time: this is compiled once for all uses. A bias or
// residual that is null is left out; `relu` is 0 or 1. partial is (shards, slices, count); result has
// `count` elements, the last axis of which has `channels`.
//
// A thread takes one element or, if `channels` is a multiple of four, four neighbouring ones, along
// threadIdx.x. If that makes few threads of many slices, the block has threads along y too, at most
// 512 in all: each adds up every blockDim.y-th slice, and then the first of them adds these sums, in
// order.

#include "reduction.cuh"
#include "shards.cuh"
#include "vector.cuh"

constexpr int MOST_THREADS = 512;

template <int WIDTH>
__device__ __forceinline__ void add_up(
    Vector<float, WIDTH>* sums, const float* partial, const float* bias, const float* residual,
    float* result, int relu, int shards, int slices, int channels, long long count) {
    const SumOfVectors add;
    const long long place =
        (static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x) * WIDTH;
    const int rows = blockDim.y;
    const int row = threadIdx.y;
    const int turns = place < count ? (slices - row + rows - 1) / rows : 0;
    const auto sum_of_shard = [&](int shard) {
        const long long first = static_cast<long long>(shard) * slices + row;
        const float* own = partial + first * count + place;
        Vector<float, WIDTH> sum = {};
        // Four reads are under way; with more, some architectures run out of registers.
#pragma unroll 4
        for (int turn = 0; turn < turns; ++turn) {
            sum = add(sum, load_vector<WIDTH>(own + turn * (rows * count)));
        }
        if (rows > 1) {
            __syncthreads();  // the sums of the shard before have been read
            sums[row * blockDim.x + threadIdx.x] = sum;
            __syncthreads();
            for (int other = 1; row == 0 && other < rows; ++other) {
                sum = add(sum, sums[other * blockDim.x + threadIdx.x]);
            }
        }
        return sum;
    };
    Vector<float, WIDTH> sum = tree_of_shards<Vector<float, WIDTH>>(shards, sum_of_shard, add);
    if (place >= count || row > 0) {
        return;
    }
    if (bias != nullptr) {
        sum = add(sum, load_vector<WIDTH>(bias + place % channels));
    }
    if (residual != nullptr) {
        sum = add(sum, load_vector<WIDTH>(residual + place));
    }
    for (int i = 0; i < WIDTH; ++i) {
        sum.of[i] = relu != 0 && sum.of[i] < 0.0f ? 0.0f : sum.of[i];
    }
    store_vector(result + place, sum);
}

__global__ void __launch_bounds__(MOST_THREADS) sum_slices(
    const float* partial, const float* bias, const float* residual, float* result, int relu,
    int shards, int slices, int channels, long long count) {
    __shared__ Vector<float, 1> sums[MOST_THREADS];
    add_up(sums, partial, bias, residual, result, relu, shards, slices, channels, count);
}

__global__ void __launch_bounds__(MOST_THREADS) sum_slices_of_vectors(
    const float* partial, const float* bias, const float* residual, float* result, int relu,
    int shards, int slices, int channels, long long count) {
    __shared__ Vector<float, 4> sums[MOST_THREADS];
    add_up(sums, partial, bias, residual, result, relu, shards, slices, channels, count);
}
