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
// Constants: H, W, C, K, R, S, P, Q, STRIDE_H, STRIDE_W, PAD_H, PAD_W (before), DILATION_H,
// DILATION_W, GROUPS, HAS_BIAS, HAS_RESIDUAL, RELU; BLOCK_M, BLOCK_N, BLOCK_K, THREAD_M, THREAD_N,
// UNROLLED_K, RESIDENT_BLOCKS (gemm_tile.cuh). N is a run-time argument, as `pixels` = N·P·Q.
// Within the images of a tile every offset fits an int.

#include "epilogue.cuh"
#include "gemm_tile.cuh"
#include "ptx/store.cuh"

constexpr int CHANNELS = C / GROUPS;
constexpr int FILTERS = K / GROUPS;
constexpr int ELEMENTS = R * S * CHANNELS;
constexpr int FILTER_TILES = (FILTERS + BLOCK_N - 1) / BLOCK_N;
constexpr int VECTOR_X = CHANNELS % 4 == 0 ? 4 : 1;
constexpr int VECTOR_W = ELEMENTS % 4 == 0 ? 4 : 1;
constexpr int VECTOR_Y = FILTERS % 4 == 0 ? 4 : 1;

using Tile = GemmTile<BLOCK_M, BLOCK_N, BLOCK_K, THREAD_M, THREAD_N, UNROLLED_K>;
using Windows = Tile::AlongK<BLOCK_M, VECTOR_X>;
using Filters = Tile::AlongK<BLOCK_N, VECTOR_W>;

// Whether no window reaches into the padding, and whether no step goes beyond the last element.
constexpr bool UNPADDED = PAD_H == 0 && PAD_W == 0 &&
    (P - 1) * STRIDE_H + (R - 1) * DILATION_H < H && (Q - 1) * STRIDE_W + (S - 1) * DILATION_W < W;
constexpr bool WHOLE_STEPS = ELEMENTS % BLOCK_K == 0;
// Whether the elements of a step belong to one tap, (r, s).
constexpr bool TAP_A_STEP = CHANNELS % BLOCK_K == 0;

// Where the window of a pixel of y begins, from the tile's first image on. That may lie in the
// padding, where nothing is read.
struct Window {
    int origin;
    int row;
    int column;
};

// The window of pixel `number`, counted from the first of that image.
__device__ __forceinline__ Window window_of(unsigned number) {
    const int image = number / (P * Q);
    const int row = static_cast<int>(number / Q % P) * STRIDE_H - PAD_H;
    const int column = static_cast<int>(number % Q) * STRIDE_W - PAD_W;
    return {((image * H + row) * W + column) * C, row, column};
}

// The window's elements from `depth` on in the step that begins with element `first`.
__device__ __forceinline__ Vector<float, VECTOR_X> read_window(
    const float* image, const Window& window, int first, int depth) {
    const unsigned e = TAP_A_STEP ? first : first + depth;
    const int down = e / (CHANNELS * S) * DILATION_H;
    const int right = e / CHANNELS % S * DILATION_W;
    const int h = window.row + down;
    const int w = window.column + right;
    const bool inside = UNPADDED || (h >= 0 && h < H && w >= 0 && w < W);
    const bool exists = WHOLE_STEPS || e < ELEMENTS;
    const int place = (down * W + right) * C + e % CHANNELS;
    const int offset = window.origin + place + (TAP_A_STEP ? depth : 0);
    return load_if<VECTOR_X>(inside && exists, image + offset);
}

__global__ void __launch_bounds__(Tile::THREADS, RESIDENT_BLOCKS) conv2d_forward_gemm(
    const float* x, const float* w, const float* bias, const float* residual, float* y,
    float* partial, long long pixels, int slice) {
    __shared__ Tile::Memory memory;
    const int group = blockIdx.y;
    const long long first_pixel = static_cast<long long>(blockIdx.x / FILTER_TILES) * BLOCK_M;
    const int first_filter = blockIdx.x % FILTER_TILES * BLOCK_N;

    const int rows = static_cast<int>(min(pixels - first_pixel, 1LL * BLOCK_M));

    // Rows of the tile beyond the last pixel or filter read that again, and are not written.
    const float* image = x + first_pixel / (P * Q) * (H * W * C) + group * CHANNELS;
    const unsigned first_number = static_cast<unsigned>(first_pixel % (P * Q));
    Window windows[Windows::ROWS];
    for (int i = 0; i < Windows::ROWS; ++i) {
        windows[i] = window_of(first_number + min(Windows::row(i), rows - 1));
    }
    int filters[Filters::ROWS];
    for (int i = 0; i < Filters::ROWS; ++i) {
        const int filter = min(first_filter + Filters::row(i), FILTERS - 1);
        filters[i] = (group * FILTERS + filter) * ELEMENTS;
    }

    Tile::Sums sums;
    sums.clear();
    const int first = blockIdx.z * slice;
    Tile::multiply<Windows, Filters>(
        memory, first, min(first + slice, ELEMENTS),
        [&](int i, int first, int depth) { return read_window(image, windows[i], first, depth); },
        [&](int i, int first, int depth) {
            const int e = first + depth;
            return load_if<VECTOR_W>(WHOLE_STEPS || e < ELEMENTS, w + (filters[i] + e));
        },
        sums);

    const Epilogue<HAS_BIAS, HAS_RESIDUAL, RELU> epilogue{bias, residual};
    const bool sliced = gridDim.z > 1;
    float* result = sliced ? partial + blockIdx.z * (pixels * K) : y;
    const int columns = FILTERS - first_filter;
    const int filter = group * FILTERS + first_filter;
    const auto place = [&](int row) { return (first_pixel + row) * K + filter; };
    if (!sliced) {
        epilogue.finish<VECTOR_Y>(sums, rows, columns, filter, place);
    }
    sums.write<VECTOR_Y>(
        rows, columns, [&](int row, int column, const Vector<float, VECTOR_Y>& values) {
            store_global(result + (place(row) + column), values);
        });
}
