// CUDA's mathematical functions: under one name for float and for double, where C has two names.
// Modules find them by names.h.
#pragma once

#include <cmath>
#include <cstdlib>

namespace emulator::device {

#define EMULATOR_OF_ONE(name)                                  \
    inline float name(float x) { return ::name##f(x); }        \
    inline double name(double x) { return ::name(x); }
#define EMULATOR_OF_TWO(name)                                                   \
    inline float name(float a, float b) { return ::name##f(a, b); }             \
    inline double name(double a, double b) { return ::name(a, b); }
#define EMULATOR_TO(Result, name)                              \
    inline Result name(float x) { return ::name##f(x); }       \
    inline Result name(double x) { return ::name(x); }
// What is asked of a number; the C library has macros for these.
#define EMULATOR_QUESTION(name, builtin)                       \
    inline int name(float x) { return builtin(x) != 0; }       \
    inline int name(double x) { return builtin(x) != 0; }

EMULATOR_OF_ONE(exp)
EMULATOR_OF_ONE(exp2)
EMULATOR_OF_ONE(expm1)
EMULATOR_OF_ONE(log)
EMULATOR_OF_ONE(log2)
EMULATOR_OF_ONE(log10)
EMULATOR_OF_ONE(log1p)
EMULATOR_OF_ONE(logb)
EMULATOR_OF_ONE(sqrt)
EMULATOR_OF_ONE(cbrt)
EMULATOR_OF_ONE(sin)
EMULATOR_OF_ONE(cos)
EMULATOR_OF_ONE(tan)
EMULATOR_OF_ONE(asin)
EMULATOR_OF_ONE(acos)
EMULATOR_OF_ONE(atan)
EMULATOR_OF_ONE(sinh)
EMULATOR_OF_ONE(cosh)
EMULATOR_OF_ONE(tanh)
EMULATOR_OF_ONE(asinh)
EMULATOR_OF_ONE(acosh)
EMULATOR_OF_ONE(atanh)
EMULATOR_OF_ONE(floor)
EMULATOR_OF_ONE(ceil)
EMULATOR_OF_ONE(trunc)
EMULATOR_OF_ONE(round)
EMULATOR_OF_ONE(rint)
EMULATOR_OF_ONE(nearbyint)
EMULATOR_OF_ONE(fabs)
EMULATOR_OF_ONE(erf)
EMULATOR_OF_ONE(erfc)
EMULATOR_OF_ONE(tgamma)
EMULATOR_OF_ONE(lgamma)
EMULATOR_OF_ONE(j0)
EMULATOR_OF_ONE(j1)
EMULATOR_OF_ONE(y0)
EMULATOR_OF_ONE(y1)

EMULATOR_OF_TWO(pow)
EMULATOR_OF_TWO(fmod)
EMULATOR_OF_TWO(remainder)
EMULATOR_OF_TWO(atan2)
EMULATOR_OF_TWO(hypot)
EMULATOR_OF_TWO(fmin)
EMULATOR_OF_TWO(fmax)
EMULATOR_OF_TWO(fdim)
EMULATOR_OF_TWO(copysign)
EMULATOR_OF_TWO(nextafter)
inline double copysign(double a, float b) { return ::copysign(a, b); }
inline double copysign(float a, double b) { return ::copysign(a, b); }
inline float pow(float a, int b) { return ::powf(a, static_cast<float>(b)); }
inline double pow(double a, int b) { return ::pow(a, b); }

EMULATOR_TO(long, lround)
EMULATOR_TO(long, lrint)
EMULATOR_TO(long long, llround)
EMULATOR_TO(long long, llrint)
EMULATOR_TO(int, ilogb)

EMULATOR_QUESTION(isnan, __builtin_isnan)
EMULATOR_QUESTION(isinf, __builtin_isinf)
EMULATOR_QUESTION(isfinite, __builtin_isfinite)
EMULATOR_QUESTION(signbit, __builtin_signbit)

#undef EMULATOR_OF_ONE
#undef EMULATOR_OF_TWO
#undef EMULATOR_TO
#undef EMULATOR_QUESTION

inline float fma(float a, float b, float c) { return ::fmaf(a, b, c); }
inline double fma(double a, double b, double c) { return ::fma(a, b, c); }
inline float ldexp(float x, int power) { return ::ldexpf(x, power); }
inline double ldexp(double x, int power) { return ::ldexp(x, power); }
inline float scalbn(float x, int power) { return ::scalbnf(x, power); }
inline double scalbn(double x, int power) { return ::scalbn(x, power); }
inline float scalbln(float x, long power) { return ::scalblnf(x, power); }
inline double scalbln(double x, long power) { return ::scalbln(x, power); }
inline float remquo(float a, float b, int* quotient) { return ::remquof(a, b, quotient); }
inline double remquo(double a, double b, int* quotient) { return ::remquo(a, b, quotient); }
inline float frexp(float x, int* power) { return ::frexpf(x, power); }
inline double frexp(double x, int* power) { return ::frexp(x, power); }
inline float modf(float x, float* whole) { return ::modff(x, whole); }
inline double modf(double x, double* whole) { return ::modf(x, whole); }
inline void sincos(float x, float* sine, float* cosine) { ::sincosf(x, sine, cosine); }
inline void sincos(double x, double* sine, double* cosine) { ::sincos(x, sine, cosine); }

// What C does not have, or not everywhere.

inline float rsqrtf(float x) { return 1.0f / ::sqrtf(x); }
inline float rsqrt(float x) { return rsqrtf(x); }
inline double rsqrt(double x) { return 1.0 / ::sqrt(x); }
inline float rcbrtf(float x) { return 1.0f / ::cbrtf(x); }
inline float rcbrt(float x) { return rcbrtf(x); }
inline double rcbrt(double x) { return 1.0 / ::cbrt(x); }
inline float exp10f(float x) { return static_cast<float>(::pow(10.0, x)); }
inline float exp10(float x) { return exp10f(x); }
inline double exp10(double x) { return ::pow(10.0, x); }
inline float rhypotf(float a, float b) { return 1.0f / ::hypotf(a, b); }
inline double rhypot(double a, double b) { return 1.0 / ::hypot(a, b); }
inline double norm3d(double a, double b, double c) { return std::hypot(a, b, c); }
inline float norm3df(float a, float b, float c) { return std::hypot(a, b, c); }
inline double norm4d(double a, double b, double c, double d) {
    return ::hypot(::hypot(a, b), ::hypot(c, d));
}
inline float norm4df(float a, float b, float c, float d) {
    return static_cast<float>(norm4d(a, b, c, d));
}
inline double normcdf(double x) { return 0.5 * ::erfc(-x * 0.70710678118654752440); }
inline float normcdff(float x) { return static_cast<float>(normcdf(static_cast<double>(x))); }
inline float normcdf(float x) { return normcdff(x); }

// Of π times x. The rest by 2 is exact, and so is what is left of it by the nearest half.
inline void sincospi(double x, double* sine, double* cosine) {
    const double turn = ::fmod(x, 2.0), half = ::rint(2.0 * turn);
    const double angle = (turn - 0.5 * half) * 3.14159265358979323846;
    const double s = ::sin(angle), c = ::cos(angle);
    switch (half != half ? 0 : static_cast<int>(half) & 3) {
        case 0: *sine = s, *cosine = c; break;
        case 1: *sine = c, *cosine = -s; break;
        case 2: *sine = -s, *cosine = -c; break;
        default: *sine = -c, *cosine = s; break;
    }
}
inline double sinpi(double x) {
    double sine, cosine;
    sincospi(x, &sine, &cosine);
    return sine;
}
inline double cospi(double x) {
    double sine, cosine;
    sincospi(x, &sine, &cosine);
    return cosine;
}
inline float sinpif(float x) { return static_cast<float>(sinpi(static_cast<double>(x))); }
inline float cospif(float x) { return static_cast<float>(cospi(static_cast<double>(x))); }
inline float sinpi(float x) { return sinpif(x); }
inline float cospi(float x) { return cospif(x); }
inline void sincospif(float x, float* sine, float* cosine) {
    *sine = sinpif(x);
    *cosine = cospif(x);
}
inline void sincospi(float x, float* sine, float* cosine) { sincospif(x, sine, cosine); }

// Whole numbers

inline int abs(int x) { return ::abs(x); }
inline long abs(long x) { return ::labs(x); }
inline long long abs(long long x) { return ::llabs(x); }
inline float abs(float x) { return ::fabsf(x); }
inline double abs(double x) { return ::fabs(x); }

#define EMULATOR_LEAST_AND_MOST(Result, A, B)                                               \
    inline Result min(A a, B b) {                                                           \
        return static_cast<Result>(b) < static_cast<Result>(a) ? static_cast<Result>(b)     \
                                                               : static_cast<Result>(a);    \
    }                                                                                       \
    inline Result max(A a, B b) {                                                           \
        return static_cast<Result>(a) < static_cast<Result>(b) ? static_cast<Result>(b)     \
                                                               : static_cast<Result>(a);    \
    }
#define EMULATOR_SIGNED_AND_NOT(T)                              \
    EMULATOR_LEAST_AND_MOST(T, T, T)                            \
    EMULATOR_LEAST_AND_MOST(unsigned T, unsigned T, unsigned T) \
    EMULATOR_LEAST_AND_MOST(unsigned T, T, unsigned T)          \
    EMULATOR_LEAST_AND_MOST(unsigned T, unsigned T, T)
EMULATOR_SIGNED_AND_NOT(int)
EMULATOR_SIGNED_AND_NOT(long)
EMULATOR_SIGNED_AND_NOT(long long)
#undef EMULATOR_SIGNED_AND_NOT
#undef EMULATOR_LEAST_AND_MOST

inline float min(float a, float b) { return ::fminf(a, b); }
inline float max(float a, float b) { return ::fmaxf(a, b); }
inline double min(double a, double b) { return ::fmin(a, b); }
inline double max(double a, double b) { return ::fmax(a, b); }
inline double min(float a, double b) { return ::fmin(a, b); }
inline double max(float a, double b) { return ::fmax(a, b); }
inline double min(double a, float b) { return ::fmin(a, b); }
inline double max(double a, float b) { return ::fmax(a, b); }

inline unsigned umin(unsigned a, unsigned b) { return min(a, b); }
inline unsigned umax(unsigned a, unsigned b) { return max(a, b); }
inline long long llmin(long long a, long long b) { return min(a, b); }
inline long long llmax(long long a, long long b) { return max(a, b); }
inline unsigned long long ullmin(unsigned long long a, unsigned long long b) { return min(a, b); }
inline unsigned long long ullmax(unsigned long long a, unsigned long long b) { return max(a, b); }

// Fast and less exact on the device; here they are the ordinary functions.

inline float __expf(float x) { return ::expf(x); }
inline float __exp10f(float x) { return exp10f(x); }
inline float __logf(float x) { return ::logf(x); }
inline float __log2f(float x) { return ::log2f(x); }
inline float __log10f(float x) { return ::log10f(x); }
inline float __sinf(float x) { return ::sinf(x); }
inline float __cosf(float x) { return ::cosf(x); }
inline float __tanf(float x) { return ::tanf(x); }
inline void __sincosf(float x, float* sine, float* cosine) { ::sincosf(x, sine, cosine); }
inline float __powf(float a, float b) { return ::powf(a, b); }
inline float __fdividef(float a, float b) { return a / b; }
inline float fdividef(float a, float b) { return a / b; }
// NaN becomes 0.
inline float __saturatef(float x) { return x > 0.0f ? ::fminf(x, 1.0f) : 0.0f; }

}  // namespace emulator::device
