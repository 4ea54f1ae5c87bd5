// CuPy's atomic operations of types that CUDA's do not have: the greater and the lesser of floats,
// and sums of long long. Each is repeated until no other thread has changed the value in between.
#pragma once

#include <cmath>
#include <type_traits>

#include "../atomics.h"
#include "../scalar_functions.h"
#include "carray.cuh"

namespace emulator {

inline long long atomic_add(const Call& call, long long* address, long long value) {
    return static_cast<long long>(
        atomic_add(call, reinterpret_cast<unsigned long long*>(address),
                   static_cast<unsigned long long>(value)));
}

template <typename T, typename Bits, typename Choice>
T atomic_choice(const Call& call, T* address, T value, Choice choose) {
    auto* bits = reinterpret_cast<Bits*>(address);
    // Compared and exchanged with itself, which reads it.
    Bits seen = atomic_compare_exchange(call, bits, 0, 0);
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
        return atomic_choice<T, Bits>(                                                      \
            call, address, value, [](T a, T b) { return choice(a, b); });                   \
    }
EMULATOR_ATOMIC_CHOICE(max, float, int, ::fmaxf)
EMULATOR_ATOMIC_CHOICE(min, float, int, ::fminf)
EMULATOR_ATOMIC_CHOICE(max, double, unsigned long long, ::fmax)
EMULATOR_ATOMIC_CHOICE(min, double, unsigned long long, ::fmin)
#undef EMULATOR_ATOMIC_CHOICE

}  // namespace emulator
