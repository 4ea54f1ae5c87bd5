// Complex numbers with operators, as Thrust and CuPy have them.
//
// Sums, products and quotients are computed as in cuComplex.h: C++ has rules for infinite and NaN
// parts of a product, which Thrust does not follow. Functions are the host's, which agree with a
// GPU's but for the last bits.
//
// Operands of different types give a complex of the wider one, as in NVIDIA's Thrust; the copy of
// Thrust's header that is inside CuPy has only operators of equal types.
#pragma once

#include <cmath>
#include <complex>
#include <type_traits>

namespace thrust {

template <typename T>
struct alignas(2 * sizeof(T)) complex {
    using value_type = T;

    complex() = default;  // Uninitialised, and allowed in shared memory.
    constexpr complex(const T& real) : parts{real, T{}} {}
    constexpr complex(const T& real, const T& imaginary) : parts{real, imaginary} {}
    constexpr complex(const complex&) = default;
    template <typename U>
    constexpr complex(const complex<U>& z)
        : parts{static_cast<T>(z.real()), static_cast<T>(z.imag())} {}

    complex& operator=(const complex&) = default;
    complex& operator=(const T& real) { return *this = complex(real); }
    template <typename U>
    complex& operator=(const complex<U>& z) { return *this = complex(z); }

    constexpr T real() const { return parts[0]; }
    constexpr T imag() const { return parts[1]; }
    T real() const volatile { return parts[0]; }
    T imag() const volatile { return parts[1]; }
    void real(T value) { parts[0] = value; }
    void imag(T value) { parts[1] = value; }
    void real(T value) volatile { parts[0] = value; }
    void imag(T value) volatile { parts[1] = value; }

