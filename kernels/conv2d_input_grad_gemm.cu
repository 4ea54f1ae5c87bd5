// Convolution, input gradient, as a matrix product whose left operand is never stored:
//
//     dx[m,c] = Σ_e dy[the output that tap (r, s) joins to pixel m, k] · w[k,r,s,c]
//
// over elements e = (tap, k). Pixels m = (n, h, w) are divided into classes by the residues of h
// and w modulo the stride. All pixels of a class are reached through the same taps, and only those
// are gone through (input_grad_axis.cuh); a class that none reaches gets zeros. Outputs outside
// (P, Q) count as zero. A group has C/GROUPS channels and K/GROUPS filters.
// dy is (N, P, Q, K), w (K, R, S, C/GROUPS), dx (N, H, W, C).
//
// A block computes BLOCK_M pixels of one class × BLOCK_N channels (gemm_tile.cuh). Along the grid's
// x, tiles of channels are the inner axis; groups lie along y. The sum over e may be cut into
// slices of `slice` elements, a multiple of BLOCK_K: then each slice's sums go to partial[slice],
// of dx's shape, and sum_slices.cu adds them. Along z, slices are the outer axis, classes the inner.
//
// Constants: as in conv2d_input_grad.cu, and those of gemm_tile.cuh. N is a run-time argument.
// Within an image every offset fits an int.

#include "gemm_tile.cuh"
#include "input_grad_axis.cuh"

constexpr int CHANNELS = C / GROUPS;
constexpr int FILTERS = K / GROUPS;
constexpr int FILTER_SIZE = R * S * CHANNELS;
constexpr int CHANNEL_TILES = (CHANNELS + BLOCK_N - 1) / BLOCK_N;
constexpr int VECTOR_DY = FILTERS % 4 == 0 ? 4 : 1;
constexpr int VECTOR_DX = CHANNELS % 4 == 0 ? 4 : 1;
constexpr bool WHOLE_STEPS = FILTERS % BLOCK_K == 0;

using Vertical = InputGradAxis<H, P, R, STRIDE_H, PAD_H, DILATION_H>;
using Horizontal = InputGradAxis<W, Q, S, STRIDE_W, PAD_W, DILATION_W>;
using Tile = GemmTile<BLOCK_M, BLOCK_N, BLOCK_K, THREAD_M, THREAD_N>;
using Outputs = Tile::AlongK<BLOCK_M, VECTOR_DY>;
using Filters = Tile::AlongRows<BLOCK_N, VECTOR_DX>;

// The pixels of one class, numbered image by image, and the elements of their sums.
struct PixelClass {
    InputGradClass rows;
    InputGradClass columns;

    __device__ __forceinline__ PixelClass(int number)
        : rows(Vertical::of_residue(number / Horizontal::CLASSES)),
          columns(Horizontal::of_residue(number % Horizontal::CLASSES)) {}

    __device__ __forceinline__ unsigned image_size() const {
        return static_cast<unsigned>(rows.pixels) * columns.pixels;
    }

    __device__ __forceinline__ int elements() const {
        return rows.taps * columns.taps * FILTERS;
    }
};

// A pixel: the i-th row and the j-th column of its class.
struct Pixel {
    long long n;
    int i;
    int j;
};

// The tile's pixels, from `first` on: only that one is divided in 64 bits.
struct TilePixels {
    long long first_image;
    unsigned place;
    unsigned image_size;
    unsigned columns;

    __device__ __forceinline__ TilePixels(const PixelClass& pixels, long long first)
        : first_image(first / pixels.image_size()),
          place(static_cast<unsigned>(first % pixels.image_size())),
          image_size(pixels.image_size()),
          columns(pixels.columns.pixels) {}

    __device__ __forceinline__ Pixel operator[](int row) const {
        const unsigned number = place + row;
        const unsigned rest = number % image_size;
        return {
            first_image + number / image_size,
            static_cast<int>(rest / columns),
            static_cast<int>(rest % columns),
        };
    }
};

// Element e of the sums of a class: which of the class's taps, and which filter of the group.
struct Element {
    int down;
    int right;
    int filter;

