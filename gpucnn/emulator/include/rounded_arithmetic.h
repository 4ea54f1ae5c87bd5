// Arithmetic that is rounded as its name says: to the nearest (rn), towards zero (rz), down (rd) or
// up (ru).
//
// The host rounds to the nearest. Whether the exact result is above or below that follows from a
// remainder, such as a − q · b of a quotient q, which a type of more than twice the bits has
// exactly; then the neighbour in the wanted direction is taken.
#pragma once

#include <cfloat>
#include <cmath>
#include <type_traits>

#include "conversions.h"

namespace emulator {

#if LDBL_MANT_DIG >= 113
using Quadruple = long double;
#else
using Quadruple = __float128;
#endif
template <typename T>
using Wide = std::conditional_t<std::is_same_v<T, float>, double, Quadruple>;

// `remainder` has the sign of the exact result minus the nearest. It is NaN if an operand is
// infinite or NaN, and then nothing was rounded.
template <Rounding rounding, typename T, typename W>
inline T settled(T nearest, W remainder) {
    const T infinity = __builtin_huge_val();
    const bool above = remainder < 0, below = remainder > 0;
    switch (rounding) {
        case Rounding::rd: return above ? std::nextafter(nearest, -infinity) : nearest;
        case Rounding::ru: return below ? std::nextafter(nearest, infinity) : nearest;
        case Rounding::rz: {
            const bool away = nearest > 0 ? above : nearest < 0 && below;
            return away ? std::nextafter(nearest, T{0}) : nearest;
        }
        default: return nearest;
    }
}

// Of a sum with terms that the wide type has exactly.
template <Rounding rounding, typename T, typename W = Wide<T>>
inline T settled_sum(T nearest, W a, W b) {
    const W sum = a + b, added = sum - a;
    const W error = (a - (sum - added)) + (b - added);  // Of `sum`: D. Knuth's TwoSum.
    const W difference = sum - nearest;
    // Rounded down, what cancels is −0.
    if (rounding == Rounding::rd && sum == 0 && error == 0 && __builtin_signbit(static_cast<T>(a)) !=
                                                              __builtin_signbit(static_cast<T>(b))) {
        return -T{0};
    }
    return settled<rounding>(nearest, difference != 0 ? difference : error);
}

template <Rounding rounding, typename T>
inline T rounded_sum(T a, T b) {
    return settled_sum<rounding>(a + b, Wide<T>{a}, Wide<T>{b});
}
template <Rounding rounding, typename T>
inline T rounded_product(T a, T b) {
    const T nearest = a * b;
    return settled<rounding>(nearest, Wide<T>{a} * b - nearest);
}
template <Rounding rounding, typename T>
inline T rounded_fma(T a, T b, T c) {
    return settled_sum<rounding>(std::fma(a, b, c), Wide<T>{a} * b, Wide<T>{c});
}
template <Rounding rounding, typename T>
inline T rounded_quotient(T a, T b) {
    const T nearest = a / b;
    const Wide<T> remainder = a - Wide<T>{nearest} * b;
    return settled<rounding>(nearest, b < 0 ? -remainder : remainder);
}
template <Rounding rounding, typename T>
inline T rounded_root(T a) {
    const T nearest = std::sqrt(a);
    return settled<rounding>(nearest, a - Wide<T>{nearest} * nearest);
}

}  // namespace emulator

#define EMULATOR_ROUNDED(T, letter, fma_name, rounding)                                     \
    inline T __##letter##add_##rounding(T a, T b) {                                         \
        return emulator::rounded_sum<emulator::Rounding::rounding>(a, b);                   \
    }                                                                                       \
    inline T __##letter##sub_##rounding(T a, T b) {                                         \
        return emulator::rounded_sum<emulator::Rounding::rounding>(a, -b);                  \
    }                                                                                       \
    inline T __##letter##mul_##rounding(T a, T b) {                                         \
        return emulator::rounded_product<emulator::Rounding::rounding>(a, b);               \
    }                                                                                       \
    inline T __##letter##div_##rounding(T a, T b) {                                         \
        return emulator::rounded_quotient<emulator::Rounding::rounding>(a, b);              \
    }                                                                                       \
    inline T __##letter##rcp_##rounding(T a) {                                              \
        return emulator::rounded_quotient<emulator::Rounding::rounding>(T{1}, a);           \
    }                                                                                       \
    inline T __##letter##sqrt_##rounding(T a) {                                             \
        return emulator::rounded_root<emulator::Rounding::rounding>(a);                     \
    }                                                                                       \
    inline T __##fma_name##_##rounding(T a, T b, T c) {                                     \
        return emulator::rounded_fma<emulator::Rounding::rounding>(a, b, c);                \
    }
#define EMULATOR_ROUNDED_OF(rounding)              \
    EMULATOR_ROUNDED(float, f, fmaf, rounding)     \
    EMULATOR_ROUNDED(double, d, fma, rounding)
EMULATOR_ROUNDED_OF(rn)
EMULATOR_ROUNDED_OF(rz)
EMULATOR_ROUNDED_OF(rd)
EMULATOR_ROUNDED_OF(ru)
#undef EMULATOR_ROUNDED_OF
#undef EMULATOR_ROUNDED

inline float __frsqrt_rn(float a) { return static_cast<float>(1.0 / std::sqrt(double{a})); }
