// A matrix of any number of rows of C channels, divided over blocks of LANES × ROWS threads.
//
// A thread stays with WIDTH neighbouring channels and goes down the rows of its chunk, ROWS at a
// time. The threads of a block read a piece of memory without gaps, however few the channels are.
//
//     threadIdx.x, blockIdx.x   which channels: LANES · WIDTH of them a block
//     threadIdx.y               the first row within the chunk
#pragma once

#include "vector.cuh"

// A thread's channels, and its rows: first, first + ROWS, ... below last.
struct RowSpan {
    int channel;
    long long first;
    long long last;
};

template <int C, int WIDTH, int LANES, int ROWS>
struct ChannelRows {
    static_assert(C % WIDTH == 0, "a vector does not reach into the next row");

    static constexpr int THREADS = LANES * ROWS;
    // Rows that a thread reads before it uses the first, so that several reads are under way.
    static constexpr int TILE = 4;
    static constexpr long long STEP = static_cast<long long>(ROWS) * C;

    template <typename T>
    struct Tile {
        Vector<T, WIDTH> row[TILE];
    };

    // This thread's part of chunk `number` of `chunk` rows each, the last of which may be shorter.
    // A thread beyond the last channel gets channel C and no rows.
    __device__ __forceinline__ static RowSpan of_chunk(
        int number, long long chunk, long long rows) {
        const long long first = number * chunk;
        const long long last = first + chunk < rows ? first + chunk : rows;
        const long long channel =
            (static_cast<long long>(blockIdx.x) * LANES + threadIdx.x) * WIDTH;
        if (channel >= C) {
            return {C, first, first};
        }
        return {static_cast<int>(channel), first + threadIdx.y, last};
    }

    // function(offset, values...) for each row of the span, in order: the offset of the thread's
    // channels in that row, and what each input has there. The function may overwrite that.
    template <typename Function, typename... Inputs>
    __device__ __forceinline__ static void for_each(
        const RowSpan& span, Function function, const Inputs*... inputs) {
        long long row = span.first;
        for (; row + (TILE - 1) * ROWS < span.last; row += TILE * ROWS) {
            const long long offset = row * C + span.channel;
            [&](const Tile<Inputs>&... tiles) {
                for (int i = 0; i < TILE; ++i) {
                    function(offset + i * STEP, tiles.row[i]...);
                }
            }(load_tile(inputs + offset)...);
        }
        for (; row < span.last; row += ROWS) {
            const long long offset = row * C + span.channel;
            function(offset, load_vector<WIDTH>(inputs + offset)...);
        }
    }

    // Joins what the threads of each lane found, in an order that depends on ROWS only; threads
    // with threadIdx.y == 0 get the result. All threads must call. `scratch` is shared memory for
    // THREADS values, which must not be used again before a barrier.
    template <typename Partial, typename Join>
    __device__ __forceinline__ static Partial join(Partial partial, Join join, Partial* scratch) {
        const int row = threadIdx.y;
        const int here = row * LANES + threadIdx.x;
        scratch[here] = partial;
        for (int rows = ROWS; rows > 1;) {
            const int half = (rows + 1) / 2;
            __syncthreads();
            if (row + half < rows) {
                partial = join(partial, scratch[here + half * LANES]);
                scratch[here] = partial;
            }
            rows = half;
        }
        return partial;
    }

    // What this block found for the thread's channels, at [channel, blockIdx.y] of (C, gridDim.y).
    __device__ __forceinline__ static void store_partial(
        float* partial, const RowSpan& span, const Vector<float, WIDTH>& values) {
        for (int i = 0; i < WIDTH; ++i) {
            const long long first = static_cast<long long>(span.channel + i) * gridDim.y;
            partial[first + blockIdx.y] = values.of[i];
        }
    }

   private:
    template <typename T>
    __device__ __forceinline__ static Tile<T> load_tile(const T* address) {
        Tile<T> tile;
        for (int i = 0; i < TILE; ++i) {
            tile.row[i] = load_vector<WIDTH>(address + i * STEP);
        }
        return tile;
    }
};
