// A tile of a matrix product in FP32, sum[m,n] = Σ_k a[m,k] · b[k,n], by one block of threads.
//
// The block goes along k in steps of BLOCK_K. The two operands' parts of a step lie in shared
// memory with k as the outer axis. There are two buffers: while the threads multiply one step, the
// values of the next travel from global memory to registers, and then go into the other buffer, so
// there is one barrier a step.
//
// A thread has THREAD_M × THREAD_N of the sums in registers, as quads of 4×4, so that a few reads
// of 16 bytes serve many multiply-adds. The lanes of a warp are LANES_M × LANES_N; their quads are
// neighbours, so a warp's reads of shared memory are free of bank conflicts, and it writes results
// in runs of 16·LANES_N bytes. Lanes 4i … 4i + 3 are 2×2 of them: of a read of 16 bytes a lane,
// half is enough for a warp where lanes next to each other, or next but one, read the same.
//
// How an operand is found in global memory is the kernel's own business: it gives a function that
// reads VECTOR neighbouring values. That gets the step's beginning, equal for all threads, and the
// depth within the step, apart: what depends on the beginning alone is then computed once a warp,
// on the uniform units, and not on those that are busy.
//
// Of a step, UNROLLED_K iterations are unrolled. RESIDENT_BLOCKS, the kernel's launch bound, is how
// many blocks are to share a multiprocessor. The plan chooses both so that registers suffice.
#pragma once

#include "vector.cuh"

template <int BLOCK_M, int BLOCK_N, int BLOCK_K, int THREAD_M, int THREAD_N, int UNROLLED_K>
struct GemmTile {
    static constexpr int QUAD = 4;
    static constexpr int LANES = 32;
    static constexpr int THREADS = BLOCK_M / THREAD_M * (BLOCK_N / THREAD_N);
    static constexpr int LANES_N = BLOCK_N / THREAD_N < 8 ? BLOCK_N / THREAD_N : 8;
    static constexpr int LANES_M = LANES / LANES_N;
    static constexpr int WARPS_N = BLOCK_N / (LANES_N * THREAD_N);

    static_assert(LANES_M % 2 == 0 && LANES_N % 2 == 0, "lanes lie as 2×2");
    static_assert(THREAD_M % QUAD == 0 && THREAD_N % QUAD == 0, "sums are kept as quads");
    static_assert(BLOCK_M % (LANES_M * THREAD_M) == 0, "whole warps along m");
    static_assert(BLOCK_N % (LANES_N * THREAD_N) == 0, "whole warps along n");

    // One operand's part of a step, SIZE being BLOCK_M or BLOCK_N. The padding keeps quads aligned
    // and puts every fourth k on other banks.
    template <int SIZE>
    using Operand = float[BLOCK_K][SIZE + QUAD];

    struct Memory {
        alignas(16) Operand<BLOCK_M> a[2];
        alignas(16) Operand<BLOCK_N> b[2];
    };

    // A thread's share in reading an operand whose memory runs along k, and what it has read.
    //
    // Eight values along k are OCTET threads; the other lanes of the warp are further rows. Values
    // are transposed on their way to shared memory: a warp then writes to 32 different banks.
    template <int SIZE, int VECTOR>
    struct AlongK {
        static constexpr int OCTET = 8 / VECTOR;
        static constexpr int ROWS_AT_ONCE = THREADS / OCTET < SIZE ? THREADS / OCTET : SIZE;
        static constexpr int DEPTH_AT_ONCE = 8 * (THREADS / (OCTET * ROWS_AT_ONCE));
        static constexpr int ROWS = SIZE / ROWS_AT_ONCE;
        static constexpr int STEPS = BLOCK_K / DEPTH_AT_ONCE;
        static_assert(ROWS * STEPS * VECTOR * THREADS == SIZE * BLOCK_K, "equal shares");

        Vector<float, VECTOR> values[ROWS][STEPS];

        // The i-th of this thread's rows.
        __device__ __forceinline__ static int row(int i) {
            return threadIdx.x / OCTET % ROWS_AT_ONCE + i * ROWS_AT_ONCE;
        }

