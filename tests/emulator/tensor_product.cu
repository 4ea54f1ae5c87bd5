// C (M, N) = A (M, K) · B (N, K)ᵀ in FP32 on tensor cores, K a multiple of 4: what fast kernels of
// matrix products consist of, together, so that it can be run without a GPU.
//
// A block computes a tile of 64×64, in steps of 32 along K. Asynchronous copies of 16 bytes bring the
// tiles of A and B for a step to shared memory, in a ring of three stages; zeros take the place of what
// lies outside of the matrices. A row of a tile is 32 floats, in eight chunks of 16 bytes. Chunk c of
// row r lies in place c ^ (r % 8), so that the eight rows which a part of ldmatrix reads lie in
// different banks. Each of four warps computes 32×32 with mma.m16n8k8.
//
// PRECISION 1 rounds operands to TF32. PRECISION 3 splits each into two numbers in TF32, and adds up
// three of the four products; since tensor cores cut sums off, those of a step begin at zero and are
// added to the total in FP32.
#include "ptx/async_copy.cuh"
#include "ptx/ldmatrix.cuh"
#include "ptx/mma.cuh"

constexpr int TILE = 64, DEPTH = 32, STAGES = 3, THREADS = 128, WARP_TILE = 32;
constexpr int CHUNK = 4, CHUNKS = DEPTH / CHUNK;

struct Stage {
    float a[TILE][DEPTH], b[TILE][DEPTH];
};

__device__ __forceinline__ int place(int row, int chunk) { return (chunk ^ row % 8) * CHUNK; }

// Begins the copies of a tile of `rows` rows of `k` floats, from `first_row` and `first_k`.
__device__ __forceinline__ void copy_tile(
    float (&to)[TILE][DEPTH], const float* from, int rows, int k, int first_row, int first_k) {
    for (int i = threadIdx.x; i < TILE * CHUNKS; i += THREADS) {
        const int row = i / CHUNKS, chunk = i % CHUNKS;
        const int at_row = first_row + row, at_k = first_k + chunk * CHUNK;
        const bool is_inside = at_row < rows && at_k < k;
        const float* source = is_inside ? from + (long long)at_row * k + at_k : from;
        copy_async<16>(&to[row][place(row, chunk)], source, is_inside ? 16 : 0);
    }
}

// x = big + small, both in TF32, but for the last bits of x. An infinity has no rest, and takes part in
// the product of the big parts alone: multiplied by another number's rest, which may be zero, it would
// be NaN.
struct Split {
    unsigned big, finite, small;
};

__device__ __forceinline__ Split split(unsigned x) {
    const float value = __uint_as_float(x);
    const unsigned big = float_to_tf32(value);
    const unsigned small = float_to_tf32(value - __uint_as_float(big));
    return isinf(value) ? Split{big, 0, 0} : Split{big, big, small};
}

struct Operands {
    unsigned a[2][4], b[4][2];
};

// What a warp needs of a stage for eight of its terms, from chunk `chunk`.
__device__ __forceinline__ Operands load_operands(
    const Stage& stage, int first_row, int first_column, int chunk) {
    const int lane = threadIdx.x % 32;
    Operands x;
    for (int m = 0; m < 2; ++m) {
        const int row = first_row + 16 * m + lane % 16;
        load_matrix(x.a[m], &stage.a[row][place(row, chunk + lane / 16)]);
    }
    for (int n = 0; n < 4; n += 2) {
        const int row = first_column + 8 * n + lane / 16 * 8 + lane % 8;
        unsigned both[4];
        load_matrix(both, &stage.b[row][place(row, chunk + lane / 8 % 2)]);
        for (int i = 0; i < 2; ++i) {
            x.b[n][i] = both[i];
            x.b[n + 1][i] = both[2 + i];
        }
    }
    return x;
}

template <int COUNT, int REGISTERS>
struct Parts {
    unsigned big[COUNT][REGISTERS], finite[COUNT][REGISTERS], small[COUNT][REGISTERS];

    __device__ __forceinline__ explicit Parts(const unsigned (&x)[COUNT][REGISTERS]) {
        for (int i = 0; i < COUNT; ++i) {
            for (int j = 0; j < REGISTERS; ++j) {
                const Split of_one = split(x[i][j]);
                big[i][j] = of_one.big;
                finite[i][j] = of_one.finite;
                small[i][j] = of_one.small;
            }
        }
    }
};

__device__ __forceinline__ void multiply(
    float (&sums)[2][4][4], const unsigned (&a)[2][4], const unsigned (&b)[4][2]) {
    for (int m = 0; m < 2; ++m) {
        for (int n = 0; n < 4; ++n) {
            mma_m16n8k8_tf32(sums[m][n], a[m], b[n]);
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS)
    product(const float* a, const float* b, float* c, int M, int N, int K) {
    __shared__ __align__(128) Stage ring[STAGES];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int first_row = warp / 2 * WARP_TILE, first_column = warp % 2 * WARP_TILE;
    const int steps = (K + DEPTH - 1) / DEPTH;
    const auto copy_step = [&](int step) {
        if (step < steps) {
            Stage& stage = ring[step % STAGES];
            copy_tile(stage.a, a, M, K, blockIdx.y * TILE, step * DEPTH);
            copy_tile(stage.b, b, N, K, blockIdx.x * TILE, step * DEPTH);
        }
        commit_copies();
    };
    for (int step = 0; step < STAGES - 1; ++step) {
        copy_step(step);
    }
    float total[2][4][4] = {};
    for (int step = 0; step < steps; ++step) {
        wait_for_copies<STAGES - 2>();
        __syncthreads();  // all have copied their part, and nobody reads the stage before
        copy_step(step + STAGES - 1);
        float sums[2][4][4] = {};
        for (int chunk = 0; chunk < CHUNKS; chunk += 2) {
            const Operands x = load_operands(ring[step % STAGES], first_row, first_column, chunk);
            const Parts<2, 4> a_parts(x.a);
            const Parts<4, 2> b_parts(x.b);
            if (PRECISION == 3) {
                multiply(sums, a_parts.small, b_parts.finite);
                multiply(sums, a_parts.finite, b_parts.small);
            }
            multiply(PRECISION == 3 ? sums : total, a_parts.big, b_parts.big);
        }
        for (int i = 0; PRECISION == 3 && i < 32; ++i) {
            (&total[0][0][0])[i] += (&sums[0][0][0])[i];
        }
    }
    for (int i = 0; i < 32; ++i) {
        const int m = i / 16, n = i / 4 % 4, r = i % 4;
        const int row = blockIdx.y * TILE + first_row + 16 * m + lane / 4 + r / 2 * 8;
        const int column = blockIdx.x * TILE + first_column + 8 * n + lane % 4 * 2 + r % 2;
        if (row < M && column < N) {
            c[(long long)row * N + column] = total[m][n][r];
        }
    }
}
