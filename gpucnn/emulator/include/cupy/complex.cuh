// CuPy's complex numbers: Thrust's under the name `complex`, with what NumPy has besides. They are
// in Thrust's namespace, where a call finds them by the type of its argument.
#pragma once

#include "../thrust/complex.h"

using thrust::arg;
using thrust::complex;
using thrust::conj;
using thrust::imag;
using thrust::real;

namespace thrust {

template <typename T>
bool isnan(const complex<T>& z) {
    return std::isnan(z.real()) || std::isnan(z.imag());
}
template <typename T>
bool isinf(const complex<T>& z) {
    return std::isinf(z.real()) || std::isinf(z.imag());
}
template <typename T>
bool isfinite(const complex<T>& z) {
    return std::isfinite(z.real()) && std::isfinite(z.imag());
}

template <typename T>
complex<T> log1p(const complex<T>& z) {
    return log(z + T{1});
}
template <typename T>
complex<T> log2(const complex<T>& z) {
    return log(z) / std::log(T{2});
}
template <typename T>
complex<T> expm1(const complex<T>& z) {
    return exp(z) - T{1};
}
template <typename T>
complex<T> rint(const complex<T>& z) {
    return {std::rint(z.real()), std::rint(z.imag())};
}

// By the real parts, and by the imaginary parts if those are equal.
template <typename T>
bool operator<(const complex<T>& a, const complex<T>& b) {
    return a.real() < b.real() || (a.real() == b.real() && a.imag() < b.imag());
}
template <typename T>
bool operator>(const complex<T>& a, const complex<T>& b) {
    return b < a;
}
template <typename T>
bool operator<=(const complex<T>& a, const complex<T>& b) {
    return a < b || a == b;
}
template <typename T>
bool operator>=(const complex<T>& a, const complex<T>& b) {
    return b <= a;
}

// A number wins over NaN.
template <typename T>
complex<T> min(const complex<T>& a, const complex<T>& b) {
    return isnan(a) || (!isnan(b) && b < a) ? b : a;
}
template <typename T>
complex<T> max(const complex<T>& a, const complex<T>& b) {
    return isnan(a) || (!isnan(b) && a < b) ? b : a;
}

}  // namespace thrust
