// Neighbouring channels of a pixel, moved as one.
//
// WIDTH is 4 where the number of channels is a multiple of 4, else 1. Arrays begin on boundaries
// of 16 bytes, so every WIDTH-th element of a row may then be read as a vector.
#pragma once

template <typename T, int WIDTH>
struct alignas(WIDTH * sizeof(T)) Channels {
    T of[WIDTH];
};

template <int WIDTH, typename T>
__device__ __forceinline__ Channels<T, WIDTH> load_channels(const T* address) {
    return *reinterpret_cast<const Channels<T, WIDTH>*>(address);
}

template <typename T, int WIDTH>
__device__ __forceinline__ void store_channels(T* address, const Channels<T, WIDTH>& values) {
    *reinterpret_cast<Channels<T, WIDTH>*>(address) = values;
}

// The sum of two, channel by channel.
struct SumOfChannels {
    template <int WIDTH>
    __device__ __forceinline__ Channels<float, WIDTH> operator()(
        Channels<float, WIDTH> a, const Channels<float, WIDTH>& b) const {
        for (int i = 0; i < WIDTH; ++i) {
            a.of[i] += b.of[i];
        }
        return a;
    }
};

template <int WIDTH>
__device__ __forceinline__ Channels<float, WIDTH> scaled(
    Channels<float, WIDTH> values, float factor) {
    for (int i = 0; i < WIDTH; ++i) {
        values.of[i] *= factor;
    }
    return values;
}
