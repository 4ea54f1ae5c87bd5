// cooperative_groups::inclusive_scan and exclusive_scan: each thread of a tile gets the reduction of
// the values of all threads up to it, or before it.
//
// The order is that of CUDA's own header (13.0), of which a sum of floats depends: in each step a
// thread combines what it has, on the left, with what the thread has that is 1, 2, 4, … ranks lower,
// if there is one. The exclusive scan is the inclusive one of the rank before; the first thread gets
// the value of its type that {} makes.
#pragma once

#include <type_traits>

#include "../cooperative_groups.h"
#include "functional.h"

namespace cooperative_groups {

template <unsigned Size, typename ParentT, typename T, typename Function>
std::remove_cvref_t<T> inclusive_scan(
    const thread_block_tile<Size, ParentT>& tile, T&& value, Function&& function,
    Where where = Where::current()) {
    using Value = std::remove_cvref_t<T>;
    static_assert(std::is_same_v<Value, std::remove_cvref_t<decltype(function(value, value))>>,
                  "a scan: the function returns another type than the value's");
    Value result = value;
    for (unsigned distance = 1; distance < Size; distance *= 2) {
        const Value lower = tile.template exchange<emulator::Up>("inclusive_scan", where, result, distance);
        if (tile.thread_rank() >= distance) {
            result = function(result, lower);
        }
    }
    return result;
}

template <unsigned Size, typename ParentT, typename T, typename Function>
std::remove_cvref_t<T> exclusive_scan(
    const thread_block_tile<Size, ParentT>& tile, T&& value, Function&& function,
    Where where = Where::current()) {
    using Value = std::remove_cvref_t<T>;
    const Value inclusive = inclusive_scan(tile, value, function, where);
    const Value before = tile.template exchange<emulator::Up>("exclusive_scan", where, inclusive, 1);
    return tile.thread_rank() == 0 ? Value{} : before;
}

// Sums.
template <unsigned Size, typename ParentT, typename T>
std::remove_cvref_t<T> inclusive_scan(
    const thread_block_tile<Size, ParentT>& tile, T&& value, Where where = Where::current()) {
    return inclusive_scan(tile, value, plus<std::remove_cvref_t<T>>(), where);
}
template <unsigned Size, typename ParentT, typename T>
std::remove_cvref_t<T> exclusive_scan(
    const thread_block_tile<Size, ParentT>& tile, T&& value, Where where = Where::current()) {
    return exclusive_scan(tile, value, plus<std::remove_cvref_t<T>>(), where);
}

}  // namespace cooperative_groups
