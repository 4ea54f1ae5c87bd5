// Cooperative groups: <cooperative_groups.h> as the CUDA programming guide documents it.
//
// A group is the whole block or some lanes of one warp, so its collectives are those of the block
// or those of a warp with the group's mask (collectives.h), and everything that is checked of those
// is checked of these: who takes part, at which call, and what a barrier puts in order.
//
// The collectives of CUDA are functions, of which there is one for each call in the source text if
// they are macros (EMULATOR_CALL). Members of a class cannot be macros. They take the place they are
// called from as a last argument, which nobody passes: its default is evaluated at the call. File,
// line and column of it identify the call, so two calls in the expansion of one macro count as one.
//
// Ranks follow CUDA: threads are counted along x, then y, then z, and a tile is consecutive threads.
// Refused by name is what the emulator cannot do: a grid's barrier, for which all blocks would have
// to run at once, tiles of several warps, and clusters.
#pragma once

#include <source_location>
#include <type_traits>

#include "collectives.h"
#include "interface.h"

namespace emulator {

using Where = std::source_location;

inline Call call_at(const char* name, const Where& where) {
    return {name, where.file_name(), static_cast<int>(where.line()),
            -static_cast<int>(where.column())};
}

// The number of a thread in its block, and of a block in its grid.
inline unsigned rank_in_block() {
    const auto& [thread, block, size, grid] = place;
    return thread.x + size.x * (thread.y + size.y * thread.z);
}
inline unsigned threads_of_block() {
    return place.block_size.x * place.block_size.y * place.block_size.z;
}
inline unsigned long long rank_in_grid() {
    const auto& [thread, block, size, grid] = place;
    return block.x + static_cast<unsigned long long>(grid.x) *
                         (block.y + static_cast<unsigned long long>(grid.y) * block.z);
}
inline unsigned long long blocks_of_grid() {
    return static_cast<unsigned long long>(place.grid_size.x) * place.grid_size.y *
           place.grid_size.z;
}

inline unsigned lane_in_block() {
    return rank_in_block() % LANES;
}

// The lanes of the running thread's tile of its block; the block's last may be incomplete.
inline unsigned lanes_of_tile(unsigned size) {
    const unsigned first = rank_in_block() / size * size;
    const unsigned left = threads_of_block() - first;
    const unsigned count = left < size ? left : size;
    return (count == LANES ? ~0u : (1u << count) - 1) << first % LANES;
}

constexpr bool is_tile_size(unsigned size) {
    return size != 0 && size <= LANES && (size & (size - 1)) == 0;
}

// The lanes of a mask are divided into groups of `size`; returns the group that has the lane of `rank`.
inline unsigned part_of(unsigned mask, unsigned rank, unsigned size) {
    const unsigned first = rank / size * size;
    unsigned part = 0;
    for (unsigned i = 0; mask != 0; mask &= mask - 1, ++i) {
        if (i >= first && i < first + size) {
            part |= mask & -mask;
        }
    }
    return part;
}

inline void check_tile_size(const Where& where, unsigned size) {
    if (!is_tile_size(size)) {
        fail(call_at("tiled_partition", where),
             "tiled_partition with %u threads; a tile has 1, 2, 4, 8, 16 or 32", size);
    }
}

}  // namespace emulator

namespace cooperative_groups {

using emulator::Where;

// Any group, by value or by reference.
class thread_group {
public:
    unsigned long long num_threads() const {
        return is_block() ? emulator::threads_of_block() : lanes();
    }
    unsigned long long size() const { return num_threads(); }
    unsigned long long thread_rank() const {
        return is_block() ? emulator::rank_in_block() : rank();
    }

    void sync(Where where = Where::current()) const { wait("thread_group::sync", where); }

    friend thread_group tiled_partition(const thread_group& parent, unsigned size, Where where);

protected:
    // 0 stands for the whole block.
    explicit thread_group(unsigned mask) : mask_(mask) {}

    bool is_block() const { return mask_ == 0; }
    // Of a group of lanes.
    unsigned lanes() const { return static_cast<unsigned>(__builtin_popcount(mask_)); }
    unsigned rank() const {
        const unsigned lower = (1u << emulator::lane_in_block()) - 1;
        return static_cast<unsigned>(__builtin_popcount(mask_ & lower));
    }

    void wait(const char* name, const Where& where) const {
        const emulator::Call call = emulator::call_at(name, where);
        if (is_block()) {
            emulator::block_collective(call);
        } else {
            emulator::sync_warp(call, mask_);
        }
    }

    unsigned mask_;
};

class thread_block : public thread_group {
public:
    // Between the two the thread may do what needs no order. It waits at the second for all threads
    // of the block, and race mode puts in order what __syncthreads() there would.
    struct arrival_token {};
    arrival_token barrier_arrive() const { return {}; }
    void barrier_wait(arrival_token&&, Where where = Where::current()) const {
        emulator::block_collective(emulator::call_at("thread_block::barrier_wait", where));
    }

