// Cooperative groups, used as they should be; test_cooperative_groups.py knows what each kernel gives.
// CUDA's own headers compile this file, too.
#include <cooperative_groups.h>
#include <cooperative_groups/memcpy_async.h>
#include <cooperative_groups/reduce.h>
#include <cooperative_groups/scan.h>
namespace cg = cooperative_groups;

#define KERNEL extern "C" __global__ void

KERNEL places(const int* x, int* y) {
    const cg::thread_block block = cg::this_thread_block();
    const cg::grid_group grid = cg::this_grid();
    const auto tile = cg::tiled_partition<16>(block);
    const auto part = cg::tiled_partition<4>(tile);
    const cg::thread_block_tile<4> same = part;
    const cg::thread_group any_block = block, any_tile = tile;
    y += grid.thread_rank() * 32;
    const unsigned values[] = {
        block.thread_rank(), block.size(), block.num_threads(),
        block.group_index().x, block.group_index().y, block.group_index().z,
        block.thread_index().x, block.thread_index().y, block.thread_index().z,
        block.dim_threads().x, block.dim_threads().y, block.group_dim().z,
        (unsigned)grid.size(), (unsigned)grid.num_blocks(), (unsigned)grid.block_rank(),
        grid.group_dim().x, grid.dim_blocks().y, grid.block_index().y, grid.thread_index().x,
        tile.thread_rank(), tile.size(), tile.meta_group_rank(), tile.meta_group_size(),
        part.thread_rank(), same.num_threads(), same.meta_group_rank(), part.meta_group_size(),
        (unsigned)any_block.thread_rank(), (unsigned)any_block.size(),
        (unsigned)any_tile.thread_rank(), (unsigned)any_tile.size(),
        (unsigned)cg::group_size(cg::this_thread()) + cg::thread_rank(tile),
    };
    static_assert(sizeof values / sizeof *values == 32);
    for (unsigned value : values) {
        *y++ = value;
    }
}

template <unsigned Size>
__device__ void exchange(int x, int* y) {
    const auto tile = cg::tiled_partition<Size>(cg::this_thread_block());
    y[0] = tile.shfl(x, Size / 2);
    y[1] = tile.shfl_up(x, 1);
    y[2] = tile.shfl_down(x, 3);
    y[3] = tile.shfl_xor(x, Size - 1);
    y[4] = tile.any(x == 5);
    y[5] = tile.all(x < 8);
    y[6] = tile.ballot(x % 3 == 0);
    y[7] = tile.match_any(x);
    int all = -1;
    y[8] = tile.match_all(x / 8, all);
    y[9] = all;
    y[10] = cg::reduce(tile, x, cg::plus<int>());
    y[11] = cg::inclusive_scan(tile, x);
    y[12] = cg::exclusive_scan(tile, x, cg::plus<int>());
    y[13] = cg::exclusive_scan(tile, x, cg::greater<int>());
}

KERNEL exchanges(const int* x, int* y) {
    const unsigned i = cg::this_grid().thread_rank();
    y += i * 6 * 14;
    exchange<1>(x[i], y);
    exchange<2>(x[i], y + 14);
    exchange<4>(x[i], y + 28);
    exchange<8>(x[i], y + 42);
    exchange<16>(x[i], y + 56);
    exchange<32>(x[i], y + 70);
}

KERNEL reductions(const int* x, double* y) {
    const auto tile = cg::tiled_partition<16>(cg::this_thread_block());
    const unsigned i = cg::this_grid().thread_rank();
    const int own = x[i];
    const unsigned bits = own * 2654435761u;
    y += i * 12;
    y[0] = cg::reduce(tile, own, cg::less<int>());
    y[1] = cg::reduce(tile, own - 8, cg::greater<int>());
    y[2] = cg::reduce(tile, bits, cg::plus<unsigned>());
    y[3] = cg::reduce(tile, bits, cg::bit_and<unsigned>());
    y[4] = cg::reduce(tile, bits, cg::bit_or<unsigned>());
    y[5] = cg::reduce(tile, bits, cg::bit_xor<unsigned>());
    y[6] = cg::reduce(tile, (long long)own << 33, cg::plus<long long>());
    y[7] = cg::reduce(tile, 1.0f / (own + 1), cg::plus<float>());
    y[8] = cg::reduce(tile, 1.0 / (own + 1), cg::plus<double>());
    y[9] = cg::reduce(tile, 1.0f / (own + 1), cg::less<float>());
    y[10] = cg::reduce(tile, own % 7 + 1LL, [](long long a, long long b) { return a * b % 97; });
    y[11] = cg::inclusive_scan(tile, 1.0f / (own + 1), cg::plus<float>());
}

