// Convolution, forward, as a matrix product whose left operand is never stored (implicit GEMM):
//
//     y[m,k] = Σ_e x[window m, element e] · w[k,e]
//
// with m = (n·P + p)·Q + q a pixel of y, e = (r·S + s)·C/GROUPS + c an element of its window,
//
//     x[window m, element e] = x[n, p·STRIDE_H − PAD_H + r·DILATION_H,
//                                   q·STRIDE_W − PAD_W + s·DILATION_W, g·C/GROUPS + c]
//
// zero on the padding, and g a group, which has K/GROUPS filters. Then bias, residual and ReLU
// (epilogue.cuh). x is (N, H, W, C), w (K, R, S, C/GROUPS), y and the residual (N, P, Q, K), the
// bias (K).
//
// A block computes BLOCK_M pixels × BLOCK_N filters (gemm_tile.cuh). Along the grid's x, tiles of
// filters are the inner axis, so that blocks at work together read the same pixels; groups lie
// along y. The sum over e may be cut into slices of `slice` elements, a multiple of BLOCK_K, along
// z: then each slice's sums go to partial[slice], of y's shape, and sum_slices.cu does the rest.
//
// Constants: as in conv2d_forward.cu, and those of gemm_tile.cuh. N is a run-time argument, as
// `pixels` = N·P·Q. Within an image every offset fits an int.

#include "epilogue.cuh"
#include "gemm_tile.cuh"

constexpr int CHANNELS = C / GROUPS;
constexpr int FILTERS = K / GROUPS;
constexpr int ELEMENTS = R * S * CHANNELS;
constexpr int FILTER_TILES = (FILTERS + BLOCK_N - 1) / BLOCK_N;
constexpr int VECTOR_X = CHANNELS % 4 == 0 ? 4 : 1;
constexpr int VECTOR_W = ELEMENTS % 4 == 0 ? 4 : 1;
constexpr int VECTOR_Y = FILTERS % 4 == 0 ? 4 : 1;

using Tile = GemmTile<BLOCK_M, BLOCK_N, BLOCK_K, THREAD_M, THREAD_N>;
using Windows = Tile::AlongK<BLOCK_M, VECTOR_X>;
using Filters = Tile::AlongK<BLOCK_N, VECTOR_W>;

// Whether no window reaches into the padding, and whether no step goes beyond the last element.
constexpr bool UNPADDED = PAD_H == 0 && PAD_W == 0 &&
    (P - 1) * STRIDE_H + (R - 1) * DILATION_H < H && (Q - 1) * STRIDE_W + (S - 1) * DILATION_W < W;
constexpr bool WHOLE_STEPS = ELEMENTS % BLOCK_K == 0;

// Where the window of a pixel of y begins.
struct Window {
    const float* image;
    int row;
    int column;
};

__device__ __forceinline__ Window window_of(const float* x, long long pixel) {
    const int place = static_cast<int>(pixel % (P * Q));
    return {
        x + pixel / (P * Q) * (H * W * C),
        place / Q * STRIDE_H - PAD_H,
        place % Q * STRIDE_W - PAD_W,
    };
}

// The window's elements from e on.
__device__ __forceinline__ Floats<VECTOR_X> read_window(const Window& window, int e) {
    const int c = e % CHANNELS;
    const int h = window.row + e / (CHANNELS * S) * DILATION_H;
    const int w = window.column + e / CHANNELS % S * DILATION_W;
    const bool inside = UNPADDED || (h >= 0 && h < H && w >= 0 && w < W);
    const bool exists = WHOLE_STEPS || e < ELEMENTS;
    return load_if<VECTOR_X>(inside && exists, window.image + (h * W + w) * C + c);
}

__global__ void __launch_bounds__(Tile::THREADS, Tile::BLOCKS_AT_ONCE) conv2d_forward_gemm(
    const float* x, const float* w, const float* bias, const float* residual, float* y,
    float* partial, long long pixels, int slice) {
    __shared__ Tile::Memory memory;
    const int group = blockIdx.y;
    const long long first_pixel = static_cast<long long>(blockIdx.x / FILTER_TILES) * BLOCK_M;
    const int first_filter = blockIdx.x % FILTER_TILES * BLOCK_N;

    // Rows of the tile beyond the last pixel or filter read that again, and are not written.
    Window windows[Windows::ROWS];
    for (int i = 0; i < Windows::ROWS; ++i) {
        const long long pixel = min(first_pixel + Windows::row(i), pixels - 1);
        windows[i] = window_of(x + group * CHANNELS, pixel);
    }
    const float* filters[Filters::ROWS];
    for (int i = 0; i < Filters::ROWS; ++i) {
        const int filter = min(first_filter + Filters::row(i), FILTERS - 1);
        filters[i] = w + (group * FILTERS + filter) * ELEMENTS;
    }

    Tile::Sums sums;
    sums.clear();
    const int first = blockIdx.z * slice;
    Tile::multiply<Windows, Filters>(
        memory, first, min(first + slice, ELEMENTS),
        [&](int i, int e) { return read_window(windows[i], e); },
        [&](int i, int e) {
            return load_if<VECTOR_W>(WHOLE_STEPS || e < ELEMENTS, filters[i] + e);
        },
        sums);

    const Epilogue<HAS_BIAS, HAS_RESIDUAL, RELU> epilogue{bias, residual};
    const bool sliced = gridDim.z > 1;
    float* result = sliced ? partial + blockIdx.z * (pixels * K) : y;
    sums.write<VECTOR_Y>(
        pixels - first_pixel, FILTERS - first_filter,
        [&](int row, int column, const Floats<VECTOR_Y>& values) {
            const int filter = group * FILTERS + first_filter + column;
            const long long place = (first_pixel + row) * K + filter;
            store_channels(result + place, sliced ? values : epilogue(values, filter, place));
        });
}
