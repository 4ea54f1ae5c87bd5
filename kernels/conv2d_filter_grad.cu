// Convolution, filter gradient, as its formula says: a thread an element of dw.
//
//     dw[k,r,s,c] = Σ_{n,p,q} dy[n,p,q,k] · x[n, p·STRIDE_H − PAD_H + r·DILATION_H,
//                                                q·STRIDE_W − PAD_W + s·DILATION_W, g·C/GROUPS + c]
//
// with g = k / (K/GROUPS) the group of filter k. x is (N, H, W, C), dy (N, P, Q, K), dw
// (K, R, S, C/GROUPS).
//
// The N·P rows of dy are cut into shards of `shard_rows` (shards.cuh), which lie along the grid's z,
// and these into slices of `slice_rows`, one a block along y. Each block writes its sums to
// partial[shard, slice], of dw's shape, and sum_slices.cu adds them up, so the order of the sum is
// fixed. With one slice in all, `partial` is dw itself.
//
// Constants: H, W, C, K, R, S, P, Q, STRIDE_H, STRIDE_W, PAD_H, PAD_W (before), DILATION_H,
// DILATION_W, GROUPS. N, as `rows` = N·P, is a run-time argument. Within an image every offset
// fits an int.

#include "shards.cuh"

constexpr int CHANNELS = C / GROUPS;
constexpr int ELEMENTS = K * R * S * CHANNELS;

__global__ void conv2d_filter_grad_direct(
    const float* x, const float* dy, float* partial, long long rows, long long shard_rows,
    long long slice_rows) {
    const int element = blockIdx.x * blockDim.x + threadIdx.x;
    if (element >= ELEMENTS) {
        return;
    }
    const int s = element / CHANNELS % S;
    const int r = element / (CHANNELS * S) % R;
    const int k = element / (CHANNELS * S * R);
    const int c = k / (K / GROUPS) * CHANNELS + element % CHANNELS;
    const Terms slice = terms_of_slice(blockIdx.z, shard_rows, blockIdx.y, slice_rows, rows);
    float sum = 0.0f;
    for (long long position = slice.first; position < slice.last; ++position) {
        const int p = static_cast<int>(position % P);
        const int row = p * STRIDE_H - PAD_H + r * DILATION_H;
        if (row < 0 || row >= H) {
            continue;
        }
        const float* pixels = x + position / P * (H * W * C) + row * (W * C) + c;
        const float* gradient = dy + position * (Q * K) + k;
        for (int q = 0; q < Q; ++q) {
            const int column = q * STRIDE_W - PAD_W + s * DILATION_W;
            if (column >= 0 && column < W) {
                sum += gradient[q * K] * pixels[column * C];
            }
        }
    }
    const long long slices_before = blockIdx.z * gridDim.y + blockIdx.y;
    partial[slices_before * ELEMENTS + element] = sum;
}
