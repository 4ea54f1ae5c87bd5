// Headers

// feature: `<cuda_fp16.h>`: `__half`, `__half2`, conversions, arithmetic, comparisons
// expected: 1
#include <cuda_fp16.h>
KERNEL {
    const int i = INDEX;
    __half x = __float2half(1.5f);
    __half2 p = __floats2half2_rn(1, 2);
    y[i] = __half2float(__hadd(x, x)) == 3 && __half2float(x * x) == 2.25f &&
           __hlt(x, __hadd(x, x)) && __low2float(__hfma2(p, p, p)) == 2;
}

// feature: `<cuda_bf16.h>`: `__nv_bfloat16` and its pairs
// expected: 1
#include <cuda_bf16.h>
KERNEL {
    const int i = INDEX;
    __nv_bfloat16 x = __float2bfloat16(1.5f);
    y[i] = __bfloat162float(__hadd(x, x)) == 3;
}

// feature: headers of C and C++: `<cstdint>`, `<cmath>`, `<type_traits>`, `<limits>`
// expected: 1
// note: NVRTC refuses them
#include <cstdint>
#include <limits>
#include <type_traits>
KERNEL {
    const int i = INDEX;
    y[i] = std::is_same_v<int32_t, int> && std::numeric_limits<float>::max() > 1e38f;
}

// feature: `<cuComplex.h>`
// expected: 7
#include <cuComplex.h>
KERNEL {
    const cuFloatComplex x = make_cuFloatComplex(1, 2);
    const cuDoubleComplex z = make_cuDoubleComplex(0, 4);
    y[INDEX] = int(cuCimagf(cuCmulf(x, x))) + int(cuCabs(z)) - 1;
}

// feature: `<thrust/complex.h>` and `<cupy/complex.cuh>`: `complex<T>`
// expected: 4 + 5
#include <cupy/complex.cuh>
KERNEL {
    const complex<float> x(1, 2);
    const complex<double> z(3, 4);
    y[INDEX] = int((x * x).imag()) + int(abs(z));
}

// feature: `<cupy/carray.cuh>`: `CArray`
// refused: cupy/carray.cuh is one of CuPy's headers; install CuPy
// note: works where CuPy is installed, from its own folder
#include <cupy/carray.cuh>
KERNEL { y[INDEX] = 1; }

// feature: tensor cores: `<mma.h>`, `nvcuda::wmma`
// refused: the emulator does not support nvcuda::wmma
#include <mma.h>
KERNEL { y[INDEX] = 1; }

// feature: asynchronous copies: `<cuda_pipeline.h>`, `<cuda/pipeline>`
// refused: the emulator does not support CUDA's pipelines
#include <cuda_pipeline.h>
KERNEL { y[INDEX] = 1; }

// feature: `<cuda/barrier>`
// refused: the emulator does not support cuda::barrier; use __syncthreads() or __syncwarp()
#include <cuda/barrier>
KERNEL { y[INDEX] = 1; }

// feature: `<cuda/atomic>`
// refused: the emulator does not support cuda::atomic; use atomicAdd and the other atomic functions
#include <cuda/atomic>
KERNEL { y[INDEX] = 1; }

// feature: `<cub/cub.cuh>`
// refused: the emulator does not support CUB
#include <cub/cub.cuh>
KERNEL { y[INDEX] = 1; }

// feature: `<curand_kernel.h>`
// refused: the emulator does not support cuRAND
#include <curand_kernel.h>
KERNEL { y[INDEX] = 1; }

// feature: numbers of 8 bits, `<cuda_fp8.h>`
// refused: the emulator does not support 8-bit floating point numbers; use half or bfloat16
#include <cuda_fp8.h>
KERNEL { y[INDEX] = 1; }

// feature: `cp.async`, by the wrappers of gpucnn's `kernels/include/ptx/`
// options: -I{kernels}/include
// expected: i // 64 * 64 + 63 - i % 64
#include "ptx/async_copy.cuh"
KERNEL {
    __shared__ __align__(16) int row[64];
    y[INDEX] = INDEX;
    copy_async<4>(&row[threadIdx.x], y + INDEX);
    commit_copies();
    wait_for_copies<0>();
    __syncthreads();
    y[INDEX] = row[63 - threadIdx.x];
}

// feature: tensor cores, `mma.sync`, and `ldmatrix`, by these wrappers
// options: -I{kernels}/include
// expected: 8
#include "ptx/mma.cuh"
KERNEL {
    const unsigned one = float_to_tf32(1.0f);
    const unsigned a[4] = {one, one, one, one}, b[2] = {one, one};
    float d[4] = {0, 0, 0, 0};
    mma_m16n8k8_tf32(d, a, b);
    y[INDEX] = int(d[0]);
}
