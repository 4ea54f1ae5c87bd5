// Elementwise kernels: a function of one element of each input, for arrays of any length.
//
// A thread takes VECTOR neighbouring elements and moves each array's as one vector, so a warp
// reads and writes whole lines. The last thread of all may find fewer, and takes them one by one.
#pragma once

constexpr int VECTOR = 4;

// VECTOR elements that are moved as one. Arrays begin on boundaries of 16 bytes.
template <typename T>
struct alignas(VECTOR * sizeof(T)) Vector {
    T element[VECTOR];
};

template <typename T>
__device__ __forceinline__ Vector<T> load_vector(const T* address) {
    return *reinterpret_cast<const Vector<T>*>(address);
}

template <typename T>
__device__ __forceinline__ void store_vector(T* address, const Vector<T>& vector) {
    *reinterpret_cast<Vector<T>*>(address) = vector;
}

// The first of the VECTOR elements that are this thread's.
__device__ __forceinline__ long long first_element() {
    return (static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x) * VECTOR;
}

// output[i] = function(inputs[i]...) for this thread's i < count. The output may be an input.
template <typename Function, typename Output, typename... Inputs>
__device__ __forceinline__ void map_elements(
    long long count, Function function, Output* output, const Inputs*... inputs) {
    const long long first = first_element();
    if (first + VECTOR <= count) {
        Vector<Output> results;
        [&](const Vector<Inputs>&... values) {
            for (int i = 0; i < VECTOR; ++i) {
                results.element[i] = function(values.element[i]...);
            }
        }(load_vector(inputs + first)...);
        store_vector(output + first, results);
    } else {
        // Fewer than VECTOR turns, which the compiler does not know.
#pragma unroll 1
        for (long long i = first; i < count; ++i) {
            output[i] = function(inputs[i]...);
        }
    }
}
