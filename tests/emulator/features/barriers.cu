// Barriers and fences

// feature: `__syncthreads`, `_count`, `_and`, `_or`
// expected: 32 + 2
KERNEL {
    const int i = INDEX;
    y[i] =
        __syncthreads_count(i % 2) + 2 * (__syncthreads_and(1) != 0) + (__syncthreads_or(0) != 0);
}

// feature: `__syncthreads` after some threads have left
// expected: 5 if i % 64 >= 40 else i // 64 * 64 + 39 - i % 64
KERNEL {
    const int i = INDEX;
    y[i] = 5;
    if (threadIdx.x >= 40) return;
    __shared__ int row[40];
    row[threadIdx.x] = i;
    __syncthreads();
    y[i] = row[39 - threadIdx.x];
}

// feature: `__threadfence`, `_block`, `_system`
// expected: 1
// note: every write is visible at once; race mode orders blocks by the first and the last
KERNEL {
    const int i = INDEX;
    y[i] = 1;
    __threadfence();
    __threadfence_block();
    __threadfence_system();
}
