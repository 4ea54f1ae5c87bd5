// Kernels with one mistake each. The line that is to be reported has the kernel's name in a comment;
// x and y have 256 floats each.

#include "ptx/async_copy.cuh"
#include "ptx/ldmatrix.cuh"
#include "ptx/store.cuh"

#include <cassert>
#include <cstring>

__device__ int counter;

__global__ void writes_out_of_bounds(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        y[256] = x[0];  // writes_out_of_bounds
    }
}

__global__ void reads_out_of_bounds(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        y[0] = x[-1];  // reads_out_of_bounds
    }
}

__global__ void reads_a_row_out_of_bounds(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        y[0] = x[256 + 50];  // reads_a_row_out_of_bounds
    }
}

__global__ void reads_where_another_array_might_be(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        y[0] = x[256 + 150];  // reads_where_another_array_might_be
    }
}

__global__ void reads_far_out_of_bounds(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        y[0] = x[2000000];  // reads_far_out_of_bounds
    }
}

__global__ void leaves_shared_memory(const float* x, float* y) {
    __shared__ float tile[64];
    tile[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        tile[64 + blockDim.y] = x[0];  // leaves_shared_memory
    }
    y[blockIdx.x * blockDim.x + threadIdx.x] = tile[threadIdx.x];
}

__device__ __attribute__((noinline)) void set(float* tile, int i) {
    tile[i] = 1.0f;  // overruns_shared_memory
}

__global__ void overruns_shared_memory(const float* x, float* y) {
    __shared__ float tile[64];
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        set(tile, 65);
    }
    y[0] = tile[0];
}

__device__ __attribute__((noinline)) float get(const float* own, int i) {
    return own[i];  // underruns_a_local_array
}

__global__ void underruns_a_local_array(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        float own[4] = {x[0], x[1], x[2], x[3]};
        y[0] = get(own, -2);
    }
}

__global__ void follows_a_null_pointer(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        const float* missing = x == y ? x : nullptr;
        y[0] = missing[1000];  // follows_a_null_pointer
    }
}

__global__ void follows_a_wild_pointer(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        const size_t wild = static_cast<size_t>(x[0]) + 64;
        y[0] = *reinterpret_cast<const float*>(wild);  // follows_a_wild_pointer
    }
}

__global__ void divides_by_zero(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        y[0] = 7 / static_cast<int>(x[0] - x[0]);  // divides_by_zero
    }
}

__global__ void misaligned_vector(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        const float4 v = *reinterpret_cast<const float4*>(x + 2);  // misaligned_vector
        y[0] = v.x + v.y + v.z + v.w;
    }
}

__global__ void reads_what_is_unwritten(const float* x, float* y) {
    __shared__ float tile[64];
    if (threadIdx.x != 3) {
        tile[threadIdx.x] = x[0];
    }
    __syncthreads();
    if (blockIdx.x == 1 && threadIdx.x == 5) {
        y[0] = tile[3];  // reads_what_is_unwritten
    }
}

__global__ void adds_to_what_is_unwritten(const float* x, float* y) {
    __shared__ int sum;
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        atomicAdd(&sum, 1);  // adds_to_what_is_unwritten
    }
}

__global__ void lacks_a_barrier(const float* x, float* y) {
    __shared__ float tile[64];
    tile[threadIdx.x] = 0.0f;
    __syncthreads();
    tile[threadIdx.x] = x[threadIdx.x];  // lacks_a_barrier
    y[blockIdx.x * 64 + threadIdx.x] = tile[63 - threadIdx.x];  // lacks_a_barrier
}

__global__ void lacks_a_warp_barrier(const float* x, float* y) {
    __shared__ float tile[64];
    tile[threadIdx.x] = x[threadIdx.x];
    __syncwarp();
    tile[threadIdx.x] += 1.0f;  // lacks_a_warp_barrier
    __shfl_sync(~0u, 1.0f, 0);  // Orders nothing.
    y[blockIdx.x * 64 + threadIdx.x] = tile[threadIdx.x ^ 1];  // lacks_a_warp_barrier
}