struct Extreme { float value; int index; };

KERNEL structures(const float* x, int* y) {
    const auto tile = cg::tiled_partition<8>(cg::this_thread_block());
    const unsigned i = cg::this_grid().thread_rank();
    const Extreme best = cg::reduce(
        tile, Extreme{x[i], (int)i}, [](const Extreme& a, const Extreme& b) {
            return a.value > b.value || (a.value == b.value && a.index < b.index) ? a : b;
        });
    y[2 * i] = best.index;
    y[2 * i + 1] = tile.shfl(best, 3).index;
}

// As in CUDA's own examples: a tree over any group, in shared memory.
__device__ float tree_sum(cg::thread_group g, float* scratch, float value) {
    const int rank = g.thread_rank();
    for (int i = g.size() / 2; i > 0; i /= 2) {
        scratch[rank] = value;
        g.sync();
        if (rank < i) {
            value += scratch[rank + i];
        }
        g.sync();
    }
    return value;
}

KERNEL trees(const float* x, float* y) {
    extern __shared__ float scratch[];
    const auto block = cg::this_thread_block();
    const unsigned i = cg::this_grid().thread_rank(), rank = block.thread_rank();
    const auto tile = cg::tiled_partition(block, 32);
    const auto part = cg::tiled_partition(tile, 4);
    const float sums[] = {tree_sum(block, scratch, x[i]),
                          tree_sum(tile, scratch + rank / 32 * 32, x[i]),
                          tree_sum(part, scratch + rank / 4 * 4, x[i]),
                          tree_sum(cg::tiled_partition<8>(block), scratch + rank / 8 * 8, x[i])};
    for (int k = 0; k < 4; ++k) {
        y[i * 4 + k] = sums[k];
    }
}

KERNEL block_sum(const float* x, float* y) {
    __shared__ float sums[32];
    cg::thread_block cta = cg::this_thread_block();
    cg::thread_block_tile<32> warp = cg::tiled_partition<32>(cta);
    float sum = x[blockIdx.x * blockDim.x + threadIdx.x];
    for (int offset = warp.size() / 2; offset > 0; offset >>= 1) {
        sum += warp.shfl_down(sum, offset);
    }
    if (warp.thread_rank() == 0) {
        sums[warp.meta_group_rank()] = sum;
    }
    cg::sync(cta);
    if (warp.meta_group_rank() == 0) {
        sum = warp.thread_rank() < warp.meta_group_size() ? sums[warp.thread_rank()] : 0.0f;
        sum = cg::reduce(warp, sum, cg::plus<float>());
        cg::invoke_one(warp, [&](float* to) { *to = sum; }, &y[blockIdx.x]);
    }
}

KERNEL counts(const int* x, int* y) {
    using namespace cooperative_groups;
    auto tile = tiled_partition<8>(this_thread_block());
    const int own = x[this_grid().thread_rank()];
    const unsigned votes = tile.ballot(own >= 4);
    if (tile.thread_rank() == 0) {
        atomicAdd(&y[0], __popc(votes));
    }
    auto pair = tiled_partition<2>(tile);
    int largest = own;
    largest = max(largest, pair.shfl_xor(largest, 1));
    if (pair.thread_rank() == 0) {
        atomicMax(&y[1], largest);
    }
}

KERNEL product(const float* a, const float* b, float* c, int n) {
    __shared__ float left[8][8], right[8][8];
    cg::thread_block block = cg::this_thread_block();
    const int row = blockIdx.y * 8 + threadIdx.y, column = blockIdx.x * 8 + threadIdx.x;
    float sum = 0.0f;
    for (int k = 0; k < n; k += 8) {
        left[threadIdx.y][threadIdx.x] = a[row * n + k + threadIdx.x];
        right[threadIdx.y][threadIdx.x] = b[(k + threadIdx.y) * n + column];
        block.sync();
        for (int i = 0; i < 8; ++i) {
            sum += left[threadIdx.y][i] * right[i][threadIdx.x];
        }
        auto token = block.barrier_arrive();
        block.barrier_wait(static_cast<cg::thread_block::arrival_token&&>(token));
    }
    c[row * n + column] = sum;
}

