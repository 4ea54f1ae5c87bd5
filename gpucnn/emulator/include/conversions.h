// Conversions of numbers that say how they round: to the nearest with ties to even (rn), towards
// zero (rz), down (rd) and up (ru).
#pragma once

#include <cmath>

#include "scalar_functions.h"

namespace emulator {

enum class Rounding { rn, rz, rd, ru };

template <Rounding rounding>
inline double whole(double x) {
    switch (rounding) {
        case Rounding::rn: return ::rint(x);
        case Rounding::rz: return ::trunc(x);
        case Rounding::rd: return ::floor(x);
        default: return ::ceil(x);
    }
}

// What does not fit becomes the nearest that does. NaN becomes 0, or from or to 64 bits the highest
// bit alone.
template <typename To, Rounding rounding, typename From>
inline To to_integer(From x) {
    constexpr bool is_signed = static_cast<To>(-1) < To{0};
    constexpr int bits = 8 * sizeof(To) - is_signed;
    constexpr To most = static_cast<To>(~0ull >> (64 - bits)), least = static_cast<To>(~most);
    if (x != x) {
        const bool zero = sizeof(From) <= 4 && sizeof(To) <= 4;
        return zero ? To{0} : static_cast<To>(1ull << (8 * sizeof(To) - 1));
    }
    const double result = whole<rounding>(x);
    // A power of two, which a double has exactly; the largest number of 64 bits it has not.
    const double beyond = 2.0 * static_cast<double>(1ull << (bits - 1));
    if (result >= beyond) {
        return most;
    }
    return result < static_cast<double>(least) ? least : static_cast<To>(result);
}

// A long double has every integer of 64 bits, and every double.
template <typename To, Rounding rounding, typename From>
inline To to_floating(From x) {
    const long double exact = x;
    const To nearest = static_cast<To>(x);
    const To infinity = __builtin_huge_val();
    const bool above = nearest > exact, below = nearest < exact;
    if constexpr (rounding == Rounding::rn) {
        return nearest;
    } else if constexpr (rounding == Rounding::rd) {
        return above ? std::nextafter(nearest, -infinity) : nearest;
    } else if constexpr (rounding == Rounding::ru) {
        return below ? std::nextafter(nearest, infinity) : nearest;
    } else {
        return (exact < 0 ? below : above) ? std::nextafter(nearest, To{0}) : nearest;
    }
}

}  // namespace emulator

#define EMULATOR_CONVERSION(name, how, From, To, rounding)                         \
    inline To __##name##_##rounding(From x) {                                      \
        return emulator::how<To, emulator::Rounding::rounding>(x);                 \
    }
#define EMULATOR_CONVERSIONS(name, how, From, To)                                  \
    EMULATOR_CONVERSION(name, how, From, To, rn)                                   \
    EMULATOR_CONVERSION(name, how, From, To, rz)                                   \
    EMULATOR_CONVERSION(name, how, From, To, rd)                                   \
    EMULATOR_CONVERSION(name, how, From, To, ru)
#define EMULATOR_OF_INTEGER(word, T)                                               \
    EMULATOR_CONVERSIONS(float2##word, to_integer, float, T)                       \
    EMULATOR_CONVERSIONS(double2##word, to_integer, double, T)                     \
    EMULATOR_CONVERSIONS(word##2float, to_floating, T, float)

EMULATOR_OF_INTEGER(int, int)
EMULATOR_OF_INTEGER(uint, unsigned)
EMULATOR_OF_INTEGER(ll, long long)
EMULATOR_OF_INTEGER(ull, unsigned long long)
EMULATOR_CONVERSION(int2double, to_floating, int, double, rn)
EMULATOR_CONVERSION(uint2double, to_floating, unsigned, double, rn)
EMULATOR_CONVERSIONS(ll2double, to_floating, long long, double)
EMULATOR_CONVERSIONS(ull2double, to_floating, unsigned long long, double)
EMULATOR_CONVERSIONS(double2float, to_floating, double, float)

#undef EMULATOR_OF_INTEGER
#undef EMULATOR_CONVERSIONS
#undef EMULATOR_CONVERSION

inline double __hiloint2double(int high, int low) {
    const auto bits = static_cast<uint64_t>(static_cast<unsigned>(high)) << 32;
    return emulator::bit_cast<double>(bits | static_cast<unsigned>(low));
}
inline int __double2hiint(double x) {
    return static_cast<int>(emulator::bit_cast<uint64_t>(x) >> 32);
}
inline int __double2loint(double x) { return static_cast<int>(emulator::bit_cast<uint64_t>(x)); }
