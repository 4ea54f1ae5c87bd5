// Atomic operations

// feature: integers: `atomicAdd`, `Sub`, `Min`, `Max`, `And`, `Or`, `Xor`, `Inc`, `Dec`, `Exch`, `CAS`
// expected: 64 + 63 + 4 + 12000 + 68
KERNEL {
    const int i = INDEX;
    __shared__ int n;
    __shared__ unsigned u, wrapped;
    if (threadIdx.x == 0) {
        n = 0;
        u = 0;
        wrapped = 0;
    }
    __syncthreads();
    atomicAdd(&n, 2);
    atomicSub(&n, 1);
    atomicMax(&u, threadIdx.x);
    atomicInc(&wrapped, 9);
    __syncthreads();
    y[i] = n + u + wrapped;
    __syncthreads();
    atomicExch(&n, 5);
    atomicCAS(&u, 63u, 7u);
    atomicOr(&wrapped, 64u);
    __syncthreads();
    y[i] += 1000 * (n + u) + wrapped;
}

// feature: 64 bits: `atomicAdd` of `unsigned long long`
// expected: 64
KERNEL {
    const int i = INDEX;
    __shared__ unsigned long long n;
    if (threadIdx.x == 0) n = 1ull << 40;
    __syncthreads();
    atomicAdd(&n, 1ull);
    __syncthreads();
    y[i] = n - (1ull << 40);
}

// feature: `atomicAdd_block`, `atomicAdd_system` and the like
// expected: 128
KERNEL {
    const int i = INDEX;
    __shared__ int n;
    if (threadIdx.x == 0) n = 0;
    __syncthreads();
    atomicAdd_block(&n, 1);
    atomicAdd_system(&n, 1);
    __syncthreads();
    y[i] = n;
}

// feature: `atomicAdd` of `float` and `double`
// expected: 128
// note: the seed decides the order, so sums may differ in the last bits, as on a GPU; `float_atomics=False` refuses it
KERNEL {
    const int i = INDEX;
    __shared__ float f;
    __shared__ double d;
    if (threadIdx.x == 0) {
        f = 0;
        d = 0;
    }
    __syncthreads();
    atomicAdd(&f, 1.0f);
    atomicAdd(&d, 1.0);
    __syncthreads();
    y[i] = f + d;
}