// Neighbours exchange by shared memory, in tiles and, after others have left, in the block.
KERNEL neighbours(const int* x, int* y) {
    __shared__ int slots[80];
    const auto block = cg::this_thread_block();
    const unsigned i = block.thread_rank();
    const auto tile = cg::tiled_partition<4>(block);
    const auto last = cg::tiled_partition(block, 32);
    slots[i] = x[i];
    tile.sync();
    y[i] = slots[i ^ 1] + 100 * last.size() + 10000 * last.thread_rank();
    block.sync();
    if (i >= 40) {
        return;
    }
    slots[i] = 2 * x[i];
    block.sync();
    y[i] += slots[39 - i];
}

// The block copies rows by turns into two buffers; the last row is read as bytes from an odd place.
KERNEL copies(const float* x, int rows, float* y) {
    __shared__ __align__(16) float stages[2][64];
    __shared__ char bytes[70];
    const auto block = cg::this_thread_block();
    const auto tile = cg::tiled_partition<32>(block);
    float sum = 0.0f;
    cg::memcpy_async(block, stages[0], x, sizeof stages[0]);
    for (int row = 0; row < rows; ++row) {
        if (row + 1 < rows) {
            cg::memcpy_async(block, stages[(row + 1) % 2], 64, x + (row + 1) * 64, 100);
            cg::wait_prior<1>(block);
        } else {
            cg::wait(block);
        }
        sum += stages[row % 2][63 - block.thread_rank()];
        block.sync();
    }
    const char* from = reinterpret_cast<const char*>(x) + 5;
    if (tile.meta_group_rank() == 1) {
        cg::memcpy_async(tile, bytes + 1, from, 67);
        cg::wait(tile);
        const int i = tile.thread_rank();
        y[64 + i] = bytes[1 + i] + 256 * bytes[1 + 66 - i];
    }
    y[block.thread_rank()] = sum;
}

__device__ int next_place(int* count) {
    const auto group = cg::coalesced_threads();
    int first = 0;
    if (group.thread_rank() == 0) {
        first = atomicAdd(count, group.size());
    }
    return group.shfl(first, 0) + group.thread_rank();
}

// Keeps the positive numbers, in any order: y[0] is how many.
KERNEL filter(const int* x, int* y, int n) {
    const int i = cg::this_grid().thread_rank();
    if (i < n && x[i] > 0) {
        y[1 + next_place(y)] = x[i];
    }
}

// What the third lanes of a warp find together, though some take longer to come.
KERNEL thirds(const int* x, int* y) {
    const auto block = cg::this_thread_block();
    const int i = block.thread_rank();
    if (i % 3 == 0) {
        cg::tiled_partition<1>(block).sync();
        const cg::coalesced_group group = cg::coalesced_threads();
        const auto part = cg::tiled_partition(group, 4);
        group.sync();
        y += 8 * i;
        y[0] = group.thread_rank();
        y[1] = group.size();
        y[2] = cg::reduce(group, x[i], cg::plus<int>());
        y[3] = group.ballot(x[i] > 0);
        y[4] = cg::exclusive_scan(group, x[i]);
        y[5] = part.size() + 10 * part.meta_group_rank() + 100 * part.meta_group_size();
        y[6] = group.shfl_down(x[i], 2);
        y[7] = cg::reduce(part, x[i], cg::greater<int>());
    }
}

KERNEL labels(const int* x, int* y) {
    const auto tile = cg::tiled_partition<16>(cg::this_thread_block());
    const int i = cg::this_thread_block().thread_rank();
    const auto same = cg::labeled_partition(tile, x[i]);
    const auto half = cg::binary_partition(tile, x[i] > 2);
    y += 8 * i;
    y[0] = same.thread_rank();
    y[1] = same.size();
    y[2] = same.meta_group_rank();
    y[3] = same.meta_group_size();
    y[4] = cg::reduce(same, i, cg::plus<int>());
    y[5] = half.size();
    y[6] = half.meta_group_rank() + 10 * half.meta_group_size();
    y[7] = half.shfl(i, half.size() - 1);
}
