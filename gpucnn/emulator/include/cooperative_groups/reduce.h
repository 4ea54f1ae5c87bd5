// cooperative_groups::reduce: all threads of a tile or a coalesced group get the reduction of their
// values.
//
// The order is that of CUDA's own header (13.0), so a sum of floats has the bits that it has on a GPU.
// In a tile, and among 32 threads, it is a butterfly: in each of log2(size) steps a thread combines
// what it has, on the left, with what the thread has whose rank differs in one bit, the highest first.
// Otherwise it is the last value of an inclusive scan. Each thread calls the function itself, with
// whatever the function does.
#pragma once

#include <type_traits>

#include "../cooperative_groups.h"
#include "functional.h"
#include "scan.h"

namespace cooperative_groups {

template <typename Group, typename T, typename Function>
std::remove_cvref_t<T> reduce(
    const Group& group, T&& value, Function&& function, Where where = Where::current()) {
    using Value = std::remove_cvref_t<T>;
    check_function<Group, Value, Function>();
    const unsigned size = group.size();
    if (std::is_same_v<Group, coalesced_group> && size < emulator::LANES) {
        const Value sums = inclusive_scan(group, value, function, where);
        return group.template exchange<emulator::Direct>("reduce", where, sums, size - 1);
    }
    Value result = value;
    for (unsigned bit = size / 2; bit > 0; bit /= 2) {
        result = function(
            result, group.template exchange<emulator::Across>("reduce", where, result, bit));
    }
    return result;
}

}  // namespace cooperative_groups
