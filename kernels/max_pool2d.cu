// Max pooling over windows of R×S, and the routing of its gradient.
//
//     y[n,p,q,c]      = max over r, s of x[n, p·STRIDE_H − PAD_H + r, q·STRIDE_W − PAD_W + s, c]
//     argmax[n,p,q,c] = r·S + s of the winner: the first of equal values; padding never wins;
//                       NaN wins over any number, the first of several
//     dx[n,h,w,c]     = Σ dy[n,p,q,c] over the windows that hold (h, w) and whose winner it is
//
// x and dx are (N, H, W, C), y, dy and argmax (N, P, Q, C); argmax is an unsigned char where
// R·S ≤ 256, else an unsigned short. The gradient is gathered, a thread an element of dx, so there
// are no atomics and the order of the sum is fixed.
//
// Constants: H, W, C, R, S, P, Q, STRIDE_H, STRIDE_W, PAD_H, PAD_W. The blocks of one image lie
// along x, the images along y (image_grid.cuh); N is a run-time argument.
// Within an image every offset fits an int.

#include "image_grid.cuh"

template <bool fits>
struct ArgmaxOf {
    using Type = unsigned char;
};
template <>
struct ArgmaxOf<false> {
    using Type = unsigned short;
};
using Argmax = ArgmaxOf<(R * S <= 256)>::Type;

__global__ void max_pool2d_forward(const float* x, float* y, Argmax* argmax, int N) {
    const int element = blockIdx.x * blockDim.x + threadIdx.x;
    if (element >= P * Q * C) {
        return;
    }
    const int c = element % C;
    const int q = element / C % Q;
    const int p = element / (C * Q);
    for (int n = first_image(); n < N; n += image_stride()) {
        const float* image = x + static_cast<long long>(n) * (H * W * C);
        float best = 0.0f;
        int winner = -1;
        for (int r = 0; r < R; ++r) {
            for (int s = 0; s < S; ++s) {
                const int h = p * STRIDE_H - PAD_H + r;
                const int w = q * STRIDE_W - PAD_W + s;
                if (h < 0 || h >= H || w < 0 || w >= W) {
                    continue;
                }
                const float value = image[(h * W + w) * C + c];
                // A NaN is greater than none and none is greater than it: it wins once.
                if (winner < 0 || value > best || (value != value && best == best)) {
                    best = value;
                    winner = r * S + s;
                }
            }
        }
        const long long place = static_cast<long long>(n) * (P * Q * C) + element;
        y[place] = best;
        argmax[place] = static_cast<Argmax>(winner);
    }
}

__global__ void max_pool2d_input_grad(const float* dy, const Argmax* argmax, float* dx, int N) {
    const int element = blockIdx.x * blockDim.x + threadIdx.x;
    if (element >= H * W * C) {
        return;
    }
    const int c = element % C;
    const int w = element / C % W;
    const int h = element / (C * W);
    // The windows that hold row h begin at rows p·STRIDE_H − PAD_H from h − R + 1 to h.
    const int last_p = min((h + PAD_H) / STRIDE_H, P - 1);
    const int last_q = min((w + PAD_W) / STRIDE_W, Q - 1);
    const int first_p = h + PAD_H < R ? 0 : (h + PAD_H - R) / STRIDE_H + 1;
    const int first_q = w + PAD_W < S ? 0 : (w + PAD_W - S) / STRIDE_W + 1;
    for (int n = first_image(); n < N; n += image_stride()) {
        const long long base = static_cast<long long>(n) * (P * Q * C);
        float sum = 0.0f;
        for (int p = first_p; p <= last_p; ++p) {
            for (int q = first_q; q <= last_q; ++q) {
                const int here = (h + PAD_H - p * STRIDE_H) * S + (w + PAD_W - q * STRIDE_W);
                const long long place = base + (p * Q + q) * C + c;
                if (argmax[place] == here) {
                    sum += dy[place];
                }
            }
        }
        dx[static_cast<long long>(n) * (H * W * C) + element] = sum;
    }
}
