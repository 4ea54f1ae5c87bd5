// Depthwise convolution (K = C = GROUPS), filter gradient. With c the channel,
//
//     dw[c,r,s] = Σ_{n,p,q} dy[n,p,q,c] · x[n, p·STRIDE_H − PAD_H + r·DILATION_H,
//                                              q·STRIDE_W − PAD_W + s·DILATION_W, c]
//
// x is (N, H, W, C), dy (N, P, Q, C), dw (C, R, S, 1).
//
// A thread goes along rows of dy, for one channel, with a sum for each tap. A block is LANES
// threads along the channels (threadIdx.x) by ROWS threads (threadIdx.y) that take the rows of the
// block's slice in turns; their sums are then added in order. The N·P rows are cut into shards of
// `shard_rows` (shards.cuh), which lie along the grid's z, and these into slices of `slice_rows`, one
// a block along y: each slice's sums go to partial[shard, slice], of dw's shape, and sum_slices.cu
// adds them. With one slice in all, `partial` is dw.
//
// Constants: H, W, C, K, R, S, P, Q, STRIDE_H, STRIDE_W, PAD_H, PAD_W (before), DILATION_H,
// DILATION_W, GROUPS, LANES, ROWS. N, as `rows` = N·P, is a run-time argument. Within an image
// every offset fits an int.

#include "shards.cuh"

constexpr int TAPS = R * S;

__global__ void conv2d_depthwise_filter_grad(
    const float* x, const float* dy, float* partial, long long rows, long long shard_rows,
    long long slice_rows) {
    __shared__ float scratch[ROWS][LANES];
    const int channel = blockIdx.x * LANES + threadIdx.x;
    const Terms slice = terms_of_slice(blockIdx.z, shard_rows, blockIdx.y, slice_rows, rows);
    const long long last = channel < C ? slice.last : slice.first;
    float sums[TAPS] = {};
    for (long long position = slice.first + threadIdx.y; position < last; position += ROWS) {
        const int top = static_cast<int>(position % P) * STRIDE_H - PAD_H;
        const float* image = x + position / P * (H * W * C) + channel;
        const float* outputs = dy + position * (Q * C) + channel;
        for (int q = 0; q < Q; ++q) {
            const int left = q * STRIDE_W - PAD_W;
            const float output = outputs[q * C];
#pragma unroll
            for (int tap = 0; tap < TAPS; ++tap) {
                const int h = top + tap / S * DILATION_H;
                const int v = left + tap % S * DILATION_W;
                const bool inside = h >= 0 && h < H && v >= 0 && v < W;
                sums[tap] += output * (inside ? image[(h * W + v) * C] : 0.0f);
            }
        }
    }
    const long long slices_before = blockIdx.z * gridDim.y + blockIdx.y;
    float* result = partial + (slices_before * C + channel) * TAPS;
#pragma unroll
    for (int tap = 0; tap < TAPS; ++tap) {
        scratch[threadIdx.y][threadIdx.x] = sums[tap];
        __syncthreads();
        if (threadIdx.y == 0 && channel < C) {
            float sum = 0.0f;
            for (int i = 0; i < ROWS; ++i) {
                sum += scratch[i][threadIdx.x];
            }
            result[tap] = sum;
        }
        __syncthreads();
    }
}
