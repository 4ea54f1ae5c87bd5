// Max pooling over windows of R×S, and the routing of its gradient.
//
//     y[n,p,q,c]      = max over r, s of x[n, p·STRIDE_H − PAD_H + r, q·STRIDE_W − PAD_W + s, c]
//     argmax[n,p,q,c] = r·S + s of the winner: the first of equal values; padding never wins;
//                       NaN wins over any number, the first of several
//     dx[n,h,w,c]     = Σ dy[n,p,q,c] over the windows that hold (h, w) and whose winner it is
//
// x and dx are (N, H, W, C), y, dy and argmax (N, P, Q, C); argmax is an unsigned char where
// R·S ≤ 256, else an unsigned short. The gradient is gathered, so there are no atomics and the
// order of the sum is fixed.
//
// A thread computes WIDTH neighbouring channels of a pixel of the result. The blocks of one image
// lie along x, the images along y (image_grid.cuh); N is a run-time argument. Within an image
// every offset fits an int.
//
// Constants: WIDTH, H, W, C, R, S, P, Q, STRIDE_H, STRIDE_W, PAD_H, PAD_W (before).

#include "vector.cuh"
#include "image_grid.cuh"
#include "pool_axis.cuh"

using Vertical = PoolAxis<H, R, STRIDE_H, PAD_H, P>;
using Horizontal = PoolAxis<W, S, STRIDE_W, PAD_W, Q>;
using Channels = Vector<float, WIDTH>;
constexpr unsigned VECTORS = C / WIDTH;

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
    const unsigned element = element_of_image();
    if (element >= P * Q * VECTORS) {
        return;
    }
    const int c = element % VECTORS * WIDTH;
    const int q = element / VECTORS % Q;
    const int p = element / (VECTORS * Q);
    for (int n = first_image(); n < N; n += image_stride()) {
        const float* image = x + static_cast<long long>(n) * (H * W * C);
        Channels best = {};
        int winner[WIDTH];
        for (int i = 0; i < WIDTH; ++i) {
            winner[i] = -1;
        }
        for (int r = 0; r < R; ++r) {
            for (int s = 0; s < S; ++s) {
                const int h = Vertical::pixel(p, r);
                const int w = Horizontal::pixel(q, s);
                if (!Vertical::in_image(h) || !Horizontal::in_image(w)) {
                    continue;
                }
                const Channels value = load_vector<WIDTH>(image + (h * W + w) * C + c);
                for (int i = 0; i < WIDTH; ++i) {
                    const float v = value.of[i];
                    const float b = best.of[i];
                    // A NaN is greater than none and none is greater than it: it wins once.
                    if (winner[i] < 0 || v > b || (v != v && b == b)) {
                        best.of[i] = v;
                        winner[i] = r * S + s;
                    }
                }
            }
        }
        Vector<Argmax, WIDTH> place;
        for (int i = 0; i < WIDTH; ++i) {
            place.of[i] = static_cast<Argmax>(winner[i]);
        }
        const long long output = static_cast<long long>(n) * (P * Q * C) + element * WIDTH;
        store_vector(y + output, best);
        store_vector(argmax + output, place);
    }
}

__global__ void max_pool2d_input_grad(const float* dy, const Argmax* argmax, float* dx, int N) {
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
        const long long base = static_cast<long long>(n) * (P * Q * C) + c;
        Channels sum = {};
        for (int p = first_p; p <= last_p; ++p) {
            for (int q = first_q; q <= last_q; ++q) {
                const int here = Vertical::tap(p, h) * S + Horizontal::tap(q, w);
                const long long place = base + (p * Q + q) * C;
                const Vector<Argmax, WIDTH> winner = load_vector<WIDTH>(argmax + place);
                const Channels gradient = load_vector<WIDTH>(dy + place);
                for (int i = 0; i < WIDTH; ++i) {
                    if (winner.of[i] == here) {
                        sum.of[i] += gradient.of[i];
                    }
                }
            }
        }
        store_vector(dx + static_cast<long long>(n) * (H * W * C) + element * WIDTH, sum);
    }
}