    static void sync(Where where = Where::current()) {
        emulator::block_collective(emulator::call_at("thread_block::sync", where));
    }
    static unsigned num_threads() { return emulator::threads_of_block(); }
    static unsigned size() { return num_threads(); }
    static unsigned thread_rank() { return emulator::rank_in_block(); }
    static dim3 group_index() { return emulator::place.block; }
    static dim3 thread_index() { return emulator::place.thread; }
    static dim3 dim_threads() { return emulator::place.block_size; }
    static dim3 group_dim() { return dim_threads(); }

    friend thread_block this_thread_block();

private:
    thread_block() : thread_group(0) {}
};

inline thread_block this_thread_block() {
    return {};
}

}  // namespace cooperative_groups

namespace emulator {

// What lanes of a warp do together.
class GroupOfLanes : public cooperative_groups::thread_group {
public:
    // The value of another thread of the group, by its rank or by its distance from this one's; this
    // thread's own if there is no such thread.
    template <typename T>
    std::remove_cvref_t<T> shfl(T&& value, int rank, Where where = Where::current()) const {
        return exchange<Direct, std::remove_cvref_t<T>>("shfl", where, value, rank);
    }
    template <typename T>
    std::remove_cvref_t<T> shfl_up(T&& value, unsigned delta, Where where = Where::current()) const {
        return exchange<Up, std::remove_cvref_t<T>>("shfl_up", where, value, delta);
    }
    template <typename T>
    std::remove_cvref_t<T> shfl_down(
        T&& value, unsigned delta, Where where = Where::current()) const {
        return exchange<Down, std::remove_cvref_t<T>>("shfl_down", where, value, delta);
    }

    int any(int predicate, Where where = Where::current()) const {
        return emulator::ballot(call_at("any", where), mask(), predicate != 0) != 0;
    }
    int all(int predicate, Where where = Where::current()) const {
        return emulator::ballot(call_at("all", where), mask(), predicate != 0) == mask();
    }
    // Bit i of a result stands for the thread of rank i.
    unsigned ballot(int predicate, Where where = Where::current()) const {
        return by_rank(emulator::ballot(call_at("ballot", where), mask(), predicate != 0));
    }
    template <typename T>
    unsigned match_any(T value, Where where = Where::current()) const {
        return by_rank(emulator::match_any(call_at("match_any", where), mask(), value));
    }
    template <typename T>
    unsigned match_all(T value, int& all, Where where = Where::current()) const {
        return by_rank(emulator::match_all(call_at("match_all", where), mask(), value, &all));
    }

    // For the functions of groups.
    unsigned mask() const { return mask_; }
    template <typename Direction, typename T>
    T exchange(const char* name, const Where& where, const T& value, unsigned argument) const {
        static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 32,
                      "a group exchanges values of up to 32 bytes that can be copied byte by byte");
        const unsigned source = lane_of(Direction::source(rank(), argument, lanes()));
        return emulator::exchange<T>(call_at(name, where), mask(), value, source);
    }

protected:
    using thread_group::thread_group;

private:
    // The lane that has a rank: `rank` set bits of the mask are below it.
    unsigned lane_of(unsigned rank) const {
        unsigned left = mask();
        for (; rank > 0; --rank) {
            left &= left - 1;
        }
        return static_cast<unsigned>(__builtin_ctz(left));
    }
    unsigned by_rank(unsigned lanes) const {
        unsigned ranks = 0;
        unsigned rank = 0;
        for (unsigned left = mask(); left != 0; left &= left - 1, ++rank) {
            ranks |= (lanes >> __builtin_ctz(left) & 1u) << rank;
        }
        return ranks;
    }
};

}  // namespace emulator

namespace cooperative_groups {

// Size consecutive threads of the parent, which is thread_block, a larger tile, or not named.
template <unsigned Size, typename ParentT = void>
class thread_block_tile : public emulator::GroupOfLanes {
    static_assert(emulator::is_tile_size(Size),
                  "a tile has 1, 2, 4, 8, 16 or 32 threads: the emulator has no tiles of several "
                  "warps");

public:
    template <typename OtherT>
        requires(std::is_void_v<ParentT> && !std::is_void_v<OtherT>)
    thread_block_tile(const thread_block_tile<Size, OtherT>& tile)
        : GroupOfLanes(tile.mask()),
          meta_group_rank_(tile.meta_group_rank_),
          meta_group_size_(tile.meta_group_size_) {}

    static constexpr unsigned num_threads() { return Size; }
    static constexpr unsigned size() { return Size; }
    static unsigned thread_rank() { return emulator::rank_in_block() % Size; }

    // Which of the parent's tiles this is, and how many it has.
    unsigned meta_group_rank() const { return meta_group_rank_; }
    unsigned meta_group_size() const { return meta_group_size_; }

