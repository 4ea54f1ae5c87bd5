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
// of dx's shape, and sum_slices.cu adds them. Along z, classes are the inner axis.
//
// Constants: H, W, C, K, R, S, P, Q, STRIDE_H, STRIDE_W, PAD_H, PAD_W (before), DILATION_H,
// DILATION_W, GROUPS; BLOCK_M, BLOCK_N, BLOCK_K, THREAD_M, THREAD_N, UNROLLED_K, RESIDENT_BLOCKS
// (gemm_tile.cuh). N is a run-time argument. Within the images of a tile every offset fits an int.

#include "gemm_tile.cuh"
#include "input_grad_axis.cuh"
#include "ptx/store.cuh"

constexpr int CHANNELS = C / GROUPS;
constexpr int FILTERS = K / GROUPS;
constexpr int FILTER_SIZE = R * S * CHANNELS;
constexpr int CHANNEL_TILES = (CHANNELS + BLOCK_N - 1) / BLOCK_N;
constexpr int VECTOR_DY = FILTERS % 4 == 0 ? 4 : 1;
constexpr int VECTOR_DX = CHANNELS % 4 == 0 ? 4 : 1;
// Whether no step goes beyond the last element, for the elements of one belong to one tap.
constexpr bool TAP_A_STEP = FILTERS % BLOCK_K == 0;

using Vertical = InputGradAxis<H, P, R, STRIDE_H, PAD_H, DILATION_H>;
using Horizontal = InputGradAxis<W, Q, S, STRIDE_W, PAD_W, DILATION_W>;
using Tile = GemmTile<BLOCK_M, BLOCK_N, BLOCK_K, THREAD_M, THREAD_N, UNROLLED_K>;
using Outputs = Tile::AlongK<BLOCK_M, VECTOR_DY>;
using Filters = Tile::AlongRows<BLOCK_N, VECTOR_DX>;

// The pixels of one class, numbered image by image, and the elements of their sums.
struct PixelClass {
    InputGradClass rows;
    InputGradClass columns;

    __device__ __forceinline__ PixelClass(int number)
        : rows(Vertical::of_class(number / Horizontal::CLASSES)),
          columns(Horizontal::of_class(number % Horizontal::CLASSES)) {}

    __device__ __forceinline__ unsigned image_size() const {
        return static_cast<unsigned>(rows.pixels) * columns.pixels;
    }

    __device__ __forceinline__ int elements() const {
        return rows.taps * columns.taps * FILTERS;
    }
};

// A pixel: image n from the tile's first on, row i and column j of its class.
struct Pixel {
    int n;
    int i;
    int j;
};

// Pixel `number` of a class, counted from the first of the tile's first image.
__device__ __forceinline__ Pixel pixel_at(const PixelClass& pixels, unsigned number) {
    const unsigned rest = number % pixels.image_size();
    return {
        static_cast<int>(number / pixels.image_size()),
        static_cast<int>(rest / pixels.columns.pixels),
        static_cast<int>(rest % pixels.columns.pixels),
    };
}

// Where a pixel of a class begins in dx, from the tile's first image on.
__device__ __forceinline__ int place_of(const PixelClass& pixels, const Pixel& pixel) {
    const int h = pixels.rows.residue + pixel.i * STRIDE_H;
    const int v = pixels.columns.residue + pixel.j * STRIDE_W;
    return ((pixel.n * H + h) * W + v) * C;
}

// Of the sums of a class, the element `depth` deep in the step that begins with element `first`:
// which of the class's taps, and which filter of the group.
struct Element {
    int down;
    int right;
    int filter;

    __device__ __forceinline__ Element(int first, int depth, const PixelClass& pixels) {
        const unsigned e = TAP_A_STEP ? first : first + depth;
        const unsigned tap = e / FILTERS;
        filter = e % FILTERS + (TAP_A_STEP ? depth : 0);
        down = Horizontal::divide_by_taps(tap, pixels.columns.taps);
        right = tap - down * pixels.columns.taps;
    }
};