    __device__ __forceinline__ Element(int e, const PixelClass& pixels) {
        const int tap = e / FILTERS;
        filter = e % FILTERS;
        down = Horizontal::divide_by_taps(tap, pixels.columns.taps);
        right = tap - down * pixels.columns.taps;
    }
};

// The outputs of a pixel's image, and the one that the class's first taps join it to.
struct Origin {
    const float* image;
    int p;
    int q;
};

__device__ __forceinline__ Floats<VECTOR_DY> read_outputs(
    const Origin& origin, const Element& element, bool exists) {
    const int p = origin.p - element.down * Vertical::REACH;
    const int q = origin.q - element.right * Horizontal::REACH;
    const bool inside = Vertical::in_range(p) && Horizontal::in_range(q);
    return load_if<VECTOR_DY>(inside && exists, origin.image + (p * Q + q) * K + element.filter);
}

// Where in a filter's weights the element's tap begins.
__device__ __forceinline__ int tap_offset(const Element& element, const PixelClass& pixels) {
    const int r = pixels.rows.first_tap + element.down * Vertical::PERIOD;
    const int s = pixels.columns.first_tap + element.right * Horizontal::PERIOD;
    return (r * S + s) * CHANNELS;
}

__global__ void __launch_bounds__(Tile::THREADS, Tile::BLOCKS_AT_ONCE) conv2d_input_grad_gemm(
    const float* dy, const float* w, float* dx, float* partial, long long N, int slice) {
    __shared__ Tile::Memory memory;
    constexpr int CLASSES = Vertical::CLASSES * Horizontal::CLASSES;
    const PixelClass pixels(blockIdx.z % CLASSES);
    const int group = blockIdx.y;
    const long long count = N * pixels.image_size();
    const long long first_pixel = static_cast<long long>(blockIdx.x / CHANNEL_TILES) * BLOCK_M;
    const int first_channel = blockIdx.x % CHANNEL_TILES * BLOCK_N;
    if (first_pixel >= count) {
        return;  // The whole block: other classes have more pixels than this one.
    }

    // Rows of the tile beyond the last pixel or channel read that again, and are not written.
    const TilePixels tile_pixels(pixels, first_pixel);
    const int last_row = static_cast<int>(min(count - first_pixel, 1LL * BLOCK_M)) - 1;
    Origin origins[Outputs::ROWS];
    for (int i = 0; i < Outputs::ROWS; ++i) {
        const Pixel pixel = tile_pixels[min(Outputs::row(i), last_row)];
        origins[i] = {
            dy + pixel.n * (P * Q * K) + group * FILTERS,
            pixel.i + pixels.rows.shift,
            pixel.j + pixels.columns.shift,
        };
    }
    const float* filters[Filters::ROWS];
    for (int i = 0; i < Filters::ROWS; ++i) {
        const int channel = min(first_channel + Filters::row(i), CHANNELS - VECTOR_DX);
        filters[i] = w + group * FILTERS * FILTER_SIZE + channel;
    }

    Tile::Sums sums;
    sums.clear();
    const int elements = pixels.elements();
    const int first = blockIdx.z / CLASSES * slice;
    const int last = min(first + slice, elements);
    if (first < last) {
        Tile::multiply<Outputs, Filters>(
            memory, first, last,
            [&](int i, int e) {
                return read_outputs(origins[i], Element(e, pixels), WHOLE_STEPS || e < elements);
            },
            [&](int i, int e) {
                const Element element(e, pixels);
                const int offset = element.filter * FILTER_SIZE + tap_offset(element, pixels);
                return load_if<VECTOR_DX>(WHOLE_STEPS || e < elements, filters[i] + offset);
            },
            sums);
    }

    float* result = gridDim.z > CLASSES ? partial + blockIdx.z / CLASSES * (N * (H * W * C)) : dx;
    sums.write<VECTOR_DX>(
        last_row + 1, CHANNELS - first_channel,
        [&](int row, int column, const Floats<VECTOR_DX>& values) {
            const Pixel pixel = tile_pixels[row];
            const int h = pixels.rows.residue + pixel.i * STRIDE_H;
            const int v = pixels.columns.residue + pixel.j * STRIDE_W;
            const int offset = (h * W + v) * C + group * CHANNELS + first_channel + column;
            store_channels(result + pixel.n * (H * W * C) + offset, values);
        });
}
