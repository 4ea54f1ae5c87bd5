// The matrix product:
//
//     c[m,n] = Σ_k op(a)[m,k] · op(b)[k,n] + bias[n]    then max(…, 0) where RELU
//
// where op transposes if TRANSPOSE_A or TRANSPOSE_B says so: a is (M, K) or (K, M), b (K, N) or
// (N, K), c (M, N), the bias (N).
//
// A block computes BLOCK_M rows × BLOCK_N columns (gemm_tile.cuh); along the grid's x, tiles of
// columns are the inner axis. The sum over k may be cut into shards of `shard_terms` (shards.cuh)
// along y, if k is a batch's samples, and into slices of `slice_terms`, a multiple of BLOCK_K, along
// z: then each slice's sums go to partial[shard, slice], of c's shape, and sum_slices.cu does the
// rest.
//
// Constants: N, A_COLUMNS, TRANSPOSE_A, TRANSPOSE_B, HAS_BIAS, RELU; BLOCK_M, BLOCK_N, BLOCK_K,
// THREAD_M, THREAD_N, UNROLLED_K, RESIDENT_BLOCKS (gemm_tile.cuh). The columns of a are k, or m if
// a is transposed. Its rows, the other of the two, are a batch's samples in the products of a
// layer: their number is a run-time argument.

#include "epilogue.cuh"
#include "gemm_tile.cuh"
#include "ptx/store.cuh"
#include "shards.cuh"

// How many neighbours of a row of a, b and c are moved as one. The rows of b are as long as a batch
// if both are transposed.
constexpr bool BATCH_LONG_B = TRANSPOSE_A && TRANSPOSE_B;
constexpr int VECTOR_A = A_COLUMNS % 4 == 0 ? 4 : 1;
constexpr int VECTOR_B = !BATCH_LONG_B && (TRANSPOSE_B ? A_COLUMNS : N) % 4 == 0 ? 4 : 1;
constexpr int VECTOR_C = N % 4 == 0 ? 4 : 1;
constexpr int COLUMN_TILES = (N + BLOCK_N - 1) / BLOCK_N;

using Tile = GemmTile<BLOCK_M, BLOCK_N, BLOCK_K, THREAD_M, THREAD_N, UNROLLED_K>;

// A thread's share in reading an operand: along k, or along its rows if those are memory's inner
// axis.
template <bool ROWS_INSIDE, int SIZE, int VECTOR>
struct OperandOf {
    using Type = Tile::AlongK<SIZE, VECTOR>;
};
template <int SIZE, int VECTOR>
struct OperandOf<true, SIZE, VECTOR> {
    using Type = Tile::AlongRows<SIZE, VECTOR>;
};

template <bool ROWS_INSIDE, int SIZE, int VECTOR>
struct Reader {
    using Operand = typename OperandOf<ROWS_INSIDE, SIZE, VECTOR>::Type;

    const float* row[Operand::ROWS];
    long long k_stride;
    int last_k;

    // Zeros from last_k on. Rows of the tile beyond the last read that again, and are not written.
    __device__ __forceinline__ Reader(
        const float* matrix, int first_row, int rows, int K, int last_k)
        : k_stride(ROWS_INSIDE ? rows : 1), last_k(last_k) {
        for (int i = 0; i < Operand::ROWS; ++i) {
            const int last = rows - (ROWS_INSIDE ? VECTOR : 1);
            const long long number = min(first_row + Operand::row(i), last);
            row[i] = matrix + number * (ROWS_INSIDE ? 1 : K);
        }
    }

    // The values of row i from k on, or at k those of rows from i on.
    __device__ __forceinline__ Vector<float, VECTOR> operator()(int i, int first, int depth) const {
        const int k = first + depth;
        return load_if<VECTOR>(k < last_k, row[i] + k * k_stride);
    }
};

using ReaderA = Reader<TRANSPOSE_A, BLOCK_M, VECTOR_A>;
using ReaderB = Reader<!TRANSPOSE_B, BLOCK_N, VECTOR_B>;

__global__ void __launch_bounds__(Tile::THREADS, RESIDENT_BLOCKS) matmul(
    const float* a, const float* b, const float* bias, float* c, float* partial, int a_rows,
    int shard_terms, int slice_terms) {
    __shared__ Tile::Memory memory;
    const int M = TRANSPOSE_A ? A_COLUMNS : a_rows;
    const int K = TRANSPOSE_A ? a_rows : A_COLUMNS;
    const int first_row = static_cast<int>(blockIdx.x / COLUMN_TILES) * BLOCK_M;
    const int first_column = static_cast<int>(blockIdx.x % COLUMN_TILES) * BLOCK_N;

    Tile::Sums sums;
    sums.clear();
    const Terms slice = terms_of_slice(blockIdx.y, shard_terms, blockIdx.z, slice_terms, K);
    const int first = static_cast<int>(slice.first), last = static_cast<int>(slice.last);
    Tile::multiply<ReaderA::Operand, ReaderB::Operand>(
        memory, first, last, ReaderA(a, first_row, M, K, last),
        ReaderB(b, first_column, N, K, last), sums);

    const Epilogue<HAS_BIAS, false, RELU> epilogue{bias, nullptr};
    const bool sliced = gridDim.y * gridDim.z > 1;
    const long long slices_before = blockIdx.y * gridDim.z + blockIdx.z;
    float* result = sliced ? partial + slices_before * M * N : c;
    const int rows = M - first_row, columns = N - first_column;
    const auto place = [&](int row) {
        return static_cast<long long>(first_row + row) * N + first_column;
    };
    if (!sliced) {
        epilogue.finish<VECTOR_C>(sums, rows, columns, first_column, place);
    }
    sums.write<VECTOR_C>(
        rows, columns, [&](int row, int column, const Vector<float, VECTOR_C>& values) {
            store_global(result + (place(row) + column), values);
        });
}
