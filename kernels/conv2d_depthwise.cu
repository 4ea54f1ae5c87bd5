// Depthwise convolution: as many groups as channels, and as filters (K = C). With c the channel,
//
//     y[n,p,q,c]  = Σ_{r,s} x[n, p·STRIDE_H − PAD_H + r·DILATION_H,
//                                q·STRIDE_W − PAD_W + s·DILATION_W, c] · w[c,r,s]
//     dx[n,h,w,c] = Σ_{r,s} dy[n,p,q,c] · w[c,r,s]   over the taps that join (p, q) to (h, w)
//
// and y goes through the epilogue (epilogue.cuh). x and dx are (N, H, W, C), y, the residual and
// dy (N, P, Q, C), w (C, R, S, 1), the bias (C). There is little to compute: the time is that of
// reading and writing.
//
// A thread computes WIDTH neighbouring channels of STRIP neighbouring pixels of a row, so that what
// neighbours share is read once. STRIP is a multiple of STRIDE_W, so which tap joins which columns
// is known when this is compiled. A block is LANES threads along the channels (threadIdx.x), whose
// filters lie in shared memory, by STRIPS threads along the strips of an image (threadIdx.y). Along
// the grid's x, tiles of channels are the inner axis; images lie along y (image_grid.cuh).
//
// Constants: H, W, C, K, R, S, P, Q, STRIDE_H, STRIDE_W, PAD_H, PAD_W (before), DILATION_H,
// DILATION_W, GROUPS, HAS_BIAS, HAS_RESIDUAL, RELU, WIDTH, LANES, STRIPS, STRIP. N is a run-time
// argument. Within an image every offset fits an int.

#include "epilogue.cuh"
#include "vector.cuh"
#include "image_grid.cuh"

using Values = Vector<float, WIDTH>;

constexpr int TAPS = R * S;
constexpr int TILE = LANES * WIDTH;
constexpr int TILES = (C + TILE - 1) / TILE;

// The filters of a block's channels, tap by tap. The padding spreads the columns over the banks.
struct FilterTile {
    alignas(16) float tap[TAPS][TILE + 4];
};

__device__ __forceinline__ int first_channel() {
    return static_cast<int>(blockIdx.x % TILES) * TILE;
}

// All threads of the block must call.
__device__ __forceinline__ void load_filters(FilterTile& filters, const float* w) {
    const int first = threadIdx.y * LANES + threadIdx.x;
    for (int i = first; i < TILE * TAPS; i += LANES * STRIPS) {
        const bool exists = first_channel() + i / TAPS < C;
        filters.tap[i % TAPS][i / TAPS] = exists ? w[first_channel() * TAPS + i] : 0.0f;
    }
    __syncthreads();
}

__device__ __forceinline__ void add_product(Values& sum, const Values& a, const Values& b) {
    for (int i = 0; i < WIDTH; ++i) {
        sum.of[i] += a.of[i] * b.of[i];
    }
}

// A thread's strip in an image of `rows` × `columns` results; false where there is none.
struct Strip {
    int row;
    int column;
    int channel;

    __device__ __forceinline__ bool find(int rows, int columns) {
        const int strips = (columns + STRIP - 1) / STRIP;
        const unsigned number = blockIdx.x / TILES * STRIPS + threadIdx.y;
        row = number / strips;
        column = number % strips * STRIP;
        channel = first_channel() + threadIdx.x * WIDTH;
        return number < static_cast<unsigned>(rows * strips) && channel < C;
    }
};