__global__ void synchronises_the_wrong_lanes(const float* x, float* y) {
    __shared__ float tile[64];
    tile[threadIdx.x] = x[0];
    __syncthreads();
    tile[threadIdx.x] = x[0];  // synchronises_the_wrong_lanes
    const int lane = threadIdx.x % 32;
    __syncwarp(lane < 16 ? 0x0000ffffu : 0xffff0000u);
    y[threadIdx.x] = tile[threadIdx.x ^ 16];  // synchronises_the_wrong_lanes
}

__global__ void blocks_share_an_element(const float* x, float* y) {
    if (threadIdx.x == 3) {
        y[0] = x[0];  // blocks_share_an_element
    }
}

__global__ void reads_another_blocks_element(const float* x, float* y) {
    if (threadIdx.x == 3) {
        y[blockIdx.x] = x[0];  // reads_another_blocks_element
        y[blockIdx.x + 8] = y[1 - blockIdx.x];  // reads_another_blocks_element
    }
}

__global__ void counts_without_atomics(const float* x, float* y) {
    counter += 1;  // counts_without_atomics
}

__global__ void barrier_in_a_branch(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        __syncwarp();  // barrier_in_a_branch
    } else {
        __syncthreads();  // barrier_in_a_branch
    }
}

__global__ void two_barriers(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        __syncthreads();  // two_barriers
    } else {
        __syncthreads();  // two_barriers
    }
}

__global__ void mask_without_the_lane(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        y[0] = __shfl_sync(0x7u, x[0], 0);  // mask_without_the_lane
    }
}

__global__ void masks_that_differ(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x < 2) {
        __syncwarp(threadIdx.x == 0 ? 0x3u : 0x7u);  // masks_that_differ
    }
}

__global__ void lane_that_has_left(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        return;
    }
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    y[i] = __shfl_down_sync(0xffffffffu, x[i], 1);  // lane_that_has_left
}

__global__ void votes_and_shuffles(const float* x, float* y) {
    if (threadIdx.x == 3) {
        y[0] = __shfl_sync(0xffffffffu, x[0], 0);  // votes_and_shuffles
    } else {
        y[1] = __ballot_sync(0xffffffffu, true);  // votes_and_shuffles
    }
}

__global__ void copy_that_is_not_waited_for(const float* x, float* y) {
    __shared__ __align__(16) float tile[64];
    copy_async<4>(&tile[threadIdx.x], x + threadIdx.x);  // copy_that_is_not_waited_for
    commit_copies();
    y[blockIdx.x * 64 + threadIdx.x] = tile[threadIdx.x];  // copy_that_is_not_waited_for
}

__global__ void copy_that_is_waited_for_by_half(const float* x, float* y) {
    __shared__ __align__(16) float tile[2][64];
    for (int i = 0; i < 2; ++i) {
        copy_async<4>(&tile[i][threadIdx.x], x + threadIdx.x);  // copy_that_is_waited_for_by_half
        commit_copies();
    }
    wait_for_copies<1>();
    y[blockIdx.x * 64 + threadIdx.x] = tile[0][threadIdx.x];
    y[blockIdx.x * 64 + threadIdx.x] = tile[1][threadIdx.x];  // copy_that_is_waited_for_by_half
}

__global__ void reads_what_another_copies(const float* x, float* y) {
    __shared__ float tile[64];
    if (blockIdx.x == 1 && threadIdx.x == 5) {
        copy_async<4>(tile, x);  // reads_what_another_copies
    }
    __syncthreads();
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        y[0] = tile[0];  // reads_what_another_copies
    }
}

__global__ void copy_without_a_barrier(const float* x, float* y) {
    __shared__ __align__(16) float tile[64];
    copy_async<4>(&tile[threadIdx.x], x + threadIdx.x);  // copy_without_a_barrier
    wait_for_all_copies();
    y[blockIdx.x * 64 + threadIdx.x] = tile[63 - threadIdx.x];  // copy_without_a_barrier
}

