// Convolution, forward, as its formula says: a thread an output element.
//
//     y[n,p,q,k] = Σ_{r,s,c} x[n, p·STRIDE_H − PAD_H + r·DILATION_H,
//                                 q·STRIDE_W − PAD_W + s·DILATION_W, g·C/GROUPS + c] · w[k,r,s,c]
//
// with g = k / (K/GROUPS) the group of filter k, then bias, residual and ReLU (epilogue.cuh).
// x is (N, H, W, C), w (K, R, S, C/GROUPS), y and the residual (N, P, Q, K), the bias (K).
//
// Constants: H, W, C, K, R, S, P, Q, STRIDE_H, STRIDE_W, PAD_H, PAD_W (before), DILATION_H,
// DILATION_W, GROUPS, HAS_BIAS, HAS_RESIDUAL, RELU. The blocks of one image lie along x, the images
// along y (image_grid.cuh); N is a run-time argument. Within an image every offset fits an int.

#include "epilogue.cuh"
#include "image_grid.cuh"

constexpr int CHANNELS = C / GROUPS;

__global__ void conv2d_forward_direct(
    const float* x, const float* w, const float* bias, const float* residual, float* y, int N) {
    const int element = element_of_image();
    if (element >= P * Q * K) {
        return;
    }
    const Epilogue<HAS_BIAS, HAS_RESIDUAL, RELU> epilogue{bias, residual};
    const int k = element % K;
    const int q = element / K % Q;
    const int p = element / (K * Q);
    const int first_channel = k / (K / GROUPS) * CHANNELS;
    const float* filter = w + k * (R * S * CHANNELS);
    for (int n = first_image(); n < N; n += image_stride()) {
        const float* image = x + static_cast<long long>(n) * (H * W * C) + first_channel;
        float sum = 0.0f;
        for (int r = 0; r < R; ++r) {
            const int row = p * STRIDE_H - PAD_H + r * DILATION_H;
            if (row < 0 || row >= H) {
                continue;
            }
            for (int s = 0; s < S; ++s) {
                const int column = q * STRIDE_W - PAD_W + s * DILATION_W;
                if (column < 0 || column >= W) {
                    continue;
                }
                const float* pixel = image + (row * W + column) * C;
                const float* weight = filter + (r * S + s) * CHANNELS;
                for (int c = 0; c < CHANNELS; ++c) {
                    sum += pixel[c] * weight[c];
                }
            }
        }
        const long long place = static_cast<long long>(n) * (P * Q * K) + element;
        y[place] = epilogue(sum, k, place);
    }
}
