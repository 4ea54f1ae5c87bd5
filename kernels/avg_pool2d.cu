// Average pooling over windows of R×S, and its input gradient.
//
//     y[n,p,q,c]  = Σ x[n, p·STRIDE_H − PAD_H + r, q·STRIDE_W − PAD_W + s, c] / (R·S)
//                   over r, s; padding counts, as zeros
//     dx[n,h,w,c] = Σ dy[n,p,q,c] / (R·S) over the windows that hold (h, w)
//
// x and dx are (N, H, W, C), y and dy (N, P, Q, C).
//
// A thread computes WIDTH neighbouring channels of a pixel of the result, which it gathers. The
// blocks of one image lie along x, the images along y (image_grid.cuh); N is a run-time argument.
// Within an image every offset fits an int.
//
// Constants: WIDTH, H, W, C, R, S, P, Q, STRIDE_H, STRIDE_W, PAD_H, PAD_W (before).

#include "vector.cuh"
#include "image_grid.cuh"
#include "pool_axis.cuh"

using Vertical = PoolAxis<H, R, STRIDE_H, PAD_H, P>;
using Horizontal = PoolAxis<W, S, STRIDE_W, PAD_W, Q>;
using Channels = Vector<float, WIDTH>;
constexpr unsigned VECTORS = C / WIDTH;

constexpr float SHARE = 1.0f / (static_cast<float>(R) * S);

__global__ void avg_pool2d_forward(const float* x, float* y, int N) {
    const unsigned element = element_of_image();
    if (element >= P * Q * VECTORS) {
        return;
    }
    const int c = element % VECTORS * WIDTH;
    const int q = element / VECTORS % Q;
    const int p = element / (VECTORS * Q);
    for (int n = first_image(); n < N; n += image_stride()) {
        const float* image = x + static_cast<long long>(n) * (H * W * C);
        const SumOfVectors add;
        Channels sum = {};
        for (int r = 0; r < R; ++r) {
            for (int s = 0; s < S; ++s) {
                const int h = Vertical::pixel(p, r);
                const int w = Horizontal::pixel(q, s);
                if (Vertical::in_image(h) && Horizontal::in_image(w)) {
                    sum = add(sum, load_vector<WIDTH>(image + (h * W + w) * C + c));
                }
            }
        }
        const long long output = static_cast<long long>(n) * (P * Q * C) + element * WIDTH;
        store_vector(y + output, scaled(sum, SHARE));
    }
}

__global__ void avg_pool2d_input_grad(const float* dy, float* dx, int N) {
    const unsigned element = element_of_image();
    if (element >= H * W * VECTORS) {
        return;
    }
    const int c = element % VECTORS * WIDTH;
    const int w = element / VECTORS % W;
    const int h = element / (VECTORS * W);
    const int first_p = Vertical::first_window(h);
    const int last_p = Vertical::last_window(h);
    const int first_q = Horizontal::first_window(w);
    const int last_q = Horizontal::last_window(w);
    for (int n = first_image(); n < N; n += image_stride()) {
        const float* gradient = dy + static_cast<long long>(n) * (P * Q * C);
        const SumOfVectors add;
        Channels sum = {};
        for (int p = first_p; p <= last_p; ++p) {
            for (int q = first_q; q <= last_q; ++q) {
                sum = add(sum, load_vector<WIDTH>(gradient + (p * Q + q) * C + c));
            }
        }
        const long long input = static_cast<long long>(n) * (H * W * C) + element * WIDTH;
        store_vector(dx + input, scaled(sum, SHARE));
    }
}
