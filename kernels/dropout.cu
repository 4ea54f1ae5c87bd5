// Inverted dropout, and its input gradient:
//
//     mask[i] = word(offset + i) ≥ threshold        threshold = ⌈rate · 2³²⌉
//     y[i]    = x[i] · scale · mask[i]              scale = 1 / (1 − rate)
//     dx[i]   = dy[i] · scale · mask[i]
//
// word(position) is the Philox word of (seed, stream, step) there (philox.cuh). x, y, dy and dx
// have `count` elements of any shape, the mask is as many bytes of 0 or 1. Work is divided as
// elementwise.cuh says: a thread draws its four words at once. The threshold may be 2³² itself,
// so it has 64 bits. The mask is a factor, so that a NaN that is dropped still shows.

#include "elementwise.cuh"
#include "philox.cuh"

__global__ void dropout_forward(
    const float* x, float* y, unsigned char* mask, unsigned long long threshold, float scale,
    unsigned long long seed, unsigned stream, unsigned step, unsigned long long offset,
    long long count) {
    const long long first = first_element();
    if (first >= count) {
        return;
    }
    const PhiloxWords drawn = philox_words({seed, stream, step}, offset + first);
    Vector<unsigned char, VECTOR> kept;
    for (int i = 0; i < VECTOR; ++i) {
        kept.of[i] = drawn.word[i] >= threshold;
    }
    if (first + VECTOR <= count) {
        const Vector<float, VECTOR> values = load_vector<VECTOR>(x + first);
        Vector<float, VECTOR> results;
        for (int i = 0; i < VECTOR; ++i) {
            results.of[i] = values.of[i] * scale * kept.of[i];
        }
        store_vector(y + first, results);
        store_vector(mask + first, kept);
    } else {
        for (int i = 0; i < VECTOR; ++i) {
            if (first + i < count) {
                y[first + i] = x[first + i] * scale * kept.of[i];
                mask[first + i] = kept.of[i];
            }
        }
    }
}

__global__ void dropout_input_grad(
    const float* dy, const unsigned char* mask, float scale, float* dx, long long count) {
    map_elements(
        count, [=](float dy, unsigned char kept) { return dy * scale * kept; }, dx, dy, mask);
}