// The output that the class's first taps join a pixel to, from the tile's first image on; it may
// lie outside, where nothing is read.
struct Origin {
    int offset;
    int p;
    int q;
};

__device__ __forceinline__ Vector<float, VECTOR_DY> read_outputs(
    const float* image, const Origin& origin, const Element& element, bool exists) {
    const int up = element.down * Vertical::REACH;
    const int left = element.right * Horizontal::REACH;
    const bool inside = Vertical::in_range(origin.p - up) && Horizontal::in_range(origin.q - left);
    const int offset = origin.offset - (up * Q + left) * K + element.filter;
    return load_if<VECTOR_DY>(inside && exists, image + offset);
}

// Where the element's weights are, from those of filter 0 and the class's first taps on.
__device__ __forceinline__ int weight_offset(const Element& element) {
    const int tap = element.down * (Vertical::PERIOD * S) + element.right * Horizontal::PERIOD;
    return element.filter * FILTER_SIZE + tap * CHANNELS;
}

__global__ void __launch_bounds__(Tile::THREADS, RESIDENT_BLOCKS) conv2d_input_grad_gemm(
    const float* dy, const float* w, float* dx, float* partial, long long N, int slice) {
    __shared__ Tile::Memory memory;
    __shared__ int places[BLOCK_M];
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
    const long long first_image = first_pixel / pixels.image_size();
    const unsigned first_number = static_cast<unsigned>(first_pixel % pixels.image_size());
    const int rows = static_cast<int>(min(count - first_pixel, 1LL * BLOCK_M));
    for (int row = threadIdx.x; row < rows; row += Tile::THREADS) {
        places[row] = place_of(pixels, pixel_at(pixels, first_number + row));
    }
    const float* image = dy + first_image * (P * Q * K) + group * FILTERS;
    Origin origins[Outputs::ROWS];
    for (int i = 0; i < Outputs::ROWS; ++i) {
        const int row = min(Outputs::row(i), rows - 1);
        const Pixel pixel = pixel_at(pixels, first_number + row);
        const int p = pixel.i + pixels.rows.shift;
        const int q = pixel.j + pixels.columns.shift;
        origins[i] = {((pixel.n * P + p) * Q + q) * K, p, q};
    }
    const int first_tap = pixels.rows.first_tap * S + pixels.columns.first_tap;
    const float* weights = w + group * FILTERS * FILTER_SIZE;
    int channels[Filters::ROWS];
    for (int i = 0; i < Filters::ROWS; ++i) {
        const int channel = min(first_channel + Filters::row(i), CHANNELS - VECTOR_DX);
        channels[i] = first_tap * CHANNELS + channel;
    }

    Tile::Sums sums;
    sums.clear();
    const int elements = pixels.elements();
    const int first = blockIdx.z / CLASSES * slice;
    const int last = min(first + slice, elements);
    if (first < last) {
        Tile::multiply<Outputs, Filters>(
            memory, first, last,
            [&](int i, int first, int depth) {
                const bool exists = TAP_A_STEP || first + depth < elements;
                return read_outputs(image, origins[i], Element(first, depth, pixels), exists);
            },
            [&](int i, int first, int depth) {
                const bool exists = TAP_A_STEP || first + depth < elements;
                const int offset = channels[i] + weight_offset(Element(first, depth, pixels));
                return load_if<VECTOR_DX>(exists, weights + offset);
            },
            sums);
    }

    __syncthreads();  // For the places, where there was nothing to multiply.
    float* result = gridDim.z > CLASSES ? partial + blockIdx.z / CLASSES * (N * (H * W * C)) : dx;
    result += first_image * (H * W * C) + group * CHANNELS + first_channel;
    sums.write<VECTOR_DX>(
        rows, CHANNELS - first_channel,
        [&](int row, int column, const Vector<float, VECTOR_DX>& values) {
            store_global(result + (places[row] + column), values);
        });
}