__global__ void copies_of_others_after_a_shuffle(const float* x, float* y) {
    __shared__ __align__(16) float tile[64];
    copy_async<4>(&tile[threadIdx.x], x + threadIdx.x);
    __syncthreads();  // Too early.
    wait_for_all_copies();  // copies_of_others_after_a_shuffle
    __shfl_sync(~0u, 1.0f, 0);  // All have waited, but nothing orders what they see.
    y[blockIdx.x * 64 + threadIdx.x] = tile[threadIdx.x ^ 1];  // copies_of_others_after_a_shuffle
}

__global__ void reads_what_another_block_updates(const float* x, float* y) {
    if (threadIdx.x == 3) {
        const float old = y[7];  // reads_what_another_block_updates
        y[8 + blockIdx.x] = old;
        if (blockIdx.x == 1) {
            y[7] = old + x[0];  // reads_what_another_block_updates
        }
    }
}

__global__ void copy_to_global_memory(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        copy_async<4>(y, x);  // copy_to_global_memory
    }
}

__global__ void misaligned_copy(const float* x, float* y) {
    __shared__ __align__(16) float tile[64];
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        copy_async<16>(&tile[4], x + 1);  // misaligned_copy
    }
}

__global__ void misaligned_row(const float* x, float* y) {
    __shared__ __align__(16) unsigned short tile[8 * 8 + 1];
    for (int i = threadIdx.x; i < 65; i += blockDim.x) {
        tile[i] = 0;
    }
    __syncthreads();
    unsigned d[1];
    load_matrix(d, &tile[threadIdx.x % 8 * 8 + (threadIdx.x == 3)]);  // misaligned_row
    y[threadIdx.x] = d[0];
}

__global__ void copies_what_is_out_of_bounds(const float* x, float* y) {
    __shared__ __align__(16) float tile[64];
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        copy_async<16>(tile, x + 256);  // copies_what_is_out_of_bounds
    }
}

__global__ void copies_to_out_of_bounds(const float* x, float* y) {
    __shared__ __align__(16) float tile[64];
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        copy_async<16>(&tile[64 * blockDim.y], x);  // copies_to_out_of_bounds
    }
}

__global__ void row_out_of_bounds(const float* x, float* y) {
    __shared__ __align__(16) unsigned short tile[7 * 8];
    for (int i = threadIdx.x; i < 56; i += blockDim.x) {
        tile[i] = 0;
    }
    __syncthreads();
    unsigned d[1];
    const int row = blockIdx.x == 1 && threadIdx.x == 3 ? 7 : 0;
    load_matrix(d, &tile[row * 8]);  // row_out_of_bounds
    y[blockIdx.x * 64 + threadIdx.x] = d[0];
}

__global__ void counts_out_of_bounds(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        atomicAdd(reinterpret_cast<unsigned*>(y) + 256, 1u);  // counts_out_of_bounds
    }
}

__global__ void copies_bytes_out_of_bounds(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        memcpy(y + 250, x, 28);  // copies_bytes_out_of_bounds
    }
}

__global__ void bytes_without_a_barrier(const float* x, float* y) {
    __shared__ float rows[64][16];
    memset(rows[threadIdx.x], 0, 64);  // bytes_without_a_barrier
    float row[16];
    memcpy(row, rows[63 - threadIdx.x], 64);  // bytes_without_a_barrier
    y[blockIdx.x * 64 + threadIdx.x] = row[0] + row[15];
}

__global__ void counts_and_reads(const float* x, float* y) {
    if (threadIdx.x == 0) {
        unsigned* count = reinterpret_cast<unsigned*>(y);
        atomicAdd(count, 1u);  // counts_and_reads
        if (blockIdx.x == 0) {
            y[1] = *count;  // counts_and_reads
        }
    }
}

__global__ void overwrites_what_is_copied(const float* x, float* y) {
    __shared__ float tile[64];
    float* own = y + blockIdx.x * 64 + threadIdx.x;
    copy_async<4>(&tile[threadIdx.x], own);  // overwrites_what_is_copied
    *own = 1.0f;  // overwrites_what_is_copied
    wait_for_all_copies();
    *own = tile[threadIdx.x];
}

