// Approximate functions. NVIDIA states the largest error of each, but not the results; here they are
// as exact as FP32 allows, or, if the launch asks for it, wrong by a drawn part of the stated error.
// So a kernel that needs more than is promised shows it. The errors are those of the PTX ISA.
#include "block.h"
#include "floats.h"

namespace ptx {
namespace {

// The largest of these: a part of the result, a number, units in the result's last place.
struct Error {
    double relative = 0, absolute = 0, units = 0;
};

double last_place(double x) {
    int exponent;
    std::frexp(x, &exponent);
    return std::ldexp(1.0, std::max(exponent, -125) - 24);
}

// An exact result as FP32, or, if the launch asks for it, one that is wrong by up to the error.
// Zero, infinity and NaN are always right.
float approximated(Warp& w, double exact, const Error& error) {
    const float nearest = canonical(float(exact));
    if (!w.block->launch->jitter || exact == 0 || !std::isfinite(exact)) {
        return nearest;
    }
    const double most = std::max({std::fabs(exact) * error.relative, error.absolute,
                                  error.units * last_place(exact)});
    const float result = float(exact + w.random.unit() * most);
    // Rounding may have gone too far.
    return std::fabs(result - exact) <= most ? result : nearest;
}

template <class F>
void unary(Warp& w, const Instruction& i, uint32_t active, const Error& error, F&& f) {
    const float* a = w.in<float>(i, 1);
    float* d = w.out<float>(i, 0);
    const bool flush = i.flags & FTZ;
    for_lanes(active, [&](unsigned l) {
        const double x = flush ? flushed(a[l]) : a[l];
        // What PTX lists is exact, such as the cosine of zero.
        const bool is_listed = x == 0 || !std::isfinite(x);
        const float result = is_listed ? canonical(float(f(x))) : approximated(w, f(x), error);
        d[l] = flush ? flushed(result) : result;
    });
}

void exponential(Warp& w, const Instruction& i, uint32_t active) {
    unary(w, i, active, {.units = 2}, [](double x) { return std::exp2(x); });
}
// The absolute error holds between 0.5 and 2; elsewhere the relative one does.
void logarithm(Warp& w, const Instruction& i, uint32_t active) {
    unary(w, i, active, {0x1p-22, 0x1p-22}, [](double x) { return std::log2(x); });
}
// 2^-20.5, which holds between -2 pi and 2 pi.
constexpr Error OF_SINE = {.absolute = 0x1.6a09ep-21};
void sine(Warp& w, const Instruction& i, uint32_t active) {
    unary(w, i, active, OF_SINE, [](double x) { return std::sin(x); });
}
void cosine(Warp& w, const Instruction& i, uint32_t active) {
    unary(w, i, active, OF_SINE, [](double x) { return std::cos(x); });
}
void reciprocal(Warp& w, const Instruction& i, uint32_t active) {
    unary(w, i, active, {.units = 1}, [](double x) { return 1 / x; });
}
// 2^-22.9
void reciprocal_root(Warp& w, const Instruction& i, uint32_t active) {
    unary(w, i, active, {.relative = 0x1.125fp-23}, [](double x) { return 1 / std::sqrt(x); });
}
void root(Warp& w, const Instruction& i, uint32_t active) {
    unary(w, i, active, {.relative = 0x1p-23}, [](double x) { return std::sqrt(x); });
}
void tangent(Warp& w, const Instruction& i, uint32_t active) {
    unary(w, i, active, {.relative = 0x1p-11}, [](double x) { return std::tanh(x); });
}

// div.approx multiplies by a reciprocal, which is zero for divisors beyond 2^126; div.full does not.
template <bool FULL>
void divide(Warp& w, const Instruction& i, uint32_t active) {
    const float *a = w.in<float>(i, 1), *b = w.in<float>(i, 2);
    float* d = w.out<float>(i, 0);
    const bool flush = i.flags & FTZ;
    for_lanes(active, [&](unsigned l) {
        const float x = flush ? flushed(a[l]) : a[l], y = flush ? flushed(b[l]) : b[l];
        const bool vanishes = !FULL && std::fabs(y) > 0x1p126f;
        const double exact = vanishes ? x * std::copysign(0.0, y) : double(x) / y;
        const float result = approximated(w, exact, {.units = 2});
        d[l] = flush ? flushed(result) : result;
    });
}

double upper_half(double x) { return std::bit_cast<double>(bits_of(x) & 0xffffffff00000000); }

// rcp.approx.ftz.f64 and rsqrt.approx.ftz.f64 look at the upper half of the operand alone.
template <bool ROOT>
void reciprocal_of_half(Warp& w, const Instruction& i, uint32_t active) {
    const double* a = w.in<double>(i, 1);
    map_lanes(w.out<double>(i, 0), active, [=](unsigned l) {
        const double x = flushed(upper_half(a[l]));
        const double result = ROOT ? 1 / std::sqrt(x) : 1 / x;
        return result != result ? std::bit_cast<double>(0x7fffffff00000000)
                                : flushed(upper_half(result));
    });
}

void reciprocal_root_64(Warp& w, const Instruction& i, uint32_t active) {
    if (i.flags & FTZ) {
        reciprocal_of_half<true>(w, i, active);
        return;
    }
    const double* a = w.in<double>(i, 1);
    map_lanes(w.out<double>(i, 0), active, [=](unsigned l) { return 1 / std::sqrt(a[l]); });
}

template <class F, unsigned COUNT, class G>
void shorts(Warp& w, const Instruction& i, uint32_t active, G&& g) {
    using T = std::conditional_t<COUNT == 1, uint16_t, uint32_t>;
    const T* a = w.in<T>(i, 1);
    const bool flush = i.flags & FTZ;
    map_lanes(w.out<T>(i, 0), active, [&](unsigned l) {
        T result = 0;
        for (unsigned part = 0; part < COUNT; ++part) {
            uint16_t one = uint16_t(a[l] >> 16 * part);
            one = to_short<F>(g(F::value(flush ? flushed<F>(one) : one)));
            result |= T(flush ? flushed<F>(one) : one) << 16 * part;
        }
        return result;
    });
}

template <class F, unsigned COUNT>
void short_exponential(Warp& w, const Instruction& i, uint32_t active) {
    shorts<F, COUNT>(w, i, active, [](double x) { return std::exp2(x); });
}
template <class F, unsigned COUNT>
void short_tangent(Warp& w, const Instruction& i, uint32_t active) {
    shorts<F, COUNT>(w, i, active, [](double x) { return std::tanh(x); });
}

template <class F>
void add_shorts(Table& t) {
    const std::string name = F::name;
    t.add("ex2.approx." + name, "22", short_exponential<F, 1>);
    t.add("ex2.approx." + name + "x2", "44", short_exponential<F, 2>);
    t.add("tanh.approx." + name, "22", short_tangent<F, 1>);
    t.add("tanh.approx." + name + "x2", "44", short_tangent<F, 2>);
}

}  // namespace

void add_approximate_instructions(Table& t) {
    t.add("ex2.approx.f32", "44", exponential);
    t.add("lg2.approx.f32", "44", logarithm);
    t.add("sin.approx.f32", "44", sine);
    t.add("cos.approx.f32", "44", cosine);
    t.add("rcp.approx.f32", "44", reciprocal);
    t.add("rsqrt.approx.f32", "44", reciprocal_root);
    t.add("sqrt.approx.f32", "44", root);
    t.add("tanh.approx.f32", "44", tangent);
    t.add("div.approx.f32", "444", divide<false>);
    t.add("div.full.f32", "444", divide<true>);
    t.add("rcp.approx.f64", "88", reciprocal_of_half<false>);
    t.add("rsqrt.approx.f64", "88", reciprocal_root_64);
    add_shorts<Half>(t);
    add_shorts<Bfloat>(t);
}

}  // namespace ptx
