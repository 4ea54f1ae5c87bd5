// CUDA's mathematical functions that C does not have: inverses of the error function, modified Bessel
// functions, norms of vectors. They are computed in double; a GPU's differ in the last bits.
#pragma once

#include <cmath>

#include "math_functions.h"

namespace emulator {

constexpr double ROOT_OF_TWO = 1.41421356237309504880;
constexpr double TWO_OVER_ROOT_OF_PI = 1.12837916709551257390;
constexpr double PI = 3.14159265358979323846;

// t of erf(t) = x and erfc(t) = y, for x and y of 0 to 1 that add up to 1: the smaller one has all the
// bits. S. Winitzki's approximation ("A handy approximation for the error function and its inverse",
// 2008) has two or three digits, and each of Newton's steps doubles their number. They are taken on
// erf where that is small; else on log erfc, which is nearly a parabola, while erfc may be tiny.
inline double inverse_erf(double x, double y) {
    if (!(x > 0.0) || !(y > 0.0)) {
        return x == 0.0 ? 0.0 : y == 0.0 ? __builtin_huge_val() : __builtin_nan("");
    }
    const double a = 0.147, logarithm = ::log(y) + ::log(1.0 + x);
    const double middle = 2.0 / (PI * a) + logarithm / 2.0;
    const double square = ::sqrt(middle * middle - logarithm / a) - middle;
    double t = ::sqrt(::fmax(square, 0.0));
    for (int step = 0; step < 5; ++step) {
        const double slope = TWO_OVER_ROOT_OF_PI * ::exp(-t * t);
        if (x < y) {
            t -= (::erf(t) - x) / slope;
        } else {
            const double there = ::erfc(t);
            t += ::log(there / y) * there / slope;
        }
    }
    return t;
}

// exp(x²) erfc(x). The square is split into what a double has of it and the rest. Where erfc is
// about to underflow, its asymptotic series ends within a double's bits.
inline double scaled_erfc(double x) {
    if (x < 25.0) {
        const double square = x * x, rest = ::fma(x, x, -square);
        return ::exp(square) * (1.0 + rest) * ::erfc(x);
    }
    double term = 1.0, sum = 1.0;
    for (int k = 1; k <= 8; ++k) {
        term *= -(2 * k - 1) / (2.0 * x * x);
        sum += term;
    }
    return sum / x * (TWO_OVER_ROOT_OF_PI / 2.0);
}

// The modified Bessel function of an order: the sum of (x/2)^(2k + order) / (k! (k + order)!), of
// which all terms have one sign.
inline double modified_bessel(int order, double x) {
    const double quarter = x * x / 4.0;
    double term = order == 0 ? 1.0 : x / 2.0, sum = term;
    for (int k = 1; std::abs(term) > 1e-17 * std::abs(sum) && std::abs(sum) < 1e308; ++k) {
        term *= quarter / (static_cast<double>(k) * (k + order));
        sum += term;
    }
    return sum;
}

// The length of a vector, scaled so that no square overflows.
template <typename T>
inline double length(int dimensions, const T* x) {
    double most = 0.0, sum = 0.0;
    for (int i = 0; i < dimensions; ++i) {
        const double size = std::abs(static_cast<double>(x[i]));
        most = ::fmax(most, size);
        sum += size;
    }
    if (most == 0.0 || most > 1.7976931348623157e308) {
        return most == 0.0 ? sum : most;  // NaN, if nothing but NaN and 0 is there.
    }
    sum = 0.0;
    for (int i = 0; i < dimensions; ++i) {
        const double scaled = x[i] / most;
        sum += scaled * scaled;
    }
    return most * ::sqrt(sum);
}

}  // namespace emulator

namespace emulator::device {

// A function of doubles, and what CUDA calls it for floats.
#define EMULATOR_SPECIAL(name, result)                                                      \
    inline double name(double x) { return result; }                                         \
    inline float name##f(float x) { return static_cast<float>(name(double{x})); }           \
    inline float name(float x) { return name##f(x); }
EMULATOR_SPECIAL(erfinv, ::copysign(inverse_erf(std::abs(x), 1.0 - std::abs(x)), x))
EMULATOR_SPECIAL(erfcinv, x > 1.0 ? -inverse_erf(x - 1.0, 2.0 - x) : inverse_erf(1.0 - x, x))
EMULATOR_SPECIAL(normcdfinv, -ROOT_OF_TWO * erfcinv(2.0 * x))
EMULATOR_SPECIAL(erfcx, scaled_erfc(x))
EMULATOR_SPECIAL(cyl_bessel_i0, modified_bessel(0, x))
EMULATOR_SPECIAL(cyl_bessel_i1, modified_bessel(1, x))
#undef EMULATOR_SPECIAL

inline double jn(int order, double x) { return ::jn(order, x); }
inline float jn(int order, float x) { return ::jnf(order, x); }
inline double yn(int order, double x) { return ::yn(order, x); }
inline float yn(int order, float x) { return ::ynf(order, x); }

inline double norm(int dimensions, const double* x) { return length(dimensions, x); }
inline float normf(int dimensions, const float* x) {
    return static_cast<float>(length(dimensions, x));
}
inline double rnorm(int dimensions, const double* x) { return 1.0 / length(dimensions, x); }
inline float rnormf(int dimensions, const float* x) {
    return static_cast<float>(1.0 / length(dimensions, x));
}
inline double rnorm3d(double a, double b, double c) { return 1.0 / norm3d(a, b, c); }
inline float rnorm3df(float a, float b, float c) { return 1.0f / norm3df(a, b, c); }
inline double rnorm4d(double a, double b, double c, double d) { return 1.0 / norm4d(a, b, c, d); }
inline float rnorm4df(float a, float b, float c, float d) {
    return static_cast<float>(rnorm4d(a, b, c, d));
}
inline float __tanhf(float x) { return ::tanhf(x); }

}  // namespace emulator::device