        // Where along k this thread's j-th vector of a row begins.
        __device__ __forceinline__ static int depth(int j) {
            const int octet = threadIdx.x / (OCTET * ROWS_AT_ONCE);
            return threadIdx.x % OCTET * VECTOR + octet * 8 + j * DEPTH_AT_ONCE;
        }

        __device__ __forceinline__ void write(Operand<SIZE>& operand) const {
#pragma unroll
            for (int j = 0; j < STEPS; ++j) {
#pragma unroll
                for (int i = 0; i < ROWS; ++i) {
#pragma unroll
                    for (int e = 0; e < VECTOR; ++e) {
                        operand[depth(j) + e][row(i)] = values[i][j].of[e];
                    }
                }
            }
        }
    };

    // The same for an operand whose memory runs along its rows (m or n): nothing is transposed.
    template <int SIZE, int VECTOR>
    struct AlongRows {
        static constexpr int RUN = THREADS < SIZE / VECTOR ? THREADS : SIZE / VECTOR;
        static constexpr int DEPTH_AT_ONCE = THREADS / RUN;
        static constexpr int ROWS = SIZE / (VECTOR * RUN);
        static constexpr int STEPS = BLOCK_K / DEPTH_AT_ONCE;
        static_assert(ROWS * STEPS * VECTOR * THREADS == SIZE * BLOCK_K, "equal shares");

        Vector<float, VECTOR> values[ROWS][STEPS];

        // The first row of this thread's i-th vector.
        __device__ __forceinline__ static int row(int i) {
            return (threadIdx.x % RUN + i * RUN) * VECTOR;
        }

        // Where along k the j-th vectors are.
        __device__ __forceinline__ static int depth(int j) {
            return threadIdx.x / RUN + j * DEPTH_AT_ONCE;
        }

        __device__ __forceinline__ void write(Operand<SIZE>& operand) const {
#pragma unroll
            for (int j = 0; j < STEPS; ++j) {
#pragma unroll
                for (int i = 0; i < ROWS; ++i) {
                    store_vector(&operand[depth(j)][row(i)], values[i][j]);
                }
            }
        }
    };

    // Reads a step's part of an operand. Of AlongK, read_vector(i, first_k, depth) gives the values
    // of row(i) from k = first_k + depth on; of AlongRows, those at that k from row(i) on.
    template <typename Share, typename ReadVector>
    __device__ __forceinline__ static void read(
        Share& share, int first_k, const ReadVector& read_vector) {
#pragma unroll
        for (int j = 0; j < Share::STEPS; ++j) {
#pragma unroll
            for (int i = 0; i < Share::ROWS; ++i) {
                share.values[i][j] = read_vector(i, first_k, Share::depth(j));
            }
        }
    }

    // A thread's part of the sums.
    struct Sums {
        float value[THREAD_M][THREAD_N];

        // The row of the tile that value[i] belongs to.
        __device__ __forceinline__ static int row(int i) {
            const int warp = threadIdx.x / LANES / WARPS_N;
            const int lane = threadIdx.x % 2 + threadIdx.x % LANES / (2 * LANES_N) * 2;
            return warp * (LANES_M * THREAD_M) + (i / QUAD * LANES_M + lane) * QUAD + i % QUAD;
        }

        // The column of the tile that value[…][j] belongs to.
        __device__ __forceinline__ static int column(int j) {
            const int warp = threadIdx.x / LANES % WARPS_N;
            const int lane = threadIdx.x / 2 % LANES_N;
            return warp * (LANES_N * THREAD_N) + (j / QUAD * LANES_N + lane) * QUAD + j % QUAD;
        }

        __device__ __forceinline__ void clear() {
#pragma unroll
            for (int i = 0; i < THREAD_M; ++i) {
#pragma unroll
                for (int j = 0; j < THREAD_N; ++j) {
                    value[i][j] = 0.0f;
                }
            }
        }

