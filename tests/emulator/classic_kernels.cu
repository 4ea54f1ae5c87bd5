// Kernels as a textbook has them, the way people hand them to CuPy.
#include <cuda_fp16.h>

// y[block] = the sum of the block's share of x: by steps of the grid, then in each warp by shuffles,
// then over the warps in shared memory.
extern "C" __global__ void sum(const float* x, float* y, int n) {
    __shared__ float of_warp[32];
    float own = 0.0f;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        own += x[i];
    }
    for (int offset = 16; offset > 0; offset /= 2) {
        own += __shfl_down_sync(0xffffffff, own, offset);
    }
    if (threadIdx.x % 32 == 0) {
        of_warp[threadIdx.x / 32] = own;
    }
    __syncthreads();  // of_warp is written
    if (threadIdx.x == 0) {
        float total = 0.0f;
        for (int warp = 0; warp < blockDim.x / 32; ++warp) {
            total += of_warp[warp];
        }
        y[blockIdx.x] = total;
    }
}

// The largest of x, by halving in dynamic shared memory: one float a thread.
extern "C" __global__ void largest(const float* x, float* y, int n) {
    extern __shared__ float values[];
    const unsigned t = threadIdx.x;
    values[t] = t < n ? x[t] : -1.0f / 0.0f;
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
        __syncthreads();
        if (t < half) {
            values[t] = fmaxf(values[t], values[t + half]);
        }
    }
    if (t == 0) {
        y[0] = values[0];
    }
}

// C = A B by tiles of 16 by 16 in shared memory; A is m by k, B k by n.
#define TILE 16
extern "C" __global__ void multiply(const float* A, const float* B, float* C, int m, int n, int k) {
    __shared__ float a[TILE][TILE], b[TILE][TILE];
    const int row = blockIdx.y * TILE + threadIdx.y, column = blockIdx.x * TILE + threadIdx.x;
    float sum = 0.0f;
    for (int begin = 0; begin < k; begin += TILE) {
        const int a_column = begin + threadIdx.x, b_row = begin + threadIdx.y;
        a[threadIdx.y][threadIdx.x] = row < m && a_column < k ? A[row * k + a_column] : 0.0f;
        b[threadIdx.y][threadIdx.x] = b_row < k && column < n ? B[b_row * n + column] : 0.0f;
        __syncthreads();  // the tiles are written
        for (int i = 0; i < TILE; ++i) {
            sum += a[threadIdx.y][i] * b[i][threadIdx.x];
        }
        __syncthreads();  // the tiles are read
    }
    if (row < m && column < n) {
        C[row * n + column] = sum;
    }
}

// y = a x + y, by steps of the grid.
extern "C" __global__ void saxpy(float a, const float* __restrict__ x, float* __restrict__ y, int n) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += blockDim.x * gridDim.x) {
        y[i] = a * x[i] + y[i];
    }
}

// y = x * x; the last block has more threads than there are elements.
extern "C" __global__ void square(const float* x, float* y, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    y[i] = x[i] * x[i];
}

// Counts bytes: first in shared memory, then in the sums of all blocks.
extern "C" __global__ void histogram(const unsigned char* x, unsigned int* counts, int n) {
    __shared__ unsigned int own[256];
    for (int bin = threadIdx.x; bin < 256; bin += blockDim.x) {
        own[bin] = 0;
    }
    __syncthreads();
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        atomicAdd(&own[x[i]], 1u);
    }
    __syncthreads();
    for (int bin = threadIdx.x; bin < 256; bin += blockDim.x) {
        atomicAdd(&counts[bin], own[bin]);
    }
}

// y[i] = sum over j of taps[j] x[i + j].
__constant__ float taps[5] = {0.0625f, 0.25f, 0.375f, 0.25f, 0.0625f};
extern "C" __global__ void smooth(const float* x, float* y, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) {
        float sum = 0.0f;
        for (int j = 0; j < 5; ++j) {
            sum += taps[j] * x[i + j];
        }
        y[i] = sum;
    }
}

// z = x y + z in half precision, two at a time.
extern "C" __global__ void multiply_add_half(const __half* x, const __half* y, __half* z, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n / 2) {
        const __half2 a = reinterpret_cast<const __half2*>(x)[i];
        const __half2 b = reinterpret_cast<const __half2*>(y)[i];
        __half2* c = reinterpret_cast<__half2*>(z) + i;
        *c = __hfma2(a, b, *c);
    }
}

// y[i] = x[i] to a power that is known when the kernel is compiled.
template <typename T, int exponent>
__global__ void power(const T* x, T* y, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) {
        T product = 1;
        for (int k = 0; k < exponent; ++k) {
            product *= x[i];
        }
        y[i] = product;
    }
}

// y = the polynomial whose coefficients the host has set, by Horner's rule.
__constant__ float coefficients[3];
extern "C" __global__ void polynomial(const float* x, float* y, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) {
        y[i] = (coefficients[2] * x[i] + coefficients[1]) * x[i] + coefficients[0];
    }
}

// y = x within the bounds of a structure that is passed by value.
struct Bounds {
    double low, high;
    int n;
};
extern "C" __global__ void clamp(const double* x, double* y, const Bounds bounds) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < bounds.n) {
        y[i] = min(max(x[i], bounds.low), bounds.high);
    }
}
