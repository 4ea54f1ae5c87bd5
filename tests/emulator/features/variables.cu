// Built-in variables and vector types

// feature: `threadIdx`, `blockIdx`, `blockDim`, `gridDim`, `warpSize`
// expected: i % 64 + 100 * (i // 64) + 64000 + 200000 + 32 + 2
KERNEL {
    const int i = INDEX;
    y[i] = threadIdx.x + 100 * blockIdx.x + 1000 * blockDim.x + 100000 * gridDim.x + warpSize +
           threadIdx.y + blockIdx.z + blockDim.z + gridDim.y;
}

// feature: vector types with `make_…`, and `dim3`
// expected: 1 + 4 + 9 + 7 + 11 + 6 + 16
KERNEL {
    const int i = INDEX;
    float4 a = make_float4(1, 2, 3, 4);
    uchar3 b = make_uchar3(5, 6, 7);
    double2 c{8, 9};
    longlong2 d = make_longlong2(10, 11);
    dim3 e(2, 3);
    y[i] = int(a.x + a.w + c.y) + b.z + int(d.y) + e.x * e.y * e.z + sizeof(float4);
}

// feature: loads and stores of `float4`, `int2` and the like
// expected: i // 4 * 4 + 2
KERNEL {
    const int i = INDEX;
    __shared__ int4 quads[16];
    int* flat = reinterpret_cast<int*>(quads);
    flat[threadIdx.x] = i;
    __syncthreads();
    y[i] = quads[threadIdx.x / 4].z;
}
