// The second pass of a sum that was cut into slices: adds the slices in order.
//
//     result[i] = Σ_slice partial[slice, i]    then + bias[channel], + residual[i], max(…, 0)
//
// as epilogue.cuh has it, but decided at run time: this is compiled once for all uses. A bias or
// residual that is null is left out; `relu` is 0 or 1. partial is (slices, count); result has
// `count` elements, the last axis of which has `channels`. A thread an element.

__global__ void sum_slices(
    const float* partial, const float* bias, const float* residual, float* result, int relu,
    int slices, int channels, long long count) {
    const long long place = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (place >= count) {
        return;
    }
    float sum = 0.0f;
    for (int slice = 0; slice < slices; ++slice) {
        sum += partial[slice * count + place];
    }
    if (bias != nullptr) {
        sum += bias[place % channels];
    }
    if (residual != nullptr) {
        sum += residual[place];
    }
    result[place] = relu != 0 && sum < 0.0f ? 0.0f : sum;
}