__global__ void overwrites_what_others_copy(const float* x, float* y) {
    __shared__ float tile[64];
    float* own = y + blockIdx.x * 64;
    copy_async<4>(&tile[threadIdx.x], own + threadIdx.x);  // overwrites_what_others_copy
    __syncthreads();
    own[63 - threadIdx.x] = 1.0f;  // overwrites_what_others_copy
    wait_for_all_copies();
}

__global__ void on_one_line(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) __syncthreads(); else __syncthreads();  // on_one_line
}

__global__ void asserts(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        assert(x[0] > 1.0f && "of x");  // asserts
    }
}

__device__ float deep(const float* x, int n) {  // recurses
    volatile float own[16] = {x[n % 256]};  // recurses
    const float below = n == 0 ? 0.0f : deep(x, n - 1);  // recurses
    return below + own[n % 16];
}

__global__ void allocates(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        volatile float* const own = new float[x[0] == 0.0f ? 4 : 5];  // allocates
        own[3] = x[3];
        y[0] = own[3];
        delete[] own;
    }
}

__global__ void recurses(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        y[0] = deep(x, 1 << 24);  // recurses
    }
}

__device__ __attribute__((noinline)) void fill(float* values, int count) {
    for (int i = 0; i < count; ++i) {
        values[i] = i;
    }
}

__global__ void large_array(const float* x, float* y) {  // large_array
    float values[2 << 20];
    fill(values, 8);
    y[0] = values[7];
}

__global__ void stores_out_of_bounds(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        store_global<4>(y + 256, {{1.0f, 2.0f, 3.0f, 4.0f}});  // stores_out_of_bounds
    }
}

__global__ void misaligned_store(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        store_global<4>(y + 2, {{1.0f, 2.0f, 3.0f, 4.0f}});  // misaligned_store
    }
}

__global__ void stores_overlap(const float* x, float* y) {
    store_global<4>(y + threadIdx.x / 2 * 4, {{1.0f, 2.0f, 3.0f, 4.0f}});  // stores_overlap
}

__global__ void wrong_width(const float* x, float* y) {
    y[threadIdx.x] = __shfl_xor_sync(~0u, x[threadIdx.x], 1, 12);  // wrong_width
}

__global__ void writes_what_was_not_given(const float* x, float* y) {
    extern __shared__ float given[];
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        given[threadIdx.x] = x[0];  // writes_what_was_not_given
        y[0] = given[threadIdx.x];
    }
}

__global__ void copies_to_what_was_not_given(const float* x, float* y) {
    extern __shared__ float given[];
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        copy_async<4>(&given[1], x);  // copies_to_what_was_not_given
        wait_for_all_copies();
        y[0] = given[1];
    }
}

__global__ void shifts_too_far(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        y[0] = 1 << (static_cast<int>(x[0]) + 40);  // shifts_too_far
    }
}

__global__ void adds_too_much(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        const int large = 2147483647 - static_cast<int>(x[0]);
        y[0] = large + (static_cast<int>(x[0]) + 7);  // adds_too_much
    }
}

__global__ void subtracts_too_much(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        y[0] = -2147483647 - (static_cast<int>(x[0]) + 7);  // subtracts_too_much
    }
}

__global__ void multiplies_too_much(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        const long long large = 9223372036854775807ll - static_cast<int>(x[0]);
        y[0] = large * (static_cast<int>(x[0]) + 7);  // multiplies_too_much
    }
}

__global__ void negates_too_much(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        y[0] = -(static_cast<int>(x[0]) - 2147483647 - 1);  // negates_too_much
    }
}

__global__ void divides_too_much(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        const int least = static_cast<int>(x[0]) - 2147483647 - 1;
        y[0] = least / (static_cast<int>(x[0]) - 1);  // divides_too_much
    }
}

__global__ void casts_what_does_not_fit(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        y[0] = static_cast<int>((x[0] + 1.0f) * 1e10f);  // casts_what_does_not_fit
    }
}

__global__ void casts_a_negative_number(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        y[0] = static_cast<unsigned>(x[0] - 5.0f);  // casts_a_negative_number
    }
}

__global__ void casts_no_number(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        y[0] = static_cast<int>(x[0] / x[0]);  // casts_no_number
    }
}
