// Floating point numbers of 16 bits, which the host does not have: half and bfloat16.
//
// Operations are computed in double and rounded to 16 bits. That rounds as if it were done once:
// - Products are exact in double: 11 times 11 bits are 22. So are sums of halves, whose bits span 41
//   positions.
// - Other sums, quotients and roots are rounded twice, but to 53 bits first. With p bits in the
//   result, a first rounding to 2p + 2 or more changes nothing (S. A. Figueroa, "When is double
//   rounding innocuous?", 1995); 2 · 11 + 2 is 24.
// - fma rounds its sum to odd first, see `fused`.
#pragma once

#include <concepts>
#include <cstdint>

#include "collectives.h"
#include "conversions.h"
#include "scalar_functions.h"

namespace emulator {

// A double that rounds to fewer bits, in any direction, as the integer does: what does not fit into
// its 53 bits makes the last of them odd.
template <std::integral Integer>
inline double to_odd_double(Integer x) {
    const bool negative = x < 0;
    const uint64_t bits = static_cast<uint64_t>(x), magnitude = negative ? 0 - bits : bits;
    const int cut = magnitude >> 53 == 0 ? 0 : 11 - __builtin_clzll(magnitude);
    const uint64_t kept = magnitude >> cut;
    const uint64_t odd = kept << cut == magnitude ? kept : kept | 1;
    const double result = static_cast<double>(odd << cut);
    return negative ? -result : result;
}

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

// The bits of a number, in CUDA's words.
template <int EXPONENT, int MANTISSA>
struct ShortFloatBits {
    unsigned short x;
};

template <int EXPONENT, int MANTISSA>
struct ShortFloat {
    using Bits = ShortFloatBits<EXPONENT, MANTISSA>;

    unsigned short bits;

    ShortFloat() = default;
    ShortFloat(Bits raw) : bits(raw.x) {}
    ShortFloat(float x) : bits(encode(x)) {}
    ShortFloat(double x) : bits(encode(x)) {}
    template <std::integral Integer>
    ShortFloat(Integer x) : bits(encode(to_odd_double(x))) {}

    operator Bits() const { return {bits}; }
    operator float() const { return decode(bits); }
    operator bool() const { return (bits & 0x7fffu) != 0; }
    template <std::integral Integer>
    operator Integer() const {
        return to_integer<Integer, Rounding::rz>(decode(bits));
    }

    static constexpr int BIAS = (1 << (EXPONENT - 1)) - 1;
    static constexpr unsigned INFINITE = ((1u << EXPONENT) - 1) << MANTISSA;

    // Rounded once; NaN becomes the device's one NaN.
    template <Rounding rounding = Rounding::rn>
    static unsigned short encode(double x) {
        if (x != x) {
            return 0x7fff;
        }
        const auto of_x = bit_cast<uint64_t>(x);
        const auto sign = static_cast<unsigned>(of_x >> 48 & 0x8000u);
        const int own = static_cast<int>(of_x >> 52 & 0x7ff) - 1023;
        if (own == 1024 || x == 0.0) {
            return static_cast<unsigned short>(sign | (x == 0.0 ? 0u : INFINITE));
        }
        const bool away = rounding == (sign == 0 ? Rounding::ru : Rounding::rd);
        if (own > BIAS) {
            const bool largest = !away && rounding != Rounding::rn;
            return static_cast<unsigned short>(sign | (INFINITE - largest));
        }
        const uint64_t mantissa = (of_x & 0xfffffffffffffu) | 0x10000000000000u;
        // Below the smallest normal number the distance of neighbours stays the same.
        const int exponent = own > 1 - BIAS ? own : 1 - BIAS;
        const int cut = 52 - MANTISSA + exponent - own, shift = cut < 62 ? cut : 62;
        const uint64_t kept = mantissa >> shift;
        const uint64_t rest = mantissa - (kept << shift), tie = uint64_t{1} << (shift - 1);
        const bool nearer = rest > tie || (rest == tie && kept % 2 == 1);
        const bool up = rounding == Rounding::rn ? nearer : away && rest != 0;
        // The leading bit of a normal number, and a carry, go into the exponent.
        const auto result = (static_cast<unsigned>(exponent + BIAS - 1) << MANTISSA) +
                            static_cast<unsigned>(kept + up);
        return static_cast<unsigned short>(sign | result);
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

    static ShortFloat of_bits(unsigned short bits) { return Bits{bits}; }

    double wide() const { return decode(bits); }

    // As on the device, an operand of another type is ambiguous: both could be converted.
#define EMULATOR_SHORT_OPERATOR(operation)                                                  \
    friend ShortFloat operator operation(ShortFloat a, ShortFloat b) {                      \
        return a.wide() operation b.wide();                                                 \
    }                                                                                       \
    friend ShortFloat& operator operation##=(ShortFloat& a, ShortFloat b) {                 \
        return a = a operation b;                                                           \
    }
    EMULATOR_SHORT_OPERATOR(+)
    EMULATOR_SHORT_OPERATOR(-)
    EMULATOR_SHORT_OPERATOR(*)
    EMULATOR_SHORT_OPERATOR(/)
#undef EMULATOR_SHORT_OPERATOR

#define EMULATOR_SHORT_COMPARISON(operation)                                                \
    friend bool operator operation(ShortFloat a, ShortFloat b) {                            \
        return a.wide() operation b.wide();                                                 \
    }
    EMULATOR_SHORT_COMPARISON(==)
    EMULATOR_SHORT_COMPARISON(!=)
    EMULATOR_SHORT_COMPARISON(<)
    EMULATOR_SHORT_COMPARISON(<=)
    EMULATOR_SHORT_COMPARISON(>)
    EMULATOR_SHORT_COMPARISON(>=)
#undef EMULATOR_SHORT_COMPARISON

