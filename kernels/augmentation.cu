// A batch of bytes to a normalised, augmented input, in one pass:
//
//     y[n,h,w,c] = images[n, row, column, c] · scale[c] + offset[c]
//     row        = ρ(h + shift[n,0])
//     column     = ρ(w + shift[n,1]), mirrored to W − 1 − column where flip[n] is not 0
//
// ρ reflects an index at the borders without repeating the edge; a shift is smaller in size than
// the image. images are bytes (N, H, W, C), y is (N, H, W, C), scale and offset are (C,), flip is
// bytes (N,), shift is ints (N, 2).
//
// A thread takes VECTOR neighbouring elements of y, and gathers them; where images are a multiple
// of that they are stored at once. The blocks of one image lie along x, the images along y
// (image_grid.cuh).
//
// Constants: H, W, C; FLIP and SHIFT, whether there are flips and shifts. N is a run-time argument.
// Within an image every offset fits an int.

#include "elementwise.cuh"
#include "image_grid.cuh"

constexpr int IMAGE = H * W * C;

// Folds an index in (−size, 2 · size − 1) back into [0, size).
__device__ __forceinline__ int reflect(int index, int size) {
    const int distance = index < 0 ? -index : index;
    return distance < size ? distance : 2 * (size - 1) - distance;
}

__global__ void augment_images(
    const unsigned char* images, const float* scale, const float* offset,
    const unsigned char* flip, const int* shift, float* y, int N) {
    const int first = (blockIdx.x * blockDim.x + threadIdx.x) * VECTOR;
    if (first >= IMAGE) {
        return;
    }
    for (int n = first_image(); n < N; n += image_stride()) {
        const unsigned char* image = images + static_cast<long long>(n) * IMAGE;
        float* result = y + static_cast<long long>(n) * IMAGE;
        const int down = SHIFT ? shift[2ll * n] : 0;
        const int right = SHIFT ? shift[2ll * n + 1] : 0;
        const bool mirrored = FLIP && flip[n] != 0;
        Vector<float, VECTOR> values = {};
        for (int i = 0; i < VECTOR && first + i < IMAGE; ++i) {
            const int c = (first + i) % C;
            const int w = (first + i) / C % W;
            const int h = (first + i) / (C * W);
            const int row = reflect(h + down, H);
            const int column = reflect(w + right, W);
            const int from = (row * W + (mirrored ? W - 1 - column : column)) * C + c;
            values.of[i] = image[from] * scale[c] + offset[c];
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
