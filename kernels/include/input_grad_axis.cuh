// Which taps of a strided convolution reach which pixels, along one axis, seen from the pixels.
//
// Output p reads pixel h = p·STRIDE − PAD + r·DILATION through tap r. Pixels with the same residue
// a = h mod STRIDE are reached through the same taps: through every PERIOD-th one from a first on,
// or through none. With h = a + i·STRIDE, tap first + j·PERIOD joins pixel i to output
//
//     p = i + shift − j·REACH
//
// so within a class of residues the gradient is a convolution of stride 1.
#pragma once

// What the pixels of one class have in common.
struct InputGradClass {
    int residue;
    int pixels;
    int first_tap;
    int taps;
    int shift;
};

template <int PIXELS, int OUTPUTS, int TAPS, int STRIDE, int PAD, int DILATION>
struct InputGradAxis {
    __device__ __forceinline__ static constexpr int common_divisor(int a, int b) {
        return b == 0 ? a : common_divisor(b, a % b);
    }

    static constexpr int CLASSES = STRIDE < PIXELS ? STRIDE : PIXELS;
    static constexpr int PERIOD = STRIDE / common_divisor(STRIDE, DILATION);
    static constexpr int REACH = DILATION / common_divisor(STRIDE, DILATION);
    // A class that any tap reaches has MOST_TAPS, or one less.
    static constexpr int MOST_TAPS = (TAPS + PERIOD - 1) / PERIOD;
    // Whether p is in range for every pixel and every tap.
    static constexpr bool ALWAYS_INSIDE =
        PAD >= (TAPS - 1) * DILATION && (PIXELS - 1 + PAD) / STRIDE < OUTPUTS;

    // Classes are numbered so that those reached through most taps come first, if DILATION is 1 and
    // there are pixels of all: class 0 through tap 0. Their blocks take longest, and begin first.
    __device__ __forceinline__ static InputGradClass of_class(int number) {
        const int residue = (number + STRIDE - PAD % STRIDE) % CLASSES;
        int first = 0;
        while (first < PERIOD && (residue + PAD - first * DILATION) % STRIDE != 0) {
            ++first;
        }
        return {
            residue,
            (PIXELS - residue + STRIDE - 1) / STRIDE,
            first,
            first < PERIOD ? (TAPS - first + PERIOD - 1) / PERIOD : 0,
            (residue + PAD - first * DILATION) / STRIDE,
        };
    }

    // ⌊number / taps⌋, where taps is MOST_TAPS or one less, both known when this is compiled.
    __device__ __forceinline__ static int divide_by_taps(unsigned number, int taps) {
        constexpr int FEWER = MOST_TAPS > 1 ? MOST_TAPS - 1 : 1;
        return PERIOD == 1 || taps == MOST_TAPS ? number / MOST_TAPS : number / FEWER;
    }

    __device__ __forceinline__ static bool in_range(int p) {
        return ALWAYS_INSIDE || (p >= 0 && p < OUTPUTS);
    }
};
