// Convolution, input gradient, as its formula says: a thread an element of dx, which it gathers.
//
//     dx[n,h,w,c] = Σ_{r,s,k} dy[n,p,q,k] · w[k,r,s,c]
//
// over the taps with p·STRIDE_H − PAD_H + r·DILATION_H = h and q·STRIDE_W − PAD_W + s·DILATION_W
// = w for some output (p, q), and over the filters k of the group that reads channel c.
// dy is (N, P, Q, K), w (K, R, S, C/GROUPS), dx (N, H, W, C).
//
// Constants: H, W, C, K, R, S, P, Q, STRIDE_H, STRIDE_W, PAD_H, PAD_W (before), DILATION_H,
// DILATION_W, GROUPS. The blocks of one image lie along x, the images along y (image_grid.cuh); N
// is a run-time argument. Within an image every offset fits an int.

#include "image_grid.cuh"

constexpr int CHANNELS = C / GROUPS;
constexpr int FILTERS = K / GROUPS;

__global__ void conv2d_input_grad_direct(const float* dy, const float* w, float* dx, int N) {
    const int element = element_of_image();
    if (element >= H * W * C) {
        return;
    }
    const int c = element % C;
    const int column = element / C % W;
    const int row = element / (C * W);
    const int first_filter = c / CHANNELS * FILTERS;
    const float* weights = w + first_filter * (R * S * CHANNELS) + c % CHANNELS;
    for (int n = first_image(); n < N; n += image_stride()) {
        const float* gradient = dy + static_cast<long long>(n) * (P * Q * K) + first_filter;
        float sum = 0.0f;
        for (int r = 0; r < R; ++r) {
            const int down = row + PAD_H - r * DILATION_H;
            if (down < 0 || down % STRIDE_H != 0 || down / STRIDE_H >= P) {
                continue;
            }
            for (int s = 0; s < S; ++s) {
                const int right = column + PAD_W - s * DILATION_W;
                if (right < 0 || right % STRIDE_W != 0 || right / STRIDE_W >= Q) {
                    continue;
                }
                const float* pixel = gradient + (down / STRIDE_H * Q + right / STRIDE_W) * K;
                const float* weight = weights + (r * S + s) * CHANNELS;
                for (int k = 0; k < FILTERS; ++k) {
                    sum += pixel[k] * weight[k * (R * S * CHANNELS)];
                }
            }
        }
        dx[static_cast<long long>(n) * (H * W * C) + element] = sum;
    }
}
