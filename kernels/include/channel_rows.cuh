// A matrix of any number of rows of C channels, divided over blocks of lanes × rows threads.
//
// A thread stays with WIDTH neighbouring channels and goes down the rows of its chunk, as many at a
// time as the block has rows of threads. The threads of a block read a piece of memory without gaps,
// however few the channels are.
//
//     threadIdx.x, blockIdx.x   which channels: lanes · WIDTH of them a block
//     threadIdx.y               the first row within the chunk
//
// C is a multiple of WIDTH. It and the block may be known when a kernel is compiled or only when it
// is launched; the order of every sum is the same.
#pragma once

#include "shards.cuh"
#include "vector.cuh"

// Threads a block at most.
constexpr int CHANNEL_ROWS_THREADS = 256;

// A thread's channels, and its rows: first, first + rows of threads, ... below last.
struct RowSpan {
    int channel;
    long long first;
    long long last;
};

template <int WIDTH>
struct ChannelRows {
    // Rows that a thread reads before it uses the first, so that several reads are under way.
    static constexpr int TILE = 4;

    int C;
    int lanes;  // threads along x
    int rows;   // threads along y; rows · C is an int

    // As the kernel was launched.
    __device__ __forceinline__ static ChannelRows of_launch(int C) {
        return {C, static_cast<int>(blockDim.x), static_cast<int>(blockDim.y)};
    }

    template <typename T>
    struct Tile {
        Vector<T, WIDTH> row[TILE];
    };

    // This thread's part of chunk `number` of `chunk` rows each, the last of which may be shorter.
    // A thread beyond the last channel gets channel C and no rows.
    __device__ __forceinline__ RowSpan of_chunk(
        int number, long long chunk, long long all_rows) const {
        const long long first = number * chunk;
        return of_rows({first, first + chunk < all_rows ? first + chunk : all_rows});
    }

    // This thread's part of chunk blockIdx.y, of shard blockIdx.z of `shard` rows (shards.cuh).
    __device__ __forceinline__ RowSpan of_chunk_of_shard(
        long long shard, long long chunk, long long all_rows) const {
        return of_rows(terms_of_slice(blockIdx.z, shard, blockIdx.y, chunk, all_rows));
    }

    // function(offset, values...) for each row of the span, in order: the offset of the thread's
    // channels in that row, and what each input has there. The function may overwrite that.
    template <typename Function, typename... Inputs>
    __device__ __forceinline__ void for_each(
        const RowSpan& span, Function function, const Inputs*... inputs) const {
        const unsigned step = rows * C;
        const long long end = span.last * C + span.channel;
        long long offset = span.first * C + span.channel;
        for (; offset < end - times(TILE - 1, step); offset += times(TILE, step)) {
            [&](const Tile<Inputs>&... tiles) {
                for (int i = 0; i < TILE; ++i) {
                    function(offset + times(i, step), tiles.row[i]...);
                }
            }(load_tile(inputs + offset, step)...);
        }
        for (; offset < end; offset += step) {
            function(offset, load_vector<WIDTH>(inputs + offset)...);
        }
    }

    // Joins what the threads of each lane found, in an order that depends on the rows of threads
    // only; threads with threadIdx.y == 0 get the result. All threads must call. `scratch` is shared
    // memory for as many values as there are threads, which must not be used again before a barrier.
    template <typename Partial, typename Join>
    __device__ __forceinline__ Partial join(Partial partial, Join join, Partial* scratch) const {
        const int row = threadIdx.y;
        const int here = row * lanes + threadIdx.x;
        scratch[here] = partial;
        for (int left = rows; left > 1;) {
            const int half = (left + 1) / 2;
            __syncthreads();
            if (row + half < left) {
                partial = join(partial, scratch[here + half * lanes]);
                scratch[here] = partial;
            }
            left = half;
        }
        return partial;
    }

    // What this block found for the thread's channels, at [channel, blockIdx.z, blockIdx.y] of
    // (C, gridDim.z, gridDim.y): shards, and their chunks.
    __device__ __forceinline__ static void store_partial(
        float* partial, const RowSpan& span, const Vector<float, WIDTH>& values) {
        for (int i = 0; i < WIDTH; ++i) {
            const long long shards_before =
                static_cast<long long>(span.channel + i) * gridDim.z + blockIdx.z;
            partial[shards_before * gridDim.y + blockIdx.y] = values.of[i];
        }
    }

   private:
    __device__ __forceinline__ RowSpan of_rows(const Terms& of_all) const {
        const long long channel =
            (static_cast<long long>(blockIdx.x) * lanes + threadIdx.x) * WIDTH;
        if (channel >= C) {
            return {C, of_all.first, of_all.first};
        }
        return {static_cast<int>(channel), of_all.first + threadIdx.y, of_all.last};
    }

    // One instruction in the place of the two that an addition of 64 bits takes.
    __device__ __forceinline__ static long long times(int i, unsigned step) {
        return static_cast<long long>(i) * step;
    }

    template <typename T>
    __device__ __forceinline__ static Tile<T> load_tile(const T* address, unsigned step) {
        Tile<T> tile;
        for (int i = 0; i < TILE; ++i) {
            tile.row[i] = load_vector<WIDTH>(address + times(i, step));
        }
        return tile;
    }
};
