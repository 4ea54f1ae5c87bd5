// Floating point numbers of 16 bits, which the host does not have: half and bfloat16.
#pragma once

#include <cstdint>

#include "collectives.h"
#include "conversions.h"
#include "scalar_functions.h"

namespace emulator {

template <int EXPONENT, int MANTISSA>
struct ShortFloat {
    unsigned short bits;

    ShortFloat() = default;
    ShortFloat(float x) : bits(encode(x)) {}
    ShortFloat(double x) : bits(encode(x)) {}
    ShortFloat(int x) : bits(encode(x)) {}
    ShortFloat(unsigned x) : bits(encode(x)) {}
    operator float() const { return decode(bits); }

    static constexpr int BIAS = (1 << (EXPONENT - 1)) - 1;
    static constexpr unsigned INFINITE = ((1u << EXPONENT) - 1) << MANTISSA;

    // Rounded once, to the nearest, ties to even; NaN becomes the device's one NaN.
    static unsigned short encode(double x) {
        if (x != x) {
            return 0x7fff;
        }
        const auto of_x = bit_cast<uint64_t>(x);
        const auto sign = static_cast<unsigned>(of_x >> 48 & 0x8000u);
        const int own = static_cast<int>(of_x >> 52 & 0x7ff) - 1023;
        const uint64_t mantissa = (of_x & 0xfffffffffffffu) | 0x10000000000000u;
        // Below the smallest normal number the distance of neighbours stays the same.
        const int exponent = own > 1 - BIAS ? own : 1 - BIAS;
        const int cut = 52 - MANTISSA + exponent - own, shift = cut < 62 ? cut : 62;
        const uint64_t kept = mantissa >> shift;
        const uint64_t rest = mantissa - (kept << shift), tie = uint64_t{1} << (shift - 1);
        const uint64_t rounded = kept + (rest > tie || (rest == tie && kept % 2 == 1));
        if (exponent > BIAS) {
            return static_cast<unsigned short>(sign | INFINITE);
        }
        // The leading bit of a normal number, and a carry, go into the exponent.
        const auto result = (static_cast<unsigned>(exponent + BIAS - 1) << MANTISSA) +
                            static_cast<unsigned>(rounded);
        return static_cast<unsigned short>(sign | (result < INFINITE ? result : INFINITE));
    }

    static float decode(unsigned short bits) {
        const unsigned sign = bits & 0x8000u, rest = bits & 0x7fffu;
        if (rest >= INFINITE) {
            return bit_cast<float>(sign << 16 | 0x7f800000u | (rest - INFINITE) << (23 - MANTISSA));
        }
        if constexpr (EXPONENT == 8) {
            return bit_cast<float>(static_cast<unsigned>(bits) << 16);
        } else {
            // A float with the wrong exponent, put right by a product that is exact.
            const float wide = bit_cast<float>(rest << (23 - MANTISSA));
            const float factor = bit_cast<float>(static_cast<unsigned>(127 + 127 - BIAS) << 23);
            const float scaled = wide * factor;
            return sign != 0 ? -scaled : scaled;
        }
    }

    static ShortFloat of_bits(unsigned short bits) {
        ShortFloat result;
        result.bits = bits;
        return result;
    }
};

using Half = ShortFloat<5, 10>;
using Bfloat16 = ShortFloat<8, 7>;

template <typename T>
struct alignas(4) Pair {
    T x, y;
};

template <int EXPONENT, int MANTISSA>
constexpr bool EXCHANGED<ShortFloat<EXPONENT, MANTISSA>> = true;
template <typename T>
constexpr bool EXCHANGED<Pair<T>> = true;

// a · b + c, rounded once. The sum in double is rounded to odd, which leaves the next rounding as
// if it were the only one (Boldo, Melquiond, "Emulation of FMA and correctly rounded sums", 2008).
inline double fused(double a, double b, double c) {
    const double product = a * b;  // Exact.
    const double sum = product + c;
    const double added = sum - product;
    const double error = (product - (sum - added)) + (c - added);
    auto bits = bit_cast<uint64_t>(sum);
    if (error == error && error != 0.0 && bits % 2 == 0) {
        bits = (error > 0.0) == (sum > 0.0) ? bits + 1 : bits - 1;
    }
    return bit_cast<double>(bits);
}

}  // namespace emulator

#define EMULATOR_FOR_SHORT(T)                                                               \
    template <int EXPONENT, int MANTISSA, typename T = ::emulator::ShortFloat<EXPONENT, MANTISSA>>
#define EMULATOR_SHORT ::emulator::ShortFloat<EXPONENT, MANTISSA>

