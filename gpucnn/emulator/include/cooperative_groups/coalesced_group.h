// Groups of any lanes of a warp: those that happen to run together, and those that agree on something.
//
// Which threads coalesced_threads() gives, CUDA leaves open but for the caller. Here they are all lanes
// of the warp that come to the call before anything in the block has to go on past it, so as many
// as a GPU could find together. A kernel that needs more than CUDA promises is not found by that.
#pragma once

#include <type_traits>

#include "../cooperative_groups.h"

namespace cooperative_groups {

class coalesced_group : public emulator::GroupOfLanes {
public:
    // For the functions below.
    coalesced_group(unsigned mask, unsigned meta_group_rank, unsigned meta_group_size)
        : GroupOfLanes(mask),
          meta_group_rank_(meta_group_rank),
          meta_group_size_(meta_group_size) {}

    unsigned num_threads() const { return lanes(); }
    unsigned size() const { return lanes(); }
    unsigned thread_rank() const { return rank(); }
    unsigned meta_group_rank() const { return meta_group_rank_; }
    unsigned meta_group_size() const { return meta_group_size_; }

    void sync(Where where = Where::current()) const { wait("coalesced_group::sync", where); }

    template <typename T>
    std::remove_cvref_t<T> shfl(T&& value, unsigned rank, Where where = Where::current()) const {
        if (rank >= lanes()) {
            emulator::fail(emulator::call_at("shfl", where),
                           "shfl reads rank %u of a group of %u threads", rank, lanes());
        }
        return GroupOfLanes::shfl(value, static_cast<int>(rank), where);
    }

private:
    unsigned meta_group_rank_;
    unsigned meta_group_size_;
};

inline coalesced_group coalesced_threads(Where where = Where::current()) {
    return {emulator::converge(emulator::call_at("coalesced_threads", where)), 0, 1};
}

// Its tiles are of consecutive ranks; the last may be incomplete.
inline coalesced_group tiled_partition(
    const coalesced_group& parent, unsigned size, Where where = Where::current()) {
    emulator::check_tile_size(where, size);
    return {emulator::part_of(parent.mask(), parent.thread_rank(), size),
            parent.thread_rank() / size, (parent.size() + size - 1) / size};
}

// The threads of a tile or a coalesced group that have the same label.
template <typename Group, typename Label>
    requires(std::is_integral_v<Label>)
coalesced_group labeled_partition(
    const Group& group, Label label, Where where = Where::current()) {
    const emulator::Call call = emulator::call_at("labeled_partition", where);
    const unsigned equal = emulator::match_any(call, group.mask(), label);
    const unsigned first = equal & -equal;
    const bool leads = first == 1u << emulator::lane_in_block();
    const unsigned leaders = emulator::ballot(call, group.mask(), leads);
    return {equal, static_cast<unsigned>(__builtin_popcount(leaders & (first - 1))),
            static_cast<unsigned>(__builtin_popcount(leaders))};
}

// If all agree, the group is whole; otherwise those for whom it is false are the first of two.
template <typename Group>
coalesced_group binary_partition(
    const Group& group, bool predicate, Where where = Where::current()) {
    const emulator::Call call = emulator::call_at("binary_partition", where);
    const unsigned votes = emulator::ballot(call, group.mask(), predicate);
    if (votes == 0 || votes == group.mask()) {
        return {group.mask(), 0, 1};
    }
    return {predicate ? votes : group.mask() & ~votes, predicate ? 1u : 0u, 2};
}

template <typename Group>
constexpr bool IS_OF_LANES = std::is_base_of_v<emulator::GroupOfLanes, Group>;

}  // namespace cooperative_groups
