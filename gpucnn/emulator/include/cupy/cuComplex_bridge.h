// What CuPy's translate_cucomplex puts in the place of cuComplex.h: its names for Thrust's numbers.
#pragma once

#include "complex.cuh"

// `f` is what the names of functions of floats end with; it is empty for those of doubles.
#define EMULATOR_COMPLEX_BRIDGE(T, Complex, f)                                              \
    using Complex = thrust::complex<T>;                                                     \
    inline Complex make_##Complex(T real, T imaginary) { return {real, imaginary}; }        \
    inline T cuCreal##f(const Complex& z) { return z.real(); }                              \
    inline T cuCimag##f(const Complex& z) { return z.imag(); }                              \
    inline T cuCabs##f(const Complex& z) { return thrust::abs(z); }                         \
    inline Complex cuConj##f(const Complex& z) { return thrust::conj(z); }                  \
    inline Complex cuCadd##f(const Complex& a, const Complex& b) { return a + b; }          \
    inline Complex cuCsub##f(const Complex& a, const Complex& b) { return a - b; }          \
    inline Complex cuCmul##f(const Complex& a, const Complex& b) { return a * b; }          \
    inline Complex cuCdiv##f(const Complex& a, const Complex& b) { return a / b; }          \
    inline Complex cuCfma##f(const Complex& a, const Complex& b, const Complex& c) {        \
        return a * b + c;                                                                   \
    }

EMULATOR_COMPLEX_BRIDGE(float, cuFloatComplex, f)
EMULATOR_COMPLEX_BRIDGE(double, cuDoubleComplex, )
#undef EMULATOR_COMPLEX_BRIDGE

using cuComplex = cuFloatComplex;
inline cuComplex make_cuComplex(float real, float imaginary) { return {real, imaginary}; }
inline cuDoubleComplex cuComplexFloatToDouble(const cuFloatComplex& z) { return z; }
inline cuFloatComplex cuComplexDoubleToFloat(const cuDoubleComplex& z) { return z; }