#define EMULATOR_SHORT_OPERATION(name, operation)                                           \
    EMULATOR_FOR_SHORT(T) T operator operation(EMULATOR_SHORT a, EMULATOR_SHORT b) {        \
        return static_cast<double>(static_cast<float>(a)) operation static_cast<double>(   \
            static_cast<float>(b));                                                         \
    }                                                                                       \
    EMULATOR_FOR_SHORT(T) T& operator operation##=(EMULATOR_SHORT& a, EMULATOR_SHORT b) {   \
        return a = a operation b;                                                           \
    }                                                                                       \
    EMULATOR_FOR_SHORT(T) T name(EMULATOR_SHORT a, EMULATOR_SHORT b) { return a operation b; } \
    EMULATOR_FOR_SHORT(T) ::emulator::Pair<T> operator operation(                           \
        ::emulator::Pair<EMULATOR_SHORT> a, ::emulator::Pair<EMULATOR_SHORT> b) {           \
        return {a.x operation b.x, a.y operation b.y};                                      \
    }                                                                                       \
    EMULATOR_FOR_SHORT(T) ::emulator::Pair<T>& operator operation##=(                       \
        ::emulator::Pair<EMULATOR_SHORT>& a, ::emulator::Pair<EMULATOR_SHORT> b) {          \
        return a = a operation b;                                                           \
    }                                                                                       \
    EMULATOR_FOR_SHORT(T) ::emulator::Pair<T> name##2(                                      \
        ::emulator::Pair<EMULATOR_SHORT> a, ::emulator::Pair<EMULATOR_SHORT> b) {           \
        return a operation b;                                                               \
    }
EMULATOR_SHORT_OPERATION(__hadd, +)
EMULATOR_SHORT_OPERATION(__hsub, -)
EMULATOR_SHORT_OPERATION(__hmul, *)
EMULATOR_SHORT_OPERATION(__hdiv, /)
#undef EMULATOR_SHORT_OPERATION

#define EMULATOR_SHORT_COMPARISON(name, operation)                                          \
    EMULATOR_FOR_SHORT(T) bool operator operation(EMULATOR_SHORT a, EMULATOR_SHORT b) {     \
        return static_cast<float>(a) operation static_cast<float>(b);                       \
    }                                                                                       \
    EMULATOR_FOR_SHORT(T) bool name(EMULATOR_SHORT a, EMULATOR_SHORT b) { return a operation b; } \
    EMULATOR_FOR_SHORT(T) bool operator operation(                                          \
        ::emulator::Pair<EMULATOR_SHORT> a, ::emulator::Pair<EMULATOR_SHORT> b) {           \
        return a.x operation b.x && a.y operation b.y;                                      \
    }
EMULATOR_SHORT_COMPARISON(__heq, ==)
EMULATOR_SHORT_COMPARISON(__hne, !=)
EMULATOR_SHORT_COMPARISON(__hlt, <)
EMULATOR_SHORT_COMPARISON(__hle, <=)
EMULATOR_SHORT_COMPARISON(__hgt, >)
EMULATOR_SHORT_COMPARISON(__hge, >=)
#undef EMULATOR_SHORT_COMPARISON

EMULATOR_FOR_SHORT(T) T operator-(EMULATOR_SHORT a) {
    return T::of_bits(a.bits ^ 0x8000u);
}
EMULATOR_FOR_SHORT(T) T __hneg(EMULATOR_SHORT a) { return -a; }
EMULATOR_FOR_SHORT(T) T __habs(EMULATOR_SHORT a) { return T::of_bits(a.bits & 0x7fffu); }
EMULATOR_FOR_SHORT(T) bool __hisnan(EMULATOR_SHORT a) { return (a.bits & 0x7fffu) > T::INFINITE; }
EMULATOR_FOR_SHORT(T) int __hisinf(EMULATOR_SHORT a) {
    return (a.bits & 0x7fffu) != T::INFINITE ? 0 : a.bits > 0x7fffu ? -1 : 1;
}
EMULATOR_FOR_SHORT(T) T __hmax(EMULATOR_SHORT a, EMULATOR_SHORT b) {
    return fmaxf(static_cast<float>(a), static_cast<float>(b));
}
EMULATOR_FOR_SHORT(T) T __hmin(EMULATOR_SHORT a, EMULATOR_SHORT b) {
    return fminf(static_cast<float>(a), static_cast<float>(b));
}
EMULATOR_FOR_SHORT(T) T __hfma(EMULATOR_SHORT a, EMULATOR_SHORT b, EMULATOR_SHORT c) {
    return ::emulator::fused(
        static_cast<float>(a), static_cast<float>(b), static_cast<float>(c));
}
EMULATOR_FOR_SHORT(T) ::emulator::Pair<T> __hfma2(
    ::emulator::Pair<EMULATOR_SHORT> a, ::emulator::Pair<EMULATOR_SHORT> b,
    ::emulator::Pair<EMULATOR_SHORT> c) {
    return {__hfma(a.x, b.x, c.x), __hfma(a.y, b.y, c.y)};
}
EMULATOR_FOR_SHORT(T) ::emulator::Pair<T> operator-(::emulator::Pair<EMULATOR_SHORT> a) {
    return {-a.x, -a.y};
}
EMULATOR_FOR_SHORT(T) ::emulator::Pair<T> __hneg2(::emulator::Pair<EMULATOR_SHORT> a) { return -a; }

