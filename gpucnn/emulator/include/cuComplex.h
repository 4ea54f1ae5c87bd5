// Complex numbers as CUDA's C interface has them: float2 and double2, and functions in place of
// operators. Products and sums are the textbook's; quotients and magnitudes are scaled, so that they
// overflow or underflow only if the result does, or nearly does.
#pragma once

#include <cmath>

#include "interface.h"
#include "vector_types.h"

using cuFloatComplex = float2;
using cuComplex = cuFloatComplex;
using cuDoubleComplex = double2;

// `f` is what the names of functions of floats end with; it is empty for those of doubles.
#define EMULATOR_COMPLEX(T, Complex, f)                                                     \
    inline Complex make_##Complex(T real, T imaginary) { return {real, imaginary}; }        \
    inline T cuCreal##f(Complex z) { return z.x; }                                          \
    inline T cuCimag##f(Complex z) { return z.y; }                                          \
    inline Complex cuConj##f(Complex z) { return {z.x, -z.y}; }                             \
    inline Complex cuCadd##f(Complex a, Complex b) { return {a.x + b.x, a.y + b.y}; }       \
    inline Complex cuCsub##f(Complex a, Complex b) { return {a.x - b.x, a.y - b.y}; }       \
    inline Complex cuCmul##f(Complex a, Complex b) {                                        \
        return {a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x};                              \
    }                                                                                       \
    inline Complex cuCdiv##f(Complex a, Complex b) {                                        \
        const T scale = T{1} / (std::abs(b.x) + std::abs(b.y));                             \
        const Complex n = {a.x * scale, a.y * scale}, d = {b.x * scale, b.y * scale};       \
        const T inverse = T{1} / (d.x * d.x + d.y * d.y);                                   \
        return {(n.x * d.x + n.y * d.y) * inverse, (n.y * d.x - n.x * d.y) * inverse};      \
    }                                                                                       \
    inline T cuCabs##f(Complex z) { return std::hypot(z.x, z.y); }                          \
    inline Complex cuCfma##f(Complex a, Complex b, Complex c) {                             \
        return {a.x * b.x + c.x - a.y * b.y, a.x * b.y + c.y + a.y * b.x};                  \
    }

EMULATOR_COMPLEX(float, cuFloatComplex, f)
EMULATOR_COMPLEX(double, cuDoubleComplex, )
#undef EMULATOR_COMPLEX

inline cuComplex make_cuComplex(float real, float imaginary) { return {real, imaginary}; }
inline cuDoubleComplex cuComplexFloatToDouble(cuFloatComplex z) { return {z.x, z.y}; }
inline cuFloatComplex cuComplexDoubleToFloat(cuDoubleComplex z) {
    return {static_cast<float>(z.x), static_cast<float>(z.y)};
}
