// Neighbouring values that are moved as one.
//
// COUNT is 4, or 1 where rows of memory are no multiple of 4 long. Arrays begin on boundaries of
// 16 bytes, so every COUNT-th value of a row may then be read as a vector.
#pragma once

template <typename T, int COUNT>
struct alignas(COUNT * sizeof(T)) Vector {
    T of[COUNT];
};

template <int COUNT, typename T>
__device__ __forceinline__ Vector<T, COUNT> load_vector(const T* address) {
    return *reinterpret_cast<const Vector<T, COUNT>*>(address);
}

// The values at `address` if `wanted`, else zeros; then nothing is read.
template <int COUNT, typename T>
__device__ __forceinline__ Vector<T, COUNT> load_if(bool wanted, const T* address) {
    return wanted ? load_vector<COUNT>(address) : Vector<T, COUNT>{};
}

template <typename T, int COUNT>
__device__ __forceinline__ void store_vector(T* address, const Vector<T, COUNT>& values) {
    *reinterpret_cast<Vector<T, COUNT>*>(address) = values;
}

struct SumOfVectors {
    template <int COUNT>
    __device__ __forceinline__ Vector<float, COUNT> operator()(
        Vector<float, COUNT> a, const Vector<float, COUNT>& b) const {
        for (int i = 0; i < COUNT; ++i) {
            a.of[i] += b.of[i];
        }
        return a;
    }
};

template <int COUNT>
__device__ __forceinline__ Vector<float, COUNT> scaled(Vector<float, COUNT> values, float factor) {
    for (int i = 0; i < COUNT; ++i) {
        values.of[i] *= factor;
    }
    return values;
}
