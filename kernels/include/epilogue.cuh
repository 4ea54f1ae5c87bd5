// What becomes of finished sums before they are written, decided when the kernel is compiled:
//
//     value = sum + bias[channel]        where BIAS
//     value = value + residual[place]    where RESIDUAL: a branch of the same shape as the result
//     value = max(value, 0)              where RECTIFIED; NaN stays NaN
//
// Pointers that are not used may be null.
#pragma once

#include "vector.cuh"

template <bool BIAS, bool RESIDUAL, bool RECTIFIED>
struct Epilogue {
    const float* bias;
    const float* residual;

    // For WIDTH neighbouring channels, the first of which is `channel`.
    template <int WIDTH>
    __device__ __forceinline__ Vector<float, WIDTH> operator()(
        Vector<float, WIDTH> values, int channel, long long place) const {
        const SumOfVectors sum;
        if (BIAS) {
            values = sum(values, load_vector<WIDTH>(bias + channel));
        }
        if (RESIDUAL) {
            values = sum(values, load_vector<WIDTH>(residual + place));
        }
        for (int i = 0; i < WIDTH; ++i) {
            values.of[i] = RECTIFIED && values.of[i] < 0.0f ? 0.0f : values.of[i];
        }
        return values;
    }

    // For a thread's sums of a tile of a matrix product (gemm_tile.cuh), whose columns are channels
    // from `channel` on; place(row) is that of a row's first column. Everything is read before the
    // first result is written: behind that, a read would wait for the write, which may have been
    // to the same place.
    template <int WIDTH, typename Sums, typename Place>
    __device__ __forceinline__ void finish(
        Sums& sums, int rows, int columns, int channel, const Place& place) const {
        if (BIAS) {
            sums.template add_to_rows<WIDTH>(columns, [&](int column) {
                return load_vector<WIDTH>(bias + (channel + column));
            });
        }
        if (RESIDUAL) {
            sums.template add_to_all<WIDTH>(rows, columns, [&](int row, int column) {
                return load_vector<WIDTH>(residual + (place(row) + column));
            });
        }
        if (RECTIFIED) {
            sums.rectify();
        }
    }

    __device__ __forceinline__ float operator()(float sum, int channel, long long place) const {
        return (*this)(Vector<float, 1>{{sum}}, channel, place).of[0];
    }
};