// In float, and rounded.
#define EMULATOR_SHORT_FUNCTION(name, result)                                               \
    EMULATOR_FOR_SHORT(T) T h##name(EMULATOR_SHORT short_x) {                               \
        const float x = short_x;                                                            \
        return result;                                                                      \
    }                                                                                       \
    EMULATOR_FOR_SHORT(T) ::emulator::Pair<T> h2##name(::emulator::Pair<EMULATOR_SHORT> a) { \
        return {h##name(a.x), h##name(a.y)};                                                \
    }
EMULATOR_SHORT_FUNCTION(exp, ::expf(x))
EMULATOR_SHORT_FUNCTION(exp2, ::exp2f(x))
EMULATOR_SHORT_FUNCTION(log, ::logf(x))
EMULATOR_SHORT_FUNCTION(log2, ::log2f(x))
EMULATOR_SHORT_FUNCTION(log10, ::log10f(x))
EMULATOR_SHORT_FUNCTION(sin, ::sinf(x))
EMULATOR_SHORT_FUNCTION(cos, ::cosf(x))
EMULATOR_SHORT_FUNCTION(sqrt, ::sqrtf(x))
EMULATOR_SHORT_FUNCTION(rsqrt, 1.0f / ::sqrtf(x))
EMULATOR_SHORT_FUNCTION(rcp, 1.0f / x)
EMULATOR_SHORT_FUNCTION(floor, ::floorf(x))
EMULATOR_SHORT_FUNCTION(ceil, ::ceilf(x))
EMULATOR_SHORT_FUNCTION(trunc, ::truncf(x))
EMULATOR_SHORT_FUNCTION(rint, ::rintf(x))
#undef EMULATOR_SHORT_FUNCTION

EMULATOR_FOR_SHORT(T) ::emulator::Pair<T> __hmax2(
    ::emulator::Pair<EMULATOR_SHORT> a, ::emulator::Pair<EMULATOR_SHORT> b) {
    return {__hmax(a.x, b.x), __hmax(a.y, b.y)};
}
EMULATOR_FOR_SHORT(T) ::emulator::Pair<T> __hmin2(
    ::emulator::Pair<EMULATOR_SHORT> a, ::emulator::Pair<EMULATOR_SHORT> b) {
    return {__hmin(a.x, b.x), __hmin(a.y, b.y)};
}
#undef EMULATOR_FOR_SHORT
#undef EMULATOR_SHORT

// What both headers have under names of their own: the type, its pair, and conversions.
#define EMULATOR_SHORT_NAMES(T, word, pair_word)                                            \
    using T = ::emulator::ShortFloat<EMULATOR_SHORT_FORMAT>;                                \
    using T##2 = ::emulator::Pair<T>;                                                       \
    inline T __float2##word(float x) { return x; }                                          \
    inline T __float2##word##_rn(float x) { return x; }                                     \
    inline T __double2##word(double x) { return x; }                                        \
    inline T __int2##word##_rn(int x) { return x; }                                         \
    inline T __uint2##word##_rn(unsigned x) { return x; }                                   \
    inline int __##word##2int_rn(T x) { return __float2int_rn(x); }                         \
    inline int __##word##2int_rz(T x) { return __float2int_rz(x); }                         \
    inline unsigned __##word##2uint_rn(T x) { return __float2uint_rn(x); }                  \
    inline unsigned __##word##2uint_rz(T x) { return __float2uint_rz(x); }                  \
    inline float __##word##2float(T x) { return x; }                                        \
    inline unsigned short __##word##_as_ushort(T x) { return x.bits; }                      \
    inline T __ushort_as_##word(unsigned short bits) { return T::of_bits(bits); }           \
    inline T##2 __halves2##pair_word(T x, T y) { return {x, y}; }                           \
    inline T##2 __float2##pair_word##_rn(float x) { return {x, x}; }                        \
    inline T##2 __floats2##pair_word##_rn(float x, float y) { return {x, y}; }              \
    inline T##2 __float22##pair_word##_rn(float2 x) { return {x.x, x.y}; }                  \
    inline float2 __##pair_word##2float2(T##2 x) { return {x.x, x.y}; }                     \
    inline T##2 __##word##2##pair_word(T x) { return {x, x}; }                              \
    inline T __low2##word(T##2 x) { return x.x; }                                           \
    inline T __high2##word(T##2 x) { return x.y; }
