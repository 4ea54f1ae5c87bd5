// The second pass of a sum that was cut into slices: adds the slices in order.
//
//     result[i] = epilogue(Σ_slice partial[slice, i])
//
// partial is (slices, count), result has `count` elements, the last axis of which has `channels`.
// Bias, residual and ReLU as epilogue.cuh says. A thread an element.
//
// Constants: HAS_BIAS, HAS_RESIDUAL, RELU.

#include "epilogue.cuh"

__global__ void sum_slices(
    const float* partial, const float* bias, const float* residual, float* result, int slices,
    int channels, long long count) {
    const long long place = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (place >= count) {
        return;
    }
    const Epilogue<HAS_BIAS, HAS_RESIDUAL, RELU> epilogue{bias, residual};
    float sum = 0.0f;
    for (int slice = 0; slice < slices; ++slice) {
        sum += partial[slice * count + place];
    }
    result[place] = epilogue(sum, static_cast<int>(place % channels), place);
}