    friend ShortFloat operator+(ShortFloat a) { return a; }
    friend ShortFloat operator-(ShortFloat a) { return of_bits(a.bits ^ 0x8000u); }
    ShortFloat& operator++() { return *this += ShortFloat(1); }
    ShortFloat& operator--() { return *this -= ShortFloat(1); }
    ShortFloat operator++(int) {
        const ShortFloat before = *this;
        ++*this;
        return before;
    }
    ShortFloat operator--(int) {
        const ShortFloat before = *this;
        --*this;
        return before;
    }
};

using Half = ShortFloat<5, 10>;
using Bfloat16 = ShortFloat<8, 7>;

// Two numbers, on which operators act one by one; a comparison holds if it holds for both.
template <typename T>
struct alignas(4) Pair {
    T x, y;

    Pair() = default;
    Pair(T x, T y) : x(x), y(y) {}

#define EMULATOR_PAIR_OPERATOR(operation)                                                   \
    friend Pair operator operation(Pair a, Pair b) {                                        \
        return {a.x operation b.x, a.y operation b.y};                                      \
    }                                                                                       \
    friend Pair& operator operation##=(Pair& a, Pair b) { return a = a operation b; }
    EMULATOR_PAIR_OPERATOR(+)
    EMULATOR_PAIR_OPERATOR(-)
    EMULATOR_PAIR_OPERATOR(*)
    EMULATOR_PAIR_OPERATOR(/)
#undef EMULATOR_PAIR_OPERATOR

#define EMULATOR_PAIR_COMPARISON(operation)                                                 \
    friend bool operator operation(Pair a, Pair b) {                                        \
        return a.x operation b.x && a.y operation b.y;                                      \
    }
    EMULATOR_PAIR_COMPARISON(==)
    EMULATOR_PAIR_COMPARISON(!=)
    EMULATOR_PAIR_COMPARISON(<)
    EMULATOR_PAIR_COMPARISON(<=)
    EMULATOR_PAIR_COMPARISON(>)
    EMULATOR_PAIR_COMPARISON(>=)
#undef EMULATOR_PAIR_COMPARISON

    friend Pair operator+(Pair a) { return a; }
    friend Pair operator-(Pair a) { return {-a.x, -a.y}; }
    Pair& operator++() { return *this = {++x, ++y}; }
    Pair& operator--() { return *this = {--x, --y}; }
    Pair operator++(int) { return {x++, y++}; }
    Pair operator--(int) { return {x--, y--}; }
};

template <int EXPONENT, int MANTISSA>
constexpr bool EXCHANGED<ShortFloat<EXPONENT, MANTISSA>> = true;
template <typename T>
constexpr bool EXCHANGED<Pair<T>> = true;

template <typename T>
inline bool is_nan(T x) {
    return (x.bits & 0x7fffu) > T::INFINITE;
}

// Limited to 0 … 1; NaN and −0 become +0.
template <typename T>
inline T saturated(T x) {
    return x > T(0) ? x < T(1) ? x : T(1) : T(0);
}

// Nothing negative.
template <typename T>
inline T rectified(T x) {
    return x > T(0) || is_nan(x) ? x : T(0);
}

// A number wins over NaN, and +0 is greater than −0.
template <typename T>
inline T greater_of(T a, T b) {
    if (is_nan(a) || is_nan(b)) {
        return !is_nan(a) ? a : !is_nan(b) ? b : T::of_bits(0x7fff);
    }
    return a > b || (a == b && a.bits < b.bits) ? a : b;
}
template <typename T>
inline T lesser_of(T a, T b) {
    return is_nan(a) || is_nan(b) ? greater_of(a, b) : -greater_of(-a, -b);
}

// The result, or NaN if an operand is.
template <typename T>
inline T unless_nan(T a, T b, T result) {
    return is_nan(a) || is_nan(b) ? T::of_bits(0x7fff) : result;
}

}  // namespace emulator
