// What the passes of batch normalisation share: y = (x − mean) · factor + shift, and what follows.
#pragma once

#include "channel_rows.cuh"
#include "ptx/store.cuh"

using Channels = Vector<float, WIDTH>;

// One vector's values for the thread's channels; zeros beyond the last channel.
__device__ __forceinline__ Channels of_thread(const float* vector, const RowSpan& span, int C) {
    return load_if<WIDTH>(span.channel < C, vector + span.channel);
}

__device__ __forceinline__ Channels product(Channels a, const Channels& b) {
    for (int i = 0; i < WIDTH; ++i) {
        a.of[i] *= b.of[i];
    }
    return a;
}

// Before residual and ReLU. The mean first, or its digits would cancel; fmaf leaves the compiler no
// choice of its own, so that the gradient finds the same sign.
__device__ __forceinline__ float normalise(float x, float mean, float factor, float shift) {
    return fmaf(x - mean, factor, shift);
}

// y, of the span's rows: with the residual unless that is null; no value is below `lowest`.
__device__ __forceinline__ void write_normalised(
    const float* x, const float* residual, const Channels& mean, const Channels& factor,
    const Channels& shift, float lowest, float* y, const ChannelRows<WIDTH>& block,
    const RowSpan& span) {
    const auto value = [&](int i, const Channels& v) {
        return normalise(v.of[i], mean.of[i], factor.of[i], shift.of[i]);
    };
    const auto write = [&](long long offset, Channels v) {
        for (int i = 0; i < WIDTH; ++i) {
            v.of[i] = v.of[i] < lowest ? lowest : v.of[i];  // not fmaxf: NaN stays NaN
        }
        store_global(y + offset, v);
    };
    if (residual == nullptr) {
        block.for_each(
            span,
            [&](long long offset, Channels v) {
                for (int i = 0; i < WIDTH; ++i) {
                    v.of[i] = value(i, v);
                }
                write(offset, v);
            },
            x);
    } else {
        block.for_each(
            span,
            [&](long long offset, Channels v, const Channels& branch) {
                for (int i = 0; i < WIDTH; ++i) {
                    v.of[i] = value(i, v) + branch.of[i];
                }
                write(offset, v);
            },
            x, residual);
    }
}
