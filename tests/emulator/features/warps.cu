// Warps

// feature: `__shfl_sync`, `_up`, `_down`, `_xor`, with a width; of `double` and of `long long`
// expected: i // 16 * 16 + 3 + (i ^ 1) - i
KERNEL {
    const int i = INDEX;
    y[i] = __shfl_sync(~0u, i, 3, 16) + __shfl_xor_sync(~0u, i, 1) - __shfl_down_sync(~0u, i, 0) +
           int(__shfl_up_sync(~0u, double(i), 0)) -
           int(__shfl_sync(~0u, (long long)i, threadIdx.x));
}

// feature: votes: `__any_sync`, `__all_sync`, `__ballot_sync`
// expected: int(i < 32) + 2 + 24
KERNEL {
    const int i = INDEX;
    y[i] =
        __any_sync(~0u, i == 3) + 2 * __all_sync(~0u, i >= 0) + __popc(__ballot_sync(~0u, i % 4));
}

// feature: `__match_any_sync`, `__match_all_sync`
// expected: 4 + 1
KERNEL {
    const int i = INDEX;
    int same;
    __match_all_sync(~0u, i / 32, &same);
    y[i] = __popc(__match_any_sync(~0u, i % 8)) + same;
}

// feature: `__reduce_add_sync`, `_min`, `_max`, `_and`, `_or`, `_xor`
// expected: 32 + 31
KERNEL {
    const int i = INDEX;
    y[i] = __reduce_add_sync(~0u, 1) + __reduce_max_sync(~0u, i % 32);
}

// feature: `__syncwarp`
// expected: i ^ 1
KERNEL {
    const int i = INDEX;
    __shared__ int row[64];
    row[threadIdx.x] = i;
    __syncwarp();
    y[i] = row[threadIdx.x ^ 1];
}

// feature: `__activemask`
// refused: __activemask() tells which lanes happen to run together
KERNEL {
    const int i = INDEX;
    y[i] = __activemask();
}

// feature: `__shfl`, `__any`, `__ballot` without a mask
// refused: without a mask it was removed in compute capability 7.0; use __shfl_down_sync
KERNEL {
    const int i = INDEX;
    y[i] = __shfl_down(i, 1);
}
