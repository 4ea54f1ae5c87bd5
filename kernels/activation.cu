// Activations, their input gradients, and the sum of two branches, element by element:
//
//     relu        y = max(x, 0), NaN stays NaN     dx = y > 0 ? dy : 0
//     leaky relu  y = x > 0 ? x : slope · x        dx = x > 0 ? dy : slope · dy
//     sigmoid     y = 1 / (1 + exp(−x))            dx = dy · y · (1 − y)
//     tanh        y = tanh(x)                      dx = dy · (1 − y²)
//     gelu        y = x · (1 + t) / 2              dx = dy · ((1 + t) + x · (1 − t²) · v′) / 2
//                 t = tanh(v),  v = √(2/π) · (x + 0.044715 · x³)
//
// All arrays have `count` elements, of any shape. Work is divided as elementwise.cuh says; an
// output may be one of the inputs.

#include "elementwise.cuh"

__global__ void relu_forward(const float* x, float* y, long long count) {
    // Not fmaxf, which would turn NaN into 0.
    map_elements(count, [](float x) { return x < 0.0f ? 0.0f : x; }, y, x);
}

__global__ void relu_input_grad(const float* dy, const float* y, float* dx, long long count) {
    map_elements(count, [](float dy, float y) { return y > 0.0f ? dy : 0.0f; }, dx, dy, y);
}

__global__ void leaky_relu_forward(const float* x, float slope, float* y, long long count) {
    map_elements(count, [=](float x) { return x > 0.0f ? x : slope * x; }, y, x);
}

__global__ void leaky_relu_input_grad(
    const float* dy, const float* x, float slope, float* dx, long long count) {
    map_elements(
        count, [=](float dy, float x) { return x > 0.0f ? dy : slope * dy; }, dx, dy, x);
}

__global__ void sigmoid_forward(const float* x, float* y, long long count) {
    map_elements(count, [](float x) { return 1.0f / (1.0f + expf(-x)); }, y, x);
}

__global__ void sigmoid_input_grad(const float* dy, const float* y, float* dx, long long count) {
    map_elements(count, [](float dy, float y) { return dy * y * (1.0f - y); }, dx, dy, y);
}

__global__ void tanh_forward(const float* x, float* y, long long count) {
    map_elements(count, [](float x) { return tanhf(x); }, y, x);
}

__global__ void tanh_input_grad(const float* dy, const float* y, float* dx, long long count) {
    map_elements(count, [](float dy, float y) { return dy * (1.0f - y * y); }, dx, dy, y);
}

constexpr float GELU_SCALE = 0.797884561f;  // √(2/π)
constexpr float GELU_CUBIC = 0.044715f;

__device__ __forceinline__ float gelu_tanh(float x) {
    return tanhf(GELU_SCALE * x * (1.0f + GELU_CUBIC * x * x));
}

__global__ void gelu_forward(const float* x, float* y, long long count) {
    map_elements(count, [](float x) { return 0.5f * x * (1.0f + gelu_tanh(x)); }, y, x);
}

__global__ void gelu_input_grad(const float* dy, const float* x, float* dx, long long count) {
    map_elements(
        count,
        [](float dy, float x) {
            const float t = gelu_tanh(x);
            const float slope = GELU_SCALE * (1.0f + 3.0f * GELU_CUBIC * x * x);
            return dy * (0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * slope);
        },
        dx, dy, x);
}

__global__ void add(const float* a, const float* b, float* total, long long count) {
    map_elements(count, [](float a, float b) { return a + b; }, total, a, b);
}
