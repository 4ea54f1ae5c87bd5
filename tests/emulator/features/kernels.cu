// Kernels, their parameters, options

// feature: kernels in `extern "C" { … }`, `static` kernels, declared before they are defined
// expected: i
extern "C" {
static __global__ void later(int* y);
KERNEL {
    const int i = INDEX;
    y[i] = i;
}
}
static __global__ void later(int* y) { y[0] = 0; }

// feature: templates, by `name_expressions`
// kernel: scaled<int, 3>
// expected: 3 * i
template <typename T, int factor>
__global__ void scaled(T* y) {
    y[INDEX] = T(INDEX) * factor;
}

// feature: kernels in a namespace, by `name_expressions`
// kernel: inner::counted
// expected: i
namespace inner {
__global__ void counted(int* y) { y[INDEX] = INDEX; }
}

// feature: templates with further parameters
// kernel: overloaded<float>
// arguments: np.float32(0.5)
// expected: 2 * i + 1
template <typename T>
__global__ void overloaded(int* y, T x) {
    y[INDEX] = int((INDEX + x) * 2);
}

// feature: `__launch_bounds__`
// kernel: bounded
// expected: i
// note: checked at each launch; those of a template if they are plain numbers
__global__ void __launch_bounds__(64, 2) bounded(int* y) { y[INDEX] = INDEX; }

// feature: numbers of all sizes, `bool`
// kernel: numbers
// arguments: np.int8(-1), np.uint16(2), np.float16(0.5), np.int64(2**40), np.float64(0.25), True
// expected: i - 1 + 2 + 256 + 25 + 1
#include <cuda_fp16.h>
__global__ void numbers(int* y, signed char a, unsigned short b, __half c, long long d, double e,
                        bool f) {
    y[INDEX] = INDEX + a + b + int(d >> 32) * int(2 * __half2float(c)) + int(100 * e) + f;
}

// feature: structures by value, of any size
// kernel: by_value
// arguments: np.array((7, 2.5, (1, 2, 3)), np.dtype([("n", "i4"), ("x", "f8"), ("v", "i4", 3)], align=True))[()]
// expected: i + 7 + 5 + 3
struct Settings {
    int n;
    double x;
    int v[3];
};
__global__ void by_value(int* y, Settings s) { y[INDEX] = INDEX + s.n + int(2 * s.x) + s.v[2]; }

// feature: vector types by value
// kernel: of_vectors
// arguments: np.array((1, 2, 3, 4), np.dtype("i4,i4,i4,i4"))[()]
// expected: i + 4
__global__ void of_vectors(int* y, int4 v) { y[INDEX] = INDEX + v.w; }

// feature: pointers to `const`, to structures, to half; null pointers (`None`)
// kernel: of_pointers
// arguments: np.arange(4, dtype=np.float32), np.ones(2, np.float16), None
// expected: i + 1 + 3
#include <cuda_fp16.h>
struct Couple {
    float a, b;
};
__global__ void of_pointers(int* y, const Couple* x, const __half* h, const float* missing) {
    y[INDEX] = INDEX + int(__half2float(h[1])) + (missing == nullptr ? int(x[1].b) : 0);
}

// feature: `__grid_constant__`
// kernel: of_constant
// arguments: np.int32(5)
// expected: i + 5
__global__ void of_constant(int* y, const __grid_constant__ int n) { y[INDEX] = INDEX + n; }

// feature: clusters, `__cluster_dims__`
// refused: __cluster_dims__: the emulator has no clusters of blocks
__global__ void __cluster_dims__(2, 1, 1) of_cluster(int* y) { y[INDEX] = 1; }
KERNEL { y[INDEX] = 1; }

// feature: macros by `-D`; `--use_fast_math`, `-lineinfo` and others that mean nothing here
// options: -DCOUNT=16 --use_fast_math -lineinfo --std=c++17
// expected: 16
KERNEL { y[INDEX] = COUNT; }

// feature: C++20 by `--std=c++20`: concepts, designated initialisers, `consteval`
// options: --std=c++20
// expected: i + 3 + 8
struct Options {
    int a = 0, b = 0;
};
template <typename T>
concept Small = sizeof(T) <= 4;
template <Small T>
__device__ T same(T x) {
    return x;
}
consteval int doubled(int x) { return 2 * x; }
KERNEL {
    const Options options{.b = 3};
    y[INDEX] = same(int(INDEX)) + options.b + doubled(4);
}
