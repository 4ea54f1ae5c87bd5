// Qualifiers

// feature: `__device__`, `__host__ __device__`, `__forceinline__`, `__noinline__` functions
// expected: 6 * i
__host__ __device__ inline int one(int x) { return x; }
static __device__ __forceinline__ int two(int x) { return 2 * x; }
__device__ __noinline__ int three(int x) { return 3 * x; }
KERNEL {
    const int i = INDEX;
    y[i] = one(i) + two(i) + three(i);
}

// feature: `__device__` variables, with initial values
// expected: i % 3 + 1
__device__ int table[3] = {1, 2, 3};
__device__ int counter;
KERNEL {
    const int i = INDEX;
    y[i] = table[i % 3] + counter;
}

// feature: `__constant__` variables, with initial values
// expected: 5 + i % 4
__constant__ int weights[4] = {5, 6, 7, 8};
KERNEL {
    const int i = INDEX;
    y[i] = weights[i % 4];
}

// feature: `__shared__` variables, arrays and structures
// expected: 2 * (63 - i % 64) + 100
KERNEL {
    const int i = INDEX;
    __shared__ int row[64], tile[8][9];
    __shared__ struct {
        int a, b;
    } both;
    const int t = threadIdx.x;
    row[t] = t;
    tile[t / 8][t % 8] = t;
    if (t == 0) both.a = 100;
    __syncthreads();
    y[i] = row[63 - t] + tile[(63 - t) / 8][(63 - t) % 8] + both.a;
}

// feature: `extern __shared__`: dynamic shared memory, also under several types
// expected: 63 - i % 64 + i
KERNEL {
    const int i = INDEX;
    extern __shared__ float numbers[];
    int* whole = reinterpret_cast<int*>(numbers + 64);
    const int t = threadIdx.x;
    numbers[t] = t;
    whole[t] = i;
    __syncthreads();
    y[i] = int(numbers[63 - t]) + whole[t];
}

// feature: `__restrict__`, `const`, `volatile`
// expected: i
__device__ int passed(const int* __restrict__ x, volatile int k) { return x[0] + k; }
KERNEL {
    const int i = INDEX;
    y[i] = passed(y + i, i);
}

// feature: `__align__`, `alignas`
// expected: 8
struct __align__(8) Wide {
    int a, b;
};
KERNEL {
    const int i = INDEX;
    __shared__ __align__(16) int four[4];
    alignas(16) Wide w;
    y[i] = alignof(Wide) + int(reinterpret_cast<size_t>(four) % 16) +
           int(reinterpret_cast<size_t>(&w) % 16);
}

// feature: `__managed__`
// expected: 1
// note: in the host's memory, as `__device__` variables are
__managed__ int shared_with_host = 1;
KERNEL {
    const int i = INDEX;
    y[i] = shared_with_host;
}
