// What a device can do at most, for measurements:
//
//     copy          y[i] = x[i]                         the bandwidth of its memory
//     multiply_add  v ← factor · v + addend, in turns   the rate of its FP32 arithmetic
//
// copy takes COPY_VECTORS vectors a thread, a block's side by side in each turn. multiply_add has
// CHAINS numbers a thread that do not wait for each other; a round is one step of each. One
// thread of it, with as many rounds as that takes, keeps a device busy for a given time.

#include "elementwise.cuh"

constexpr int COPY_VECTORS = 4;
constexpr int CHAINS = 8;

__global__ void copy(const float* x, float* y, long long count) {
    const long long block = static_cast<long long>(blockIdx.x) * blockDim.x * COPY_VECTORS;
    for (int turn = 0; turn < COPY_VECTORS; ++turn) {
        const long long first = (block + turn * blockDim.x + threadIdx.x) * VECTOR;
        if (first + VECTOR <= count) {
            store_vector(y + first, load_vector(x + first));
        } else {
            for (long long i = first; i < count; ++i) {
                y[i] = x[i];
            }
        }
    }
}

// sums has an element a thread; it is there so that the compiler keeps what leads to it.
__global__ void multiply_add(float* sums, float factor, float addend, int rounds) {
    const long long thread = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    float value[CHAINS];
    for (int chain = 0; chain < CHAINS; ++chain) {
        value[chain] = static_cast<float>(threadIdx.x + chain);
    }
    for (int round = 0; round < rounds; ++round) {
        for (int chain = 0; chain < CHAINS; ++chain) {
            value[chain] = factor * value[chain] + addend;
        }
    }
    float sum = 0.0f;
    for (int chain = 0; chain < CHAINS; ++chain) {
        sum += value[chain];
    }
    sums[thread] = sum;
}
