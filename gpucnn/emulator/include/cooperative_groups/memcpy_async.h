// cooperative_groups::memcpy_async: a group copies an array to shared memory while it goes on.
//
// Each thread copies its share in pieces of 16, 8 or 4 bytes, as both addresses allow, by asynchronous
// copies (runtime/async_copy.cpp); until the group has waited, what lies there is poison. What is
// left, or aligned to less than 4 bytes, is copied at once, as on a GPU. A call is one stage; wait
// waits for all stages that the thread has begun, wait_prior<N> for all but the last N, and both end
// with the group's barrier, which makes the copies of all visible to all.
#pragma once

#include <cstddef>
#include <cstdint>

#include "../cooperative_groups.h"

namespace emulator {

template <typename Group>
void copy_by_group(
    const Call& call, const Group& group, char* to, const char* from, size_t bytes) {
    const uintptr_t addresses = reinterpret_cast<uintptr_t>(to) | reinterpret_cast<uintptr_t>(from);
    const size_t piece = addresses % 16 == 0 ? 16 : addresses % 8 == 0 ? 8 : 4;
    const size_t asynchronous = addresses % piece == 0 ? bytes / piece * piece : 0;
    for (size_t i = group.thread_rank() * piece; i < asynchronous; i += group.size() * piece) {
        async_copy(call, to + i, from + i, piece, piece);
    }
    for (size_t i = asynchronous + group.thread_rank(); i < bytes; i += group.size()) {
        to[i] = from[i];
    }
    async_commit();
}

}  // namespace emulator

namespace cooperative_groups {

// Copies `bytes` bytes.
template <typename Group, typename T, typename Size>
void memcpy_async(
    const Group& group, T* to, const T* from, const Size& bytes, Where where = Where::current()) {
    emulator::copy_by_group(emulator::call_at("memcpy_async", where), group,
                            reinterpret_cast<char*>(to), reinterpret_cast<const char*>(from),
                            static_cast<size_t>(bytes));
}

// Copies as many elements as there are at the source, and as there is room for.
template <typename Group, typename T, typename Room, typename Count>
void memcpy_async(
    const Group& group, T* to, const Room& room, const T* from, const Count& count,
    Where where = Where::current()) {
    const size_t fewer = static_cast<size_t>(room) < static_cast<size_t>(count)
                             ? static_cast<size_t>(room)
                             : static_cast<size_t>(count);
    memcpy_async(group, to, from, fewer * sizeof(T), where);
}

template <unsigned Stage, typename Group>
void wait_prior(const Group& group, Where where = Where::current()) {
    emulator::async_wait(emulator::call_at("wait_prior", where), Stage);
    group.sync(where);
}

template <typename Group>
void wait(const Group& group, Where where = Where::current()) {
    emulator::async_wait(emulator::call_at("wait", where), 0);
    group.sync(where);
}

}  // namespace cooperative_groups
