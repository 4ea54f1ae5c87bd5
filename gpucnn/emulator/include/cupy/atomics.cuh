// CuPy's atomic operations of types that CUDA's do not have: the greater and the lesser of floats,
// and sums of long long.
#pragma once

#include <cmath>

#include "../atomics.h"
#include "../scalar_functions.h"
#include "carray.cuh"

namespace emulator {

inline long long atomic_add(const Call& call, long long* address, long long value) {
    return static_cast<long long>(
        atomic_add(call, reinterpret_cast<unsigned long long*>(address),
                   static_cast<unsigned long long>(value)));
}

// Stores one of the present value and another, again until no other thread has changed the value in
// between. Returns what was there. `Bits` is an integer type of the same size.
template <typename Bits, typename T, typename Choice>
T atomic_choice(const Call& call, T* address, T value, Choice choose) {
    auto* bits = reinterpret_cast<Bits*>(address);
    Bits seen = atomic_compare_exchange(call, bits, Bits{0}, Bits{0});  // Reads it.
    for (;;) {
        const Bits chosen = bit_cast<Bits>(choose(value, bit_cast<T>(seen)));
        const Bits before = atomic_compare_exchange(call, bits, seen, chosen);
        if (before == seen) {
            return bit_cast<T>(before);
        }
        seen = before;
    }
}

#define EMULATOR_ATOMIC_CHOICE(name, T, Bits, choice)                                       \
    inline T atomic_##name(const Call& call, T* address, T value) {                         \
        return atomic_choice<Bits>(                                                         \
            call, address, value, [](T a, T b) { return choice(a, b); });                   \
    }
EMULATOR_ATOMIC_CHOICE(max, float, int, ::fmaxf)
EMULATOR_ATOMIC_CHOICE(min, float, int, ::fminf)
EMULATOR_ATOMIC_CHOICE(max, double, unsigned long long, ::fmax)
EMULATOR_ATOMIC_CHOICE(min, double, unsigned long long, ::fmin)
#undef EMULATOR_ATOMIC_CHOICE

}  // namespace emulator
