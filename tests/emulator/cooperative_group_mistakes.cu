// A mistake in each kernel, in the lines that end with the kernel's name.
#include <cooperative_groups.h>
#include <cooperative_groups/memcpy_async.h>
#include <cooperative_groups/reduce.h>
#include <cooperative_groups/scan.h>
namespace cg = cooperative_groups;

#define KERNEL extern "C" __global__ void

KERNEL lacks_a_tile_barrier(int* y) {
    __shared__ int slots[64];
    const auto tile = cg::tiled_partition<4>(cg::this_thread_block());
    slots[threadIdx.x] = 1;  // lacks_a_tile_barrier
    tile.shfl(1, 0);  // Orders nothing.
    y[threadIdx.x] = slots[threadIdx.x ^ 1];  // lacks_a_tile_barrier
}

KERNEL synchronises_tiles_too_small(int* y) {
    __shared__ int slots[64];
    const auto tile = cg::tiled_partition<4>(cg::this_thread_block());
    slots[threadIdx.x] = 1;  // synchronises_tiles_too_small
    tile.sync();
    y[threadIdx.x] = slots[threadIdx.x ^ 4];  // synchronises_tiles_too_small
}

KERNEL lacks_a_block_barrier(int* y) {
    __shared__ int slots[64];
    const cg::thread_block block = cg::this_thread_block();
    slots[block.thread_rank()] = 1;
    block.sync();
    slots[block.thread_rank()] = 2;  // lacks_a_block_barrier
    y[threadIdx.x] = slots[63 - block.thread_rank()];  // lacks_a_block_barrier
}

KERNEL some_lanes_skip(int* y) {
    const auto tile = cg::tiled_partition<8>(cg::this_thread_block());
    if (tile.thread_rank() < 5) {
        y[threadIdx.x] = cg::reduce(tile, 1, cg::plus<int>());  // some_lanes_skip
    }
}

KERNEL skip_a_barrier(int* y) {
    cg::thread_block block = cg::this_thread_block();
    if (block.thread_rank() != 3) {
        block.sync();  // skip_a_barrier
    } else {
        cg::tiled_partition<2>(block).sync();  // skip_a_barrier
    }
}

KERNEL on_two_lines(int* y) {
    const auto tile = cg::tiled_partition<32>(cg::this_thread_block());
    if (tile.thread_rank() < 16) {
        y[threadIdx.x] = tile.shfl(1, 0);  // on_two_lines
    } else {
        y[threadIdx.x] = tile.shfl(2, 0);  // on_two_lines
    }
}

KERNEL on_one_line(int* y) {
    const auto tile = cg::tiled_partition<32>(cg::this_thread_block());
    y[threadIdx.x] = threadIdx.x % 2 ? tile.shfl(1, 0) : tile.shfl(2, 0);  // on_one_line
}

KERNEL through_a_group(int* y) {
    const auto block = cg::this_thread_block();
    const cg::thread_group tile = cg::tiled_partition(block, 16);
    if (threadIdx.x % 2) {
        cg::sync(tile);  // through_a_group
    } else {
        tile.sync();  // through_a_group
    }
}

KERNEL with_a_warp(int* y) {
    const auto tile = cg::tiled_partition<16>(cg::this_thread_block());
    if (threadIdx.x < 16) {
        tile.sync();  // with_a_warp
    }
    y[threadIdx.x] = __shfl_sync(~0u, 1, 0) + threadIdx.x;
    if (threadIdx.x != 3) {
        __syncwarp();  // with_a_warp
    } else {
        tile.sync();  // with_a_warp
    }
}

KERNEL reads_outside_the_tile(int* y) {
    const auto tile = cg::tiled_partition<8>(cg::this_thread_block());
    y[threadIdx.x] = tile.shfl_xor(1, 8);  // reads_outside_the_tile
}

KERNEL does_not_divide(int* y) {
    const auto half = cg::tiled_partition<16>(cg::this_thread_block());
    const auto tile = cg::tiled_partition<32>(cg::this_thread_block());  // does_not_divide
    y[threadIdx.x] = tile.thread_rank() + half.thread_rank();
}

KERNEL no_power_of_two(int* y) {
    const auto tile = cg::tiled_partition(cg::this_thread_block(), 12);  // no_power_of_two
    tile.sync();
}

KERNEL larger_than_its_parent(int* y) {
    const cg::thread_group tile = cg::tiled_partition(cg::this_thread_block(), 4);
    cg::tiled_partition(tile, 8).sync();  // larger_than_its_parent
}

KERNEL overflows(int* y) {
    const auto tile = cg::tiled_partition<32>(cg::this_thread_block());
    y[threadIdx.x] = cg::reduce(tile, 1 << 30, cg::plus<int>());  // overflows
}

KERNEL waits_for_no_copy(int* y) {
    __shared__ __align__(16) int slots[64];
    const auto block = cg::this_thread_block();
    cg::memcpy_async(block, slots, y, sizeof slots);  // waits_for_no_copy
    block.sync();
    y[threadIdx.x] = slots[threadIdx.x];  // waits_for_no_copy
}

KERNEL reads_outside_the_group(int* y) {
    if (threadIdx.x % 2) {
        const auto group = cg::coalesced_threads();
        y[threadIdx.x] = group.shfl(1, 16);  // reads_outside_the_group
    }
}