    template <typename U>
    complex& operator+=(const U& other) { return *this = *this + other; }
    template <typename U>
    complex& operator-=(const U& other) { return *this = *this - other; }
    template <typename U>
    complex& operator*=(const U& other) { return *this = *this * other; }
    template <typename U>
    complex& operator/=(const U& other) { return *this = *this / other; }

private:
    T parts[2];
};

namespace detail {

// The wider one of two floating point types; an integer leaves the other as it is.
template <typename T, typename U>
using Wider = std::conditional_t<
    !std::is_floating_point_v<T> || (std::is_floating_point_v<U> && (sizeof(U) > sizeof(T))), U, T>;

template <typename T>
concept Number = std::is_arithmetic_v<T>;

template <typename T>
complex<T> sum(complex<T> a, complex<T> b) {
    return {a.real() + b.real(), a.imag() + b.imag()};
}
template <typename T>
complex<T> difference(complex<T> a, complex<T> b) {
    return {a.real() - b.real(), a.imag() - b.imag()};
}
template <typename T>
complex<T> product(complex<T> a, complex<T> b) {
    return {a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real()};
}
template <typename T>
complex<T> quotient(complex<T> a, complex<T> b) {
    const T scale = T{1} / (std::abs(b.real()) + std::abs(b.imag()));
    const T ar = a.real() * scale, ai = a.imag() * scale;
    const T br = b.real() * scale, bi = b.imag() * scale;
    const T inverse = T{1} / (br * br + bi * bi);
    return {(ar * br + ai * bi) * inverse, (ai * br - ar * bi) * inverse};
}

template <typename T>
std::complex<T> of_host(const complex<T>& z) {
    return {z.real(), z.imag()};
}
template <typename T>
complex<T> of_device(const std::complex<T>& z) {
    return {z.real(), z.imag()};
}

}  // namespace detail

#define EMULATOR_COMPLEX_OPERATOR(operation, function)                                      \
    template <typename T, typename U>                                                       \
    complex<detail::Wider<T, U>> operator operation(                                        \
        const complex<T>& a, const complex<U>& b) {                                         \
        using Result = complex<detail::Wider<T, U>>;                                        \
        return detail::function(Result(a), Result(b));                                      \
    }
EMULATOR_COMPLEX_OPERATOR(+, sum)
EMULATOR_COMPLEX_OPERATOR(-, difference)
EMULATOR_COMPLEX_OPERATOR(*, product)
EMULATOR_COMPLEX_OPERATOR(/, quotient)
#undef EMULATOR_COMPLEX_OPERATOR

// With a real operand nothing is done to an imaginary part that it does not have: no 0 · ∞.
template <typename T, detail::Number U, typename W = detail::Wider<T, U>>
complex<W> operator+(const complex<T>& a, const U& b) {
    return {static_cast<W>(a.real()) + static_cast<W>(b), static_cast<W>(a.imag())};
}
template <detail::Number T, typename U, typename W = detail::Wider<T, U>>
complex<W> operator+(const T& a, const complex<U>& b) {
    return b + a;
}
template <typename T, detail::Number U, typename W = detail::Wider<T, U>>
complex<W> operator-(const complex<T>& a, const U& b) {
    return {static_cast<W>(a.real()) - static_cast<W>(b), static_cast<W>(a.imag())};
}
template <detail::Number T, typename U, typename W = detail::Wider<T, U>>
complex<W> operator-(const T& a, const complex<U>& b) {
    return {static_cast<W>(a) - static_cast<W>(b.real()), -static_cast<W>(b.imag())};
}
template <typename T, detail::Number U, typename W = detail::Wider<T, U>>
complex<W> operator*(const complex<T>& a, const U& b) {
    const W factor = static_cast<W>(b);
    return {static_cast<W>(a.real()) * factor, static_cast<W>(a.imag()) * factor};
}
template <detail::Number T, typename U, typename W = detail::Wider<T, U>>
complex<W> operator*(const T& a, const complex<U>& b) {
    return b * a;
}
template <typename T, detail::Number U, typename W = detail::Wider<T, U>>
complex<W> operator/(const complex<T>& a, const U& b) {
    const W divisor = static_cast<W>(b);
    return {static_cast<W>(a.real()) / divisor, static_cast<W>(a.imag()) / divisor};
}
template <detail::Number T, typename U, typename W = detail::Wider<T, U>>
complex<W> operator/(const T& a, const complex<U>& b) {
    return complex<W>(static_cast<W>(a)) / complex<W>(b);
}

template <typename T>
complex<T> operator+(const complex<T>& z) {
    return z;
}
template <typename T>
complex<T> operator-(const complex<T>& z) {
    return {-z.real(), -z.imag()};
}

// != follows from these.
template <typename T, typename U>
bool operator==(const complex<T>& a, const complex<U>& b) {
    return a.real() == b.real() && a.imag() == b.imag();
}
template <typename T, detail::Number U>
bool operator==(const complex<T>& a, const U& b) {
    return a.real() == b && a.imag() == T{};
}

template <typename T>
T real(const complex<T>& z) {
    return z.real();
}
template <typename T>
T imag(const complex<T>& z) {
    return z.imag();
}
template <typename T>
T abs(const complex<T>& z) {
    return std::hypot(z.real(), z.imag());
}
template <typename T>
T arg(const complex<T>& z) {
    return std::atan2(z.imag(), z.real());
}
// The square of the magnitude.
template <typename T>
T norm(const complex<T>& z) {
    return z.real() * z.real() + z.imag() * z.imag();
}
template <typename T>
complex<T> conj(const complex<T>& z) {
    return {z.real(), -z.imag()};
}
template <typename T, typename U = T>
complex<detail::Wider<T, U>> polar(const T& magnitude, const U& angle = U{}) {
    using W = detail::Wider<T, U>;
    const W length = static_cast<W>(magnitude), turned = static_cast<W>(angle);
    return {length * std::cos(turned), length * std::sin(turned)};
}

#define EMULATOR_COMPLEX_FUNCTION(name)                               \
    template <typename T>                                             \
    complex<T> name(const complex<T>& z) {                            \
        return detail::of_device(std::name(detail::of_host(z)));      \
    }
EMULATOR_COMPLEX_FUNCTION(proj)
EMULATOR_COMPLEX_FUNCTION(exp)
EMULATOR_COMPLEX_FUNCTION(log)
EMULATOR_COMPLEX_FUNCTION(log10)
EMULATOR_COMPLEX_FUNCTION(sqrt)
EMULATOR_COMPLEX_FUNCTION(sin)
EMULATOR_COMPLEX_FUNCTION(cos)
EMULATOR_COMPLEX_FUNCTION(tan)
EMULATOR_COMPLEX_FUNCTION(sinh)
EMULATOR_COMPLEX_FUNCTION(cosh)
EMULATOR_COMPLEX_FUNCTION(tanh)
EMULATOR_COMPLEX_FUNCTION(asin)
EMULATOR_COMPLEX_FUNCTION(acos)
EMULATOR_COMPLEX_FUNCTION(atan)
EMULATOR_COMPLEX_FUNCTION(asinh)
EMULATOR_COMPLEX_FUNCTION(acosh)
EMULATOR_COMPLEX_FUNCTION(atanh)
#undef EMULATOR_COMPLEX_FUNCTION

// Powers are exp(y · log x), as in Thrust.
template <typename T, typename U>
complex<detail::Wider<T, U>> pow(const complex<T>& x, const complex<U>& y) {
    using Result = complex<detail::Wider<T, U>>;
    return exp(log(Result(x)) * Result(y));
}
template <typename T, detail::Number U, typename W = detail::Wider<T, U>>
complex<W> pow(const complex<T>& x, const U& y) {
    return exp(log(complex<W>(x)) * static_cast<W>(y));
}
template <detail::Number T, typename U, typename W = detail::Wider<T, U>>
complex<W> pow(const T& x, const complex<U>& y) {
    return exp(std::log(static_cast<W>(x)) * complex<W>(y));
}

}  // namespace thrust
