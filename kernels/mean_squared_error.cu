// Mean squared error between rows of predictions x (N, K) and one-hot labels, and its gradient:
//
//     losses[n]         = Σ_k (x[n,k] − [k = label])² / K
//     dpredictions[n,k] = slope · (x[n,k] − [k = label])        slope = 2 · scale / K
//
// A block takes a row, row n = blockIdx.x; thread t takes the classes t, t + ROW_THREADS, …, and
// the block adds up what its threads have.
//
// Constants: K, ROW_THREADS (a block's threads, whole warps).

#include "reduction.cuh"

// x[k] − [k = label]
__device__ __forceinline__ float difference(const float* predictions, int k, int label) {
    return predictions[k] - (k == label ? 1.0f : 0.0f);
}

__global__ void mean_squared_error_forward(
    const float* predictions, const int* labels, float* losses) {
    __shared__ float scratch[ROW_THREADS / WARP];
    const long long row = static_cast<long long>(blockIdx.x) * K;
    const int label = labels[blockIdx.x];
    float sum = 0.0f;
    for (int k = threadIdx.x; k < K; k += ROW_THREADS) {
        const float off = difference(predictions + row, k, label);
        sum += off * off;
    }
    sum = block_reduce<ROW_THREADS>(sum, Sum(), scratch);
    if (threadIdx.x == 0) {
        losses[blockIdx.x] = sum / K;
    }
}

__global__ void mean_squared_error_input_grad(
    const float* predictions, const int* labels, float slope, float* gradient) {
    const long long row = static_cast<long long>(blockIdx.x) * K;
    const int label = labels[blockIdx.x];
    for (int k = threadIdx.x; k < K; k += ROW_THREADS) {
        gradient[row + k] = slope * difference(predictions + row, k, label);
    }
}
