// Convolution, filter gradient, as a matrix product whose right operand is never stored:
//
//     dw[k,e] = Σ_m dy[m,k] · x[window m, element e]
//
// with m = (n·P + p)·Q + q a pixel of dy, e = (r·S + s)·C/GROUPS + c an element of its window, and
// x[window m, element e] as in conv2d_forward_gemm.cu: zero on the padding. A group has K/GROUPS
// filters. x is (N, H, W, C), dy (N, P, Q, K), dw (K, R, S, C/GROUPS).
//
// A block computes BLOCK_M filters × BLOCK_N elements (gemm_tile.cuh). Along the grid's x, tiles of
// elements are the inner axis. Shards of `shard_pixels`, whole images (shards.cuh), lie along y, with
// groups as the inner axis. The sum over m is long and the result small, so each shard is cut into
// slices of `slice_pixels`, a multiple of BLOCK_K, along z. Each slice's sums go to
// partial[shard, slice], of dw's shape, and sum_slices.cu adds them; with one slice in all, `partial`
// is dw.
//
// Constants: H, W, C, K, R, S, P, Q, STRIDE_H, STRIDE_W, PAD_H, PAD_W (before), DILATION_H,
// DILATION_W, GROUPS; BLOCK_M, BLOCK_N, BLOCK_K, THREAD_M, THREAD_N, UNROLLED_K, RESIDENT_BLOCKS
// (gemm_tile.cuh). N is a run-time argument, as `pixels` = N·P·Q. Within the images of a slice
// every offset fits an int.

#include "gemm_tile.cuh"
#include "ptx/store.cuh"
#include "shards.cuh"

constexpr int CHANNELS = C / GROUPS;
constexpr int FILTERS = K / GROUPS;
constexpr int ELEMENTS = R * S * CHANNELS;
constexpr int ELEMENT_TILES = (ELEMENTS + BLOCK_N - 1) / BLOCK_N;
constexpr int VECTOR_DY = FILTERS % 4 == 0 ? 4 : 1;
constexpr int VECTOR_X = CHANNELS % 4 == 0 ? 4 : 1;
constexpr int VECTOR_DW = ELEMENTS % 4 == 0 ? 4 : 1;

using Tile = GemmTile<BLOCK_M, BLOCK_N, BLOCK_K, THREAD_M, THREAD_N, UNROLLED_K>;
using Outputs = Tile::AlongRows<BLOCK_M, VECTOR_DY>;
using Elements = Tile::AlongRows<BLOCK_N, VECTOR_X>;

// Whether no window reaches into the padding.
constexpr bool UNPADDED = PAD_H == 0 && PAD_W == 0 &&
    (P - 1) * STRIDE_H + (R - 1) * DILATION_H < H && (Q - 1) * STRIDE_W + (S - 1) * DILATION_W < W;
// Whether the pixels of a step lie in one row of dy.
constexpr bool ROW_A_STEP = Q % BLOCK_K == 0;

// An element of the first window of an image, which may lie in the padding.
struct Element {
    int origin;
    int row;
    int column;
};

__device__ __forceinline__ Element element_at(int e) {
    const int row = e / (CHANNELS * S) * DILATION_H - PAD_H;
    const int column = e / CHANNELS % S * DILATION_W - PAD_W;
    return {(row * W + column) * C + e % CHANNELS, row, column};
}

// VECTOR_X neighbouring elements of the window of a pixel, which is `depth` beyond `first`, counted
// from the first pixel of the slice's first image. Nothing is read on the padding.
__device__ __forceinline__ Vector<float, VECTOR_X> read_window(
    const float* x, const Element& element, int first, int depth, bool exists) {
    const unsigned number = ROW_A_STEP ? first : first + depth;
    const int down = number / Q % P * STRIDE_H;
    const int right = (number % Q + (ROW_A_STEP ? depth : 0)) * STRIDE_W;
    const int h = element.row + down;
    const int w = element.column + right;
    const bool inside = UNPADDED || (h >= 0 && h < H && w >= 0 && w < W);
    const int image = number / (P * Q);
    const int offset = element.origin + ((image * H + down) * W + right) * C;
    return load_if<VECTOR_X>(inside && exists, x + offset);
}

__global__ void __launch_bounds__(Tile::THREADS, RESIDENT_BLOCKS) conv2d_filter_grad_gemm(
    const float* x, const float* dy, float* partial, long long pixels, long long shard_pixels,
    int slice_pixels) {
    __shared__ Tile::Memory memory;
    const int group = blockIdx.y % GROUPS;
    const int shard = blockIdx.y / GROUPS;
    const int first_filter = static_cast<int>(blockIdx.x / ELEMENT_TILES) * BLOCK_M;
    const int first_element = static_cast<int>(blockIdx.x % ELEMENT_TILES) * BLOCK_N;
    const Terms slice = terms_of_slice(shard, shard_pixels, blockIdx.z, slice_pixels, pixels);
    const int count = static_cast<int>(slice.last - slice.first);

    // Rows of the tile beyond the last filter or element read that again, and are not written.
    const float* outputs = dy + slice.first * K + group * FILTERS;
    int filters[Outputs::ROWS];
    for (int i = 0; i < Outputs::ROWS; ++i) {
        filters[i] = min(first_filter + Outputs::row(i), FILTERS - VECTOR_DY);
    }
    const float* image = x + slice.first / (P * Q) * (H * W * C) + group * CHANNELS;
    const int first_number = static_cast<int>(slice.first % (P * Q));
    Element elements[Elements::ROWS];
    for (int i = 0; i < Elements::ROWS; ++i) {
        const int element = min(first_element + Elements::row(i), ELEMENTS - VECTOR_X);
        elements[i] = element_at(element);
    }

    Tile::Sums sums;
    sums.clear();
    Tile::multiply<Outputs, Elements>(
        memory, 0, count,
        [&](int i, int first, int depth) {
            const int m = first + depth;
            return load_if<VECTOR_DY>(m < count, outputs + (m * K + filters[i]));
        },
        [&](int i, int first, int depth) {
            const bool exists = first + depth < count;
            return read_window(image, elements[i], first_number + first, depth, exists);
        },
        sums);

    const long long slices_before = shard * gridDim.z + blockIdx.z;
    float* result = partial + slices_before * (K * ELEMENTS);
    sums.write<VECTOR_DW>(
        FILTERS - first_filter, ELEMENTS - first_element,
        [&](int row, int column, const Vector<float, VECTOR_DW>& values) {
            const int filter = group * FILTERS + first_filter + row;
            store_global(result + filter * ELEMENTS + first_element + column, values);
        });
}
