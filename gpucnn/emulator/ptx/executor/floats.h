// What the instructions on floats share: NaN, signs, zeros, and rounding in directions.
#pragma once

#include <algorithm>
#include <cfenv>

#include "executor.h"

namespace ptx {

template <class T>
struct Bits;
template <> struct Bits<float> { using type = uint32_t; };
template <> struct Bits<double> { using type = uint64_t; };

template <class T> auto bits_of(T x) { return std::bit_cast<typename Bits<T>::type>(x); }

// The NaN that an operation in FP32 gives, whatever NaN it was given. FP64 keeps what it was given.
template <class T> T canonical(T x) {
    if constexpr (sizeof(T) == 4) {
        return x != x ? std::bit_cast<float>(0x7fffffffu) : x;
    } else {
        return x;
    }
}

// A subnormal number becomes a zero of its sign.
template <class T> T flushed(T x) {
    return std::fabs(x) < std::numeric_limits<T>::min() ? std::copysign(T(0), x) : x;
}

// To [0, 1]; NaN becomes zero, and so does a negative zero.
template <class T> T clamped(T x) { return x > 0 ? (x < 1 ? x : T(1)) : T(0); }

template <class T> bool is_negative(T x) { return std::signbit(x); }

// The smaller and the larger number, with -0 < +0, and NaN only of two NaN.
template <class T> T smaller(T a, T b) {
    if (a != a) return canonical(b);
    if (b != b) return a;
    return a < b || (a == b && is_negative(a)) ? a : b;
}
template <class T> T larger(T a, T b) {
    if (a != a) return canonical(b);
    if (b != b) return a;
    return a > b || (a == b && !is_negative(a)) ? a : b;
}

// f() with sums, products and so on rounded in a direction. The operands of f must be volatile, or
// the compiler would evaluate it before.
template <class F>
auto rounded(unsigned rounding, F&& f) {
    constexpr int modes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
    std::fesetround(modes[rounding]);
    volatile auto result = f();
    std::fesetround(FE_TONEAREST);
    return +result;
}

// a + b rounded to odd: truncated, with the last bit set if that was not exact. Rounding such a
// number again, to fewer bits by two or more, is as if it had been rounded once (Boldo and
// Melquiond, 2008).
inline double sum_to_odd(double a, double b) {
    const double sum = a + b;
    const double of_b = sum - a, of_a = sum - of_b;
    const double error = (a - of_a) + (b - of_b);
    if (error == 0 || error != error || std::isinf(sum)) {
        return sum;
    }
    uint64_t bits = std::bit_cast<uint64_t>(sum);
    if (bits & 1) {
        return sum;
    }
    // Towards the error: the neighbour there has an odd mantissa.
    bits += (error > 0) == (sum > 0) ? 1 : -1;
    return std::bit_cast<double>(bits);
}

// x rounded to a float of `precision` bits whose smallest normal number is 2^least, in which the
// largest is `largest`. Of x, an infinity or NaN, nothing changes.
inline double rounded_to(double x, int precision, int least, double largest, unsigned rounding) {
    if (x == 0 || !std::isfinite(x)) {
        return x;
    }
    int exponent;
    std::frexp(x, &exponent);  // x in [2^(exponent - 1), 2^exponent)
    const int unit = std::max(exponent - 1, least) - (precision - 1);
    const double scaled = std::ldexp(x, -unit);
    double whole = 0;
    switch (rounding) {
        case TO_NEAREST: whole = std::nearbyint(scaled); break;
        case TO_ZERO: whole = std::trunc(scaled); break;
        case DOWN: whole = std::floor(scaled); break;
        case UP: whole = std::ceil(scaled); break;
        case TO_NEAREST_AWAY: whole = std::round(scaled); break;
    }
    const double result = std::copysign(std::ldexp(whole, unit), x);
    if (std::fabs(result) <= largest) {
        return result;
    }
    const bool stays = rounding == TO_ZERO || (rounding == DOWN && x > 0) || (rounding == UP && x < 0);
    return std::copysign(stays ? largest : std::numeric_limits<double>::infinity(), x);
}

// Formats of 16 bits, held as their bits.
struct Half {
    static constexpr int PRECISION = 11, LEAST = -14;
    static constexpr double LARGEST = 65504;
    static constexpr const char* name = "f16";
    static float value(uint16_t bits) { return float(std::bit_cast<_Float16>(bits)); }
    static uint16_t exactly(double x) { return std::bit_cast<uint16_t>(_Float16(float(x))); }
};
struct Bfloat {
    static constexpr int PRECISION = 8, LEAST = -126;
    static constexpr double LARGEST = 0x1.fep127;
    static constexpr const char* name = "bf16";
    static float value(uint16_t bits) { return std::bit_cast<float>(uint32_t(bits) << 16); }
    static uint16_t exactly(double x) { return std::bit_cast<uint32_t>(float(x)) >> 16; }
};

template <class F> uint16_t flushed(uint16_t a) {
    return std::fabs(F::value(a)) < std::ldexp(1.0, F::LEAST) ? a & 0x8000 : a;
}

template <class F>
uint16_t to_short(double x, unsigned rounding = TO_NEAREST) {
    if (x != x) {
        return 0x7fff;
    }
    return F::exactly(rounded_to(x, F::PRECISION, F::LEAST, F::LARGEST, rounding));
}

}  // namespace ptx