__global__ void conv2d_depthwise_forward(
    const float* x, const float* w, const float* bias, const float* residual, float* y, int N) {
    // The columns that a strip reads, from its first tap's on.
    constexpr int COLUMNS = (STRIP - 1) * STRIDE_W + (S - 1) * DILATION_W + 1;
    __shared__ FilterTile filters;
    load_filters(filters, w);
    Strip strip;
    if (!strip.find(P, Q)) {
        return;
    }
    const Epilogue<HAS_BIAS, HAS_RESIDUAL, RELU> epilogue{bias, residual};
    const int left = strip.column * STRIDE_W - PAD_W;
    for (int n = first_image(); n < N; n += image_stride()) {
        const float* image = x + static_cast<long long>(n) * (H * W * C) + strip.channel;
        Values sums[STRIP] = {};
        // One row at a time: the pixels of several would not fit in the registers.
#pragma unroll 1
        for (int r = 0; r < R; ++r) {
            const int h = strip.row * STRIDE_H - PAD_H + r * DILATION_H;
            Values pixels[COLUMNS];
#pragma unroll
            for (int i = 0; i < COLUMNS; ++i) {
                const bool inside = h >= 0 && h < H && left + i >= 0 && left + i < W;
                pixels[i] = load_if<WIDTH>(inside, image + (h * W + left + i) * C);
            }
#pragma unroll
            for (int s = 0; s < S; ++s) {
                const Values weights =
                    load_vector<WIDTH>(&filters.tap[r * S + s][threadIdx.x * WIDTH]);
#pragma unroll
                for (int i = 0; i < STRIP; ++i) {
                    add_product(sums[i], pixels[i * STRIDE_W + s * DILATION_W], weights);
                }
            }
        }
#pragma unroll
        for (int i = 0; i < STRIP; ++i) {
            if (strip.column + i < Q) {
                const int offset = (strip.row * Q + strip.column + i) * C + strip.channel;
                const long long place = static_cast<long long>(n) * (P * Q * C) + offset;
                store_vector(y + place, epilogue(sums[i], strip.channel, place));
            }
        }
    }
}

// ⌊a / b⌋ for b > 0.
__device__ __forceinline__ constexpr int floor_divide(int a, int b) {
    return a >= 0 ? a / b : -((b - 1 - a) / b);
}

__global__ void conv2d_depthwise_input_grad(const float* dy, const float* w, float* dx, int N) {
    // The columns that a strip reads, relative to its own first, divided by STRIDE_W.
    constexpr int FIRST = floor_divide(PAD_W - (S - 1) * DILATION_W, STRIDE_W);
    constexpr int COLUMNS = (STRIP - 1 + PAD_W) / STRIDE_W - FIRST + 1;
    static_assert(STRIP % STRIDE_W == 0, "every strip begins with the same residue");
    __shared__ FilterTile filters;
    load_filters(filters, w);
    Strip strip;
    if (!strip.find(H, W)) {
        return;
    }
    const int left = strip.column / STRIDE_W + FIRST;
    for (int n = first_image(); n < N; n += image_stride()) {
        const float* image = dy + static_cast<long long>(n) * (P * Q * C) + strip.channel;
        Values sums[STRIP] = {};
#pragma unroll 1
        for (int r = 0; r < R; ++r) {
            const int down = strip.row + PAD_H - r * DILATION_H;
            if (down < 0 || down % STRIDE_H != 0 || down / STRIDE_H >= P) {
                continue;
            }
            Values outputs[COLUMNS];
#pragma unroll
            for (int i = 0; i < COLUMNS; ++i) {
                const bool inside = left + i >= 0 && left + i < Q;
                outputs[i] =
                    load_if<WIDTH>(inside, image + (down / STRIDE_H * Q + left + i) * C);
            }
#pragma unroll
            for (int s = 0; s < S; ++s) {
                const Values weights =
                    load_vector<WIDTH>(&filters.tap[r * S + s][threadIdx.x * WIDTH]);
#pragma unroll
                for (int i = 0; i < STRIP; ++i) {
                    const int right = i + PAD_W - s * DILATION_W;
                    if (right % STRIDE_W == 0) {
                        add_product(sums[i], outputs[right / STRIDE_W - FIRST], weights);
                    }
                }
            }
        }
#pragma unroll
        for (int i = 0; i < STRIP; ++i) {
            if (strip.column + i < W) {
                const int offset = (strip.row * W + strip.column + i) * C + strip.channel;
                store_vector(dx + static_cast<long long>(n) * (H * W * C) + offset, sums[i]);
            }
        }
    }
}