    void sync(Where where = Where::current()) const {
        wait("thread_block_tile::sync", where);
    }

    // The value of the thread whose rank differs in these bits.
    template <typename T>
    std::remove_cvref_t<T> shfl_xor(T&& value, unsigned bits, Where where = Where::current()) const {
        if (bits >= Size) {
            emulator::fail(emulator::call_at("shfl_xor", where),
                           "shfl_xor reads rank %u of a tile of %u threads", thread_rank() ^ bits,
                           Size);
        }
        return exchange<emulator::Across, std::remove_cvref_t<T>>("shfl_xor", where, value, bits);
    }

private:
    template <unsigned, typename>
    friend class thread_block_tile;
    template <unsigned N, typename T>
    friend thread_block_tile<N, T> tiled_partition(const T& parent, Where where);
    friend thread_block_tile<1> this_thread();

    thread_block_tile(unsigned meta_group_rank, unsigned meta_group_size)
        : GroupOfLanes(emulator::lanes_of_tile(Size)),
          meta_group_rank_(meta_group_rank),
          meta_group_size_(meta_group_size) {}

    unsigned meta_group_rank_;
    unsigned meta_group_size_;
};

template <unsigned Size, typename ParentT>
thread_block_tile<Size, ParentT> tiled_partition(
    const ParentT& parent, Where where = Where::current()) {
    if constexpr (std::is_same_v<ParentT, thread_block>) {
        if (parent.size() % Size != 0) {
            emulator::fail(emulator::call_at("tiled_partition", where),
                           "tiled_partition<%u> of a block of %u threads, which is no multiple of %u",
                           Size, parent.size(), Size);
        }
    } else {
        static_assert(Size < ParentT::size(), "a tile is smaller than the tile that it is part of");
    }
    return {parent.thread_rank() / Size, parent.size() / Size};
}

// In CUDA too, the size is known only here, and the last of these tiles may be incomplete.
inline thread_group tiled_partition(
    const thread_group& parent, unsigned size, Where where = Where::current()) {
    emulator::check_tile_size(where, size);
    if (size > parent.size()) {
        emulator::fail(emulator::call_at("tiled_partition", where),
                       "tiled_partition of a group of %llu threads into tiles of %u",
                       parent.size(), size);
    }
    return thread_group(parent.is_block() ? emulator::lanes_of_tile(size)
                                          : emulator::part_of(parent.mask_, parent.rank(), size));
}

// A group of its own.
inline thread_block_tile<1> this_thread() {
    return {0, 1};
}

template <typename Group>
void sync(const Group& group, Where where = Where::current()) {
    group.sync(where);
}
template <typename Group>
auto thread_rank(const Group& group) {
    return group.thread_rank();
}
template <typename Group>
auto group_size(const Group& group) {
    return group.num_threads();
}

// Runs the function in one thread of the group: which, CUDA does not say; here the first.
template <typename Group, typename Function, typename... Arguments>
void invoke_one(const Group& group, Function&& function, Arguments&&... arguments) {
    if (group.thread_rank() == 0) {
        static_cast<Function&&>(function)(static_cast<Arguments&&>(arguments)...);
    }
}

// The grid, whose threads can be counted but not made to wait for each other.
class grid_group {
public:
    static unsigned long long num_threads() {
        return num_blocks() * emulator::threads_of_block();
    }
    static unsigned long long size() { return num_threads(); }
    static unsigned long long thread_rank() {
        return block_rank() * emulator::threads_of_block() + emulator::rank_in_block();
    }
    static unsigned long long num_blocks() { return emulator::blocks_of_grid(); }
    static unsigned long long block_rank() { return emulator::rank_in_grid(); }
    static dim3 dim_blocks() { return emulator::place.grid_size; }
    static dim3 group_dim() { return dim_blocks(); }
    static dim3 dim_threads() {
        const auto& [thread, block, size, grid] = emulator::place;
        return {grid.x * size.x, grid.y * size.y, grid.z * size.z};
    }
    static dim3 block_index() { return emulator::place.block; }
    static dim3 thread_index() {
        const auto& [thread, block, size, grid] = emulator::place;
        return {block.x * size.x + thread.x, block.y * size.y + thread.y,
                block.z * size.z + thread.z};
    }
    // As in a launch that is not cooperative.
    static bool is_valid() { return false; }

    template <typename T = int>
    static void sync(Where = {}) {
        static_assert(sizeof(T) == 0,
                      "grid_group::sync(): all blocks would have to run at once, and the emulator "
                      "runs them one after another; make what follows it a second kernel");
    }
};

inline grid_group this_grid() {
    return {};
}

class cluster_group {};

template <typename T = int>
cluster_group this_cluster() {
    static_assert(sizeof(T) == 0, "this_cluster(): the emulator has no clusters of blocks");
}

}  // namespace cooperative_groups

#include "cooperative_groups/coalesced_group.h"
