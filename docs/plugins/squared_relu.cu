// The squared rectifier and its input gradient, element by element:
//
//     y = max(x, 0)²        dx = dy · 2 · max(x, 0)
//
// All arrays have `count` elements, of any shape. Work is divided as elementwise.cuh says.

#include "elementwise.cuh"

// Not fmaxf, which would turn NaN into 0.
__device__ __forceinline__ float positive(float x) {
    return x < 0.0f ? 0.0f : x;
}

__global__ void squared_relu_forward(const float* x, float* y, long long count) {
    map_elements(count, [](float x) { return positive(x) * positive(x); }, y, x);
}

__global__ void squared_relu_input_grad(
    const float* dy, const float* x, float* dx, long long count) {
    map_elements(count, [](float dy, float x) { return dy * (2.0f * positive(x)); }, dx, dy, x);
}