        // Adds the products of one step.
        __device__ __forceinline__ void add(
            const Operand<BLOCK_M>& a, const Operand<BLOCK_N>& b) {
#pragma unroll UNROLLED_K
            for (int k = 0; k < BLOCK_K; ++k) {
                Vector<float, QUAD> left[THREAD_M / QUAD], right[THREAD_N / QUAD];
#pragma unroll
                for (int i = 0; i < THREAD_M; i += QUAD) {
                    left[i / QUAD] = load_vector<QUAD>(&a[k][row(i)]);
                }
#pragma unroll
                for (int j = 0; j < THREAD_N; j += QUAD) {
                    right[j / QUAD] = load_vector<QUAD>(&b[k][column(j)]);
                }
#pragma unroll
                for (int i = 0; i < THREAD_M; ++i) {
#pragma unroll
                    for (int j = 0; j < THREAD_N; ++j) {
                        value[i][j] += left[i / QUAD].of[i % QUAD] * right[j / QUAD].of[j % QUAD];
                    }
                }
            }
        }

        // Adds read_vector(column) to every row of the tile's first `columns` columns, a multiple
        // of VECTOR.
        template <int VECTOR, typename ReadVector>
        __device__ __forceinline__ void add_to_rows(int columns, const ReadVector& read_vector) {
#pragma unroll
            for (int j = 0; j < THREAD_N; j += VECTOR) {
                if (column(j) < columns) {
                    const Vector<float, VECTOR> values = read_vector(column(j));
#pragma unroll
                    for (int i = 0; i < THREAD_M; ++i) {
#pragma unroll
                        for (int e = 0; e < VECTOR; ++e) {
                            value[i][j + e] += values.of[e];
                        }
                    }
                }
            }
        }

        // Adds read_vector(row, column) to the tile's first `rows` rows and `columns` columns.
        template <int VECTOR, typename ReadVector>
        __device__ __forceinline__ void add_to_all(
            int rows, int columns, const ReadVector& read_vector) {
#pragma unroll
            for (int i = 0; i < THREAD_M; ++i) {
#pragma unroll
                for (int j = 0; j < THREAD_N; j += VECTOR) {
                    if (row(i) < rows && column(j) < columns) {
                        const Vector<float, VECTOR> values = read_vector(row(i), column(j));
#pragma unroll
                        for (int e = 0; e < VECTOR; ++e) {
                            value[i][j + e] += values.of[e];
                        }
                    }
                }
            }
        }

        // max(…, 0) of all; NaN stays NaN.
        __device__ __forceinline__ void rectify() {
#pragma unroll
            for (int i = 0; i < THREAD_M; ++i) {
#pragma unroll
                for (int j = 0; j < THREAD_N; ++j) {
                    value[i][j] = value[i][j] < 0.0f ? 0.0f : value[i][j];
                }
            }
        }

        // Calls write_vector(row, column, values) for this thread's part of the tile's first
        // `rows` rows and `columns` columns, a multiple of VECTOR.
        template <int VECTOR, typename WriteVector>
        __device__ __forceinline__ void write(
            long long rows, int columns, const WriteVector& write_vector) const {
#pragma unroll
            for (int i = 0; i < THREAD_M; ++i) {
#pragma unroll
                for (int j = 0; j < THREAD_N; j += VECTOR) {
                    if (row(i) < rows && column(j) < columns) {
                        Vector<float, VECTOR> values;
#pragma unroll
                        for (int e = 0; e < VECTOR; ++e) {
                            values.of[e] = value[i][j + e];
                        }
                        write_vector(row(i), column(j), values);
                    }
                }
            }
        }
    };

    // The sums over k from first_k to last_k, which is beyond it. All threads of the block must
    // call. A and B are AlongK or AlongRows; read_a and read_b are what `read` takes, and
    // give zeros from last_k on.
    template <typename A, typename B, typename ReadA, typename ReadB>
    __device__ __forceinline__ static void multiply(
        Memory& memory, int first_k, int last_k, const ReadA& read_a, const ReadB& read_b,
        Sums& sums) {
        A a;
        B b;
        read(a, first_k, read_a);
        read(b, first_k, read_b);
        a.write(memory.a[0]);
        b.write(memory.b[0]);
        __syncthreads();
        int buffer = 0;
        for (int k = first_k; k < last_k; k += BLOCK_K) {
            const bool more = k + BLOCK_K < last_k;
            if (more) {
                read(a, k + BLOCK_K, read_a);
                read(b, k + BLOCK_K, read_b);
            }
            sums.add(memory.a[buffer], memory.b[buffer]);
            if (more) {
                buffer = 1 - buffer;
                a.write(memory.a[buffer]);
                b.write(memory.b[buffer]);
                __syncthreads();
            }
        }
    }
};
