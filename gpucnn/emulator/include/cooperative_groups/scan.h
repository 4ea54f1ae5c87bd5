// cooperative_groups::inclusive_scan and exclusive_scan: each thread of a tile or a coalesced group gets
// the reduction of the values of all threads up to it, or before it.
//
// The order, on which a sum of floats depends, is that of CUDA's own header (13.0): in each step a
// thread combines what it has, on the left, with what the thread has that is 1, 2, 4, … ranks lower,
// if there is one. The exclusive scan is the inclusive one of the rank before; the first thread gets
// the value of its type that {} makes.
#pragma once

#include <type_traits>

#include "../cooperative_groups.h"
#include "functional.h"

namespace cooperative_groups {

template <typename Group, typename T, typename Function>
void check_function() {
    static_assert(IS_OF_LANES<Group>, "only a tile or a coalesced group can be reduced or scanned");
    static_assert(std::is_same_v<T, std::remove_cvref_t<std::invoke_result_t<Function, T&, T&>>>,
                  "the function of a reduction or scan returns another type than the value's");
}

template <typename Group, typename T, typename Function>
std::remove_cvref_t<T> inclusive_scan(
    const Group& group, T&& value, Function&& function, Where where = Where::current()) {
    using Value = std::remove_cvref_t<T>;
    check_function<Group, Value, Function>();
    Value result = value;
    for (unsigned distance = 1; distance < group.size(); distance *= 2) {
        const Value lower =
            group.template exchange<emulator::Up>("inclusive_scan", where, result, distance);
        if (group.thread_rank() >= distance) {
            result = function(result, lower);
        }
    }
    return result;
}

template <typename Group, typename T, typename Function>
std::remove_cvref_t<T> exclusive_scan(
    const Group& group, T&& value, Function&& function, Where where = Where::current()) {
    using Value = std::remove_cvref_t<T>;
    const Value inclusive = inclusive_scan(group, value, function, where);
    const Value before =
        group.template exchange<emulator::Up>("exclusive_scan", where, inclusive, 1);
    return group.thread_rank() == 0 ? Value{} : before;
}

// Sums.
template <typename Group, typename T>
std::remove_cvref_t<T> inclusive_scan(
    const Group& group, T&& value, Where where = Where::current()) {
    return inclusive_scan(group, value, plus<std::remove_cvref_t<T>>(), where);
}
template <typename Group, typename T>
std::remove_cvref_t<T> exclusive_scan(
    const Group& group, T&& value, Where where = Where::current()) {
    return exclusive_scan(group, value, plus<std::remove_cvref_t<T>>(), where);
}

}  // namespace cooperative_groups
