// A step of Adam or AdamW over flat vectors of `count` elements, in place:
//
//     w ← shrink · w
//     g ← gradient + weight_decay · w
//     m ← β1 · m + (1 − β1) · g
//     v ← β2 · v + (1 − β2) · g²
//     w ← w − rate · m / (√(correction · v) + ε)
//
// with rate = learning_rate / (1 − β1^step) and correction = 1 / (1 − β2^step), worked out on the
// host. Adam has shrink = 1; AdamW has weight_decay = 0 and shrink = 1 − learning_rate · decay.
// Nothing is changed where the guard forbids it (guard.cuh). Work is divided as elementwise.cuh
// says.

#include "guard.cuh"
#include "update.cuh"

// beta1_rest is 1 − β1, beta2_rest 1 − β2, rounded once.
__global__ void adam_step(
    float* parameters, const float* gradients, float* mean, float* square, float shrink,
    float weight_decay, float beta1, float beta1_rest, float beta2, float beta2_rest, float rate,
    float correction, float epsilon, const int* guard, long long count) {
    if (is_refused(guard)) {
        return;
    }
    update_elements(
        count,
        [=](float gradient, float& w, float& m, float& v) {
            w *= shrink;
            const float g = gradient + weight_decay * w;
            m = beta1 * m + beta1_rest * g;
            v = beta2 * v + beta2_rest * (g * g);
            w -= rate * (m / (sqrtf(correction * v) + epsilon));
        },
        gradients, parameters, mean, square);
}
