// cooperative_groups::reduce: all threads of a tile get the reduction of their values.
//
// The order is that of CUDA's own header (13.0), a butterfly: in each of log2(size) steps a thread
// combines what it has, on the left, with what the thread has whose rank differs in one bit, the
// highest first. So a sum of floats has the bits that it has on a GPU. Each thread calls the function
// itself, with whatever the function does.
#pragma once

#include <type_traits>

#include "../cooperative_groups.h"
#include "functional.h"

namespace cooperative_groups {

template <unsigned Size, typename ParentT, typename T, typename Function>
std::remove_cvref_t<T> reduce(
    const thread_block_tile<Size, ParentT>& tile, T&& value, Function&& function,
    Where where = Where::current()) {
    using Value = std::remove_cvref_t<T>;
    static_assert(std::is_same_v<Value, std::remove_cvref_t<decltype(function(value, value))>>,
                  "reduce: the function returns another type than the value's");
    Value result = value;
    for (unsigned bit = Size / 2; bit > 0; bit /= 2) {
        result = function(
            result, tile.template exchange<emulator::Across>("reduce", where, result, bit));
    }
    return result;
}

}  // namespace cooperative_groups
