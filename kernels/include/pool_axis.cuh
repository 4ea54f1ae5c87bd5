// One axis of a pooling: which pixels a window holds, and which windows hold a pixel.
//
// COUNT windows of WINDOW pixels, a STRIDE apart, lie over an image of SIZE pixels; the first
// begins at pixel −PAD. What of them is outside the image is padding.
#pragma once

template <int SIZE, int WINDOW, int STRIDE, int PAD, int COUNT>
struct PoolAxis {
    // If no window reaches into the padding, no pixel need be checked.
    static constexpr bool PADDED = PAD > 0 || (COUNT - 1) * STRIDE - PAD + WINDOW > SIZE;

    __device__ __forceinline__ static int pixel(int window, int tap) {
        return window * STRIDE - PAD + tap;
    }

    __device__ __forceinline__ static bool in_image(int pixel) {
        return !PADDED || (pixel >= 0 && pixel < SIZE);
    }

    // The place of a pixel within a window that holds it.
    __device__ __forceinline__ static int tap(int window, int pixel) {
        return pixel + PAD - window * STRIDE;
    }

    // The first and the last window that hold a pixel; none does where the first is greater.
    __device__ __forceinline__ static int first_window(int pixel) {
        return pixel + PAD < WINDOW ? 0 : (pixel + PAD - WINDOW) / STRIDE + 1;
    }

    __device__ __forceinline__ static int last_window(int pixel) {
        return min((pixel + PAD) / STRIDE, COUNT - 1);
    }
};
