// Softmax over rows of logits z (N, K), and the cross-entropy of its probabilities p with labels (N,)
// or with targets t (N, K), of which a row may have any sum:
//
//     p[n,k]       = exp(z[n,k] − m) / s          m = max over k of z[n,k],  s = Σ_k exp(z[n,k] − m)
//     losses[n]    = −Σ_k t[n,k] · log p[n,k]      t = (1 − smoothing) · onehot + smoothing / K
//                  = log s − (1 − smoothing) · (z[n,label] − m) − smoothing · Σ_k (z[n,k] − m) / K
//     dlogits[n,k] = scale · (p[n,k] − t[n,k])
//
//     with targets:
//     losses[n]    = Σ_k t[n,k] · (log s − (z[n,k] − m))      over the k with t[n,k] ≠ 0
//     dlogits[n,k] = scale · (p[n,k] · Σ_j t[n,j] − t[n,k])
//
// With m subtracted no exponential overflows, and s ≥ 1, so the loss never takes the log of a
// rounded 0. A row with a NaN or +∞ has no finite probability and no finite loss.
//
// A block takes a row, row n = blockIdx.x; thread t takes the classes t, t + ROW_THREADS, …, and
// the block adds up what its threads have.
//
// Constants: K, ROW_THREADS (a block's threads, whole warps).

#include "reduction.cuh"

// What a row's loss needs besides the label's logit.
struct RowSums {
    float largest;
    float total;
};

// probabilities = softmax(logits), of this block's row, with all its threads.
__device__ __forceinline__ RowSums softmax_row(
    const float* logits, float* probabilities, float* scratch) {
    // A thread without a class brings in a logit that is there anyway: −∞ has no literal.
    float largest = logits[0];
    for (int k = threadIdx.x; k < K; k += ROW_THREADS) {
        largest = Maximum()(largest, logits[k]);
    }
    largest = block_reduce<ROW_THREADS>(largest, Maximum(), scratch);
    float total = 0.0f;
    for (int k = threadIdx.x; k < K; k += ROW_THREADS) {
        const float power = expf(logits[k] - largest);
        probabilities[k] = power;
        total += power;
    }
    total = block_reduce<ROW_THREADS>(total, Sum(), scratch);
    // Each thread reads what it has written itself: no barrier.
    for (int k = threadIdx.x; k < K; k += ROW_THREADS) {
        probabilities[k] /= total;
    }
    return {largest, total};
}

__global__ void softmax(const float* logits, float* probabilities) {
    __shared__ float scratch[ROW_THREADS / WARP];
    const long long row = static_cast<long long>(blockIdx.x) * K;
    softmax_row(logits + row, probabilities + row, scratch);
}

// label_share is 1 − smoothing.
__global__ void softmax_cross_entropy_forward(
    const float* logits, const int* labels, float label_share, float smoothing, float* losses,
    float* probabilities) {
    __shared__ float scratch[ROW_THREADS / WARP];
    const long long row = static_cast<long long>(blockIdx.x) * K;
    const float* scores = logits + row;
    const RowSums sums = softmax_row(scores, probabilities + row, scratch);
    float loss = logf(sums.total) - label_share * (scores[labels[blockIdx.x]] - sums.largest);
    // Without smoothing a class may be ruled out by −∞, and 0 · −∞ would be NaN.
    if (smoothing > 0.0f) {
        float shifted = 0.0f;
        for (int k = threadIdx.x; k < K; k += ROW_THREADS) {
            shifted += scores[k] - sums.largest;
        }
        loss -= smoothing * (block_reduce<ROW_THREADS>(shifted, Sum(), scratch) / K);
    }
    if (threadIdx.x == 0) {
        losses[blockIdx.x] = loss;
    }
}

// class_share is smoothing / K.
__global__ void softmax_cross_entropy_input_grad(
    const float* probabilities, const int* labels, float label_share, float class_share,
    float scale, float* dlogits) {
    const long long row = static_cast<long long>(blockIdx.x) * K;
    const int label = labels[blockIdx.x];
    for (int k = threadIdx.x; k < K; k += ROW_THREADS) {
        const float difference = probabilities[row + k] - class_share;
        dlogits[row + k] = scale * (k == label ? difference - label_share : difference);
    }
}

__global__ void soft_cross_entropy_forward(
    const float* logits, const float* targets, float* losses, float* probabilities) {
    __shared__ float scratch[ROW_THREADS / WARP];
    const long long row = static_cast<long long>(blockIdx.x) * K;
    const RowSums sums = softmax_row(logits + row, probabilities + row, scratch);
    const float log_total = logf(sums.total);
    float loss = 0.0f;
    for (int k = threadIdx.x; k < K; k += ROW_THREADS) {
        const float target = targets[row + k];
        // A class without a target may be ruled out by −∞, and 0 · ∞ would be NaN.
        if (target != 0.0f) {
            loss += target * (log_total - (logits[row + k] - sums.largest));
        }
    }
    loss = block_reduce<ROW_THREADS>(loss, Sum(), scratch);
    if (threadIdx.x == 0) {
        losses[blockIdx.x] = loss;
    }
}

__global__ void soft_cross_entropy_input_grad(
    const float* probabilities, const float* targets, float scale, float* dlogits) {
    __shared__ float scratch[ROW_THREADS / WARP];
    const long long row = static_cast<long long>(blockIdx.x) * K;
    float weight = 0.0f;
    for (int k = threadIdx.x; k < K; k += ROW_THREADS) {
        weight += targets[row + k];
    }
    weight = block_reduce<ROW_THREADS>(weight, Sum(), scratch);
    for (int k = threadIdx.x; k < K; k += ROW_THREADS) {
        dlogits[row + k] = scale * (probabilities[row + k] * weight - targets[row + k]);
    }
}
