// Cooperative groups

// feature: `this_thread_block`: `sync`, `thread_rank`, `size`, `group_index`
// expected: 63 - i % 64 + 64
#include <cooperative_groups.h>
KERNEL {
    namespace cg = cooperative_groups;
    auto block = cg::this_thread_block();
    __shared__ int row[64];
    row[block.thread_rank()] = block.thread_rank();
    block.sync();
    y[INDEX] = row[63 - block.thread_rank()] + block.size();
}

// feature: `tiled_partition`: `shfl`, `any`, `ballot`, `sync`, `meta_group_rank`
// expected: i // 8 * 8 + 3 + 8 + i % 64 // 8
#include <cooperative_groups.h>
KERNEL {
    auto tile = cooperative_groups::tiled_partition<8>(cooperative_groups::this_thread_block());
    tile.sync();
    y[INDEX] = tile.shfl(int(INDEX), 3) + __popc(tile.ballot(1)) + tile.meta_group_rank();
}

// feature: `reduce`, `plus`, `greater` of tiles
// expected: 28 + 7
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
KERNEL {
    namespace cg = cooperative_groups;
    auto tile = cg::tiled_partition<8>(cg::this_thread_block());
    const int rank = tile.thread_rank();
    y[INDEX] = cg::reduce(tile, rank, cg::plus<int>()) + cg::reduce(tile, rank, cg::greater<int>());
}

// feature: `inclusive_scan`, `exclusive_scan` of tiles
// expected: i % 8 + 1 + i % 8
#include <cooperative_groups.h>
#include <cooperative_groups/scan.h>
KERNEL {
    namespace cg = cooperative_groups;
    auto tile = cg::tiled_partition<8>(cg::this_thread_block());
    y[INDEX] = cg::inclusive_scan(tile, 1) + cg::exclusive_scan(tile, 1);
}

// feature: `this_grid`: `thread_rank`, `size`
// expected: i + 128
#include <cooperative_groups.h>
KERNEL {
    auto grid = cooperative_groups::this_grid();
    y[INDEX] = grid.thread_rank() + grid.size();
}

// feature: … `sync` of a grid
// refused: grid_group::sync(): all blocks would have to run at once
#include <cooperative_groups.h>
KERNEL {
    cooperative_groups::this_grid().sync();
    y[INDEX] = 1;
}

// feature: `coalesced_threads`
// expected: 16 if i % 2 else 0
// note: all lanes that can come to the call
#include <cooperative_groups.h>
KERNEL {
    y[INDEX] = 0;
    if (INDEX % 2) {
        y[INDEX] = cooperative_groups::coalesced_threads().size();
    }
}

// feature: `binary_partition`, `labeled_partition` of tiles
// expected: 8 + 32 // 4
#include <cooperative_groups.h>
KERNEL {
    namespace cg = cooperative_groups;
    auto warp = cg::tiled_partition<32>(cg::this_thread_block());
    y[INDEX] = cg::labeled_partition(warp, int(INDEX % 4)).size() +
               cg::binary_partition(warp, INDEX % 4 == 0).size() % 24;
    if (INDEX % 4) y[INDEX] += 8;
}

// feature: `memcpy_async`, `wait`
// expected: i // 64 * 64 + 63 - i % 64
#include <cooperative_groups.h>
#include <cooperative_groups/memcpy_async.h>
KERNEL {
    namespace cg = cooperative_groups;
    auto block = cg::this_thread_block();
    __shared__ int row[64];
    y[INDEX] = INDEX;
    block.sync();
    cg::memcpy_async(block, row, y + blockIdx.x * 64, sizeof(row));
    cg::wait(block);
    y[INDEX] = row[63 - threadIdx.x];
}

// feature: clusters, `this_cluster`
// refused: this_cluster(): the emulator has no clusters of blocks
#include <cooperative_groups.h>
KERNEL { y[INDEX] = cooperative_groups::this_cluster().block_rank(); }
