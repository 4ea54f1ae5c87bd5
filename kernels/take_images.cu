// The images of a batch, gathered from all images of a data set:
//
//     y[n] = images[indices[n]]         n < N
//
// Images are IMAGE bytes each. A thread copies WIDTH neighbouring bytes as one word; the blocks of
// one image lie along x, the images along y (image_grid.cuh).
//
// Constants: IMAGE (bytes, a multiple of WIDTH), WIDTH (1, 4 or 16).

#include "image_grid.cuh"

struct alignas(WIDTH) Word {
    unsigned char byte[WIDTH];
};

__global__ void take_images(
    const unsigned char* images, const long long* indices, unsigned char* y, int N) {
    constexpr int WORDS = IMAGE / WIDTH;
    const int word = blockIdx.x * blockDim.x + threadIdx.x;
    if (word >= WORDS) {
        return;
    }
    const Word* from = reinterpret_cast<const Word*>(images);
    Word* to = reinterpret_cast<Word*>(y);
    for (int n = first_image(); n < N; n += image_stride()) {
        to[static_cast<long long>(n) * WORDS + word] = from[indices[n] * WORDS + word];
    }
}
