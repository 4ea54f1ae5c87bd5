// A batch of bytes to a normalised, augmented input, in one pass:
//
//     y[n,h,w,c] = v · scale[c] + offset[c]        v: image n moved, coloured, covered, mixed
//
//     moved      images[n, row, column, c] with row    = ρ(h + shift[n,0])
//                                               column = ρ(w + shift[n,1]), mirrored to
//                                                        W − 1 − column where flip[n] is not 0
//                or what bilinear interpolation finds at warp[n] · (h, w, 1)
//     coloured   own · v + grey · (grey value of the pixel, if C is 3) + addend, within 0 … 255,
//                with (own, grey, addend) = colour[n]
//     covered    fill[c] in the rectangle hole[n]
//     mixed      weight · v + (1 − weight) · u in a rectangle, with u this pixel of image partner,
//                moved, coloured and covered; (partner, weight, rectangle…) = mix[n]
//
// ρ reflects an index at the borders without repeating the edge; a shift is smaller in size than
// the image. images are bytes (N, H, W, C), y is (N, H, W, C), scale and offset are (C,), flip is
// bytes (N,), fill is bytes (C,). The rest are ints: shift (N, 2), warp (N, 6), colour (N, 3),
// hole (N, 4), mix (N, 6). Those that stand for fractions have 16 bits after the point, and
// everything up to v is computed in whole numbers, so that all processors find the same bytes. A
// rectangle is (top, left, bottom, right), its last row and column outside.
//
// A thread takes VECTOR neighbouring elements of y, and gathers them; where images are a multiple
// of that they are stored at once. The blocks of one image lie along x, the images along y
// (image_grid.cuh).
//
// Constants: H, W, C; FLIP, SHIFT, WARP (never with the two before it), COLOUR, HOLE and MIX, whether
// there are such changes. N is a run-time argument. Within an image every offset fits an int.

#include "elementwise.cuh"
#include "image_grid.cuh"

constexpr int IMAGE = H * W * C;
constexpr int FRACTION = 16;
constexpr int ONE = 1 << FRACTION;
constexpr int HALF = ONE / 2;
// Interpolation knows STEPS positions from one pixel to the next, in POSITION bits.
constexpr int POSITION = 8;
constexpr int STEPS = 1 << POSITION;

// A batch and its changes.
struct Changes {
    const unsigned char* images;
    const unsigned char* flip;
    const int* shift;
    const int* warp;
    const int* colour;
    const int* hole;
    const unsigned char* fill;
    const int* mix;
};

// Folds an index in (−size, 2 · size − 1) back into [0, size).
__device__ __forceinline__ int reflect(int index, int size) {
    const int distance = index < 0 ? -index : index;
    return distance < size ? distance : 2 * (size - 1) - distance;
}

// The same for an index that may be anywhere.
__device__ __forceinline__ int reflect_often(int index, int size) {
    const int period = size > 1 ? 2 * (size - 1) : 1;
    const int distance = (index < 0 ? -index : index) % period;
    return distance < size ? distance : period - distance;
}

__device__ __forceinline__ bool is_within(const int* rectangle, int h, int w) {
    return rectangle[0] <= h && h < rectangle[2] && rectangle[1] <= w && w < rectangle[3];
}

// What is found at matrix · (h, w, 1) in one channel of an image, between its four neighbours.
__device__ __forceinline__ int interpolated(
    const unsigned char* image, const int* matrix, int h, int w, int c) {
    constexpr int ROUNDING = 1 << (FRACTION - POSITION - 1);
    const int y = matrix[0] * h + matrix[1] * w + matrix[2] + ROUNDING;
    const int x = matrix[3] * h + matrix[4] * w + matrix[5] + ROUNDING;
    const int upper = reflect_often(y >> FRACTION, H) * W;
    const int lower = reflect_often((y >> FRACTION) + 1, H) * W;
    const int left = reflect_often(x >> FRACTION, W);
    const int right = reflect_often((x >> FRACTION) + 1, W);
    const int down = (y >> (FRACTION - POSITION)) & (STEPS - 1);
    const int across = (x >> (FRACTION - POSITION)) & (STEPS - 1);
    const int above =
        image[(upper + left) * C + c] * (STEPS - across) + image[(upper + right) * C + c] * across;
    const int below =
        image[(lower + left) * C + c] * (STEPS - across) + image[(lower + right) * C + c] * across;
    return (above * (STEPS - down) + below * down + HALF) >> FRACTION;
}

// An element of image n, moved.
__device__ __forceinline__ int moved(const Changes& of, long long n, int h, int w, int c) {
    const unsigned char* image = of.images + n * IMAGE;
    if (WARP) {
        return interpolated(image, of.warp + 6 * n, h, w, c);
    }
    const int row = reflect(h + (SHIFT ? of.shift[2 * n] : 0), H);
    const int column = reflect(w + (SHIFT ? of.shift[2 * n + 1] : 0), W);
    const bool mirrored = FLIP && of.flip[n] != 0;
    return image[(row * W + (mirrored ? W - 1 - column : column)) * C + c];
}

// The same, coloured.
__device__ __forceinline__ int coloured(const Changes& of, long long n, int h, int w, int c) {
    int value = moved(of, n, h, w, c);
    if (COLOUR) {
        const int* colour = of.colour + 3 * n;
        value = colour[0] * value + colour[2] + HALF;
        if (C == 3) {
            const int grey = 19595 * moved(of, n, h, w, 0) + 38470 * moved(of, n, h, w, 1) +
                             7471 * moved(of, n, h, w, 2);
            value += colour[1] * ((grey + HALF) >> FRACTION);
        }
        value >>= FRACTION;
        value = value < 0 ? 0 : value > 255 ? 255 : value;
    }
    return value;
}

// The same, covered.
__device__ __forceinline__ int covered(const Changes& of, long long n, int h, int w, int c) {
    return HOLE && is_within(of.hole + 4 * n, h, w) ? of.fill[c] : coloured(of, n, h, w, c);
}

// The same, mixed.
__device__ __forceinline__ int mixed(const Changes& of, long long n, int h, int w, int c) {
    int value = covered(of, n, h, w, c);
    if (MIX && is_within(of.mix + 6 * n + 2, h, w)) {
        const int partner = of.mix[6 * n];
        const int weight = of.mix[6 * n + 1];
        const int other = covered(of, partner, h, w, c);
        value = (weight * value + (ONE - weight) * other + HALF) >> FRACTION;
    }
    return value;
}

__global__ void augment_images(
    const unsigned char* images, const float* scale, const float* offset,
    const unsigned char* flip, const int* shift, const int* warp, const int* colour,
    const int* hole, const unsigned char* fill, const int* mix, float* y, int N) {
    const int first = (blockIdx.x * blockDim.x + threadIdx.x) * VECTOR;
    if (first >= IMAGE) {
        return;
    }
    const Changes changes = {images, flip, shift, warp, colour, hole, fill, mix};
    for (int n = first_image(); n < N; n += image_stride()) {
        float* result = y + static_cast<long long>(n) * IMAGE;
        Vector<float, VECTOR> values = {};
        for (int i = 0; i < VECTOR && first + i < IMAGE; ++i) {
            const int c = (first + i) % C;
            const int w = (first + i) / C % W;
            const int h = (first + i) / (C * W);
            values.of[i] = mixed(changes, n, h, w, c) * scale[c] + offset[c];
        }
        if (IMAGE % VECTOR == 0) {
            store_vector(result + first, values);
        } else {
            for (int i = 0; i < VECTOR && first + i < IMAGE; ++i) {
                result[first + i] = values.of[i];
            }
        }
    }
}
