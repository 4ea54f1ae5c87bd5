// What becomes of a finished sum before it is written, decided when the kernel is compiled:
//
//     value = sum + bias[channel]     where HAS_BIAS
//     value = value + residual[place] where HAS_RESIDUAL: a branch of the same shape as the result
//     value = max(value, 0)           where RELU, NaN stays NaN
//
// Pointers that are not used may be null.
#pragma once

template <bool BIAS, bool RESIDUAL, bool RECTIFIED>
struct Epilogue {
    const float* bias;
    const float* residual;

    __device__ __forceinline__ float operator()(float sum, int channel, long long place) const {
        float value = sum;
        if (BIAS) {
            value += bias[channel];
        }
        if (RESIDUAL) {
            value += residual[place];
        }
        return RECTIFIED && value < 0.0f ? 0.0f : value;
    }
};
