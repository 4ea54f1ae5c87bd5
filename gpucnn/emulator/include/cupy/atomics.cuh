// CuPy's atomic operations of types that CUDA's do not have: the greater and the lesser of floats,
// and sums of long long.
#pragma once

#include <cmath>

#include "../atomics.h"
#include "carray.cuh"

namespace emulator {

inline long long atomic_add(const Call& call, long long* address, long long value) {
    return static_cast<long long>(
        atomic_add(call, reinterpret_cast<unsigned long long*>(address),
                   static_cast<unsigned long long>(value)));
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
