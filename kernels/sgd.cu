// A step of stochastic gradient descent over flat vectors of `count` elements, in place:
//
//     g ← gradient + weight_decay · w
//     v ← momentum · v + g
//     w ← w − learning_rate · (NESTEROV ? g + momentum · v : v)
//
// without momentum there is no v, and g takes its place. Nothing is changed where the guard forbids
// it (guard.cuh). Work is divided as elementwise.cuh says.
//
// Constants: NESTEROV.

#include "guard.cuh"
#include "update.cuh"

__global__ void sgd_step(
    float* parameters, const float* gradients, float learning_rate, float weight_decay,
    const int* guard, long long count) {
    if (is_refused(guard)) {
        return;
    }
    update_elements(
        count,
        [=](float gradient, float& w) { w -= learning_rate * (gradient + weight_decay * w); },
        gradients, parameters);
}

__global__ void sgd_momentum_step(
    float* parameters, const float* gradients, float* velocity, float learning_rate,
    float momentum, float weight_decay, const int* guard, long long count) {
    if (is_refused(guard)) {
        return;
    }
    update_elements(
        count,
        [=](float gradient, float& w, float& v) {
            const float g = gradient + weight_decay * w;
            v = momentum * v + g;
            w -= learning_rate * (NESTEROV ? g + momentum * v : v);
        },
        gradients, parameters, velocity);
}
