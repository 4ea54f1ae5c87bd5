// Approximate functions. NVIDIA states the largest error of each, but not the results; here they are
// as exact as FP32 allows, or, if the launch asks for it, wrong by a drawn part of the stated error.
// So a kernel that needs more than is promised shows it. The errors are those of the PTX ISA.
#include "block.h"
#include "floats.h"

namespace ptx {
namespace {

// x with an error of up to `relative` of it, or up to `absolute`.
float jittered(Warp& w, double x, double relative, double absolute) {
    if (w.block->launch->jitter && std::isfinite(x)) {
        x += w.random.unit() * std::max(std::fabs(x) * relative, absolute);
    }
    return canonical(float(x));
}

template <class F>
void unary(Warp& w, const Instruction& i, uint32_t active, double relative, double absolute, F&& f) {
    const float* a = w.in<float>(i, 1);
    float* d = w.out<float>(i, 0);
    const bool flush = i.flags & FTZ;
    for_lanes(active, [&](unsigned l) {
        const double x = flush ? flushed(a[l]) : a[l];
        const double exact = f(x);
        // Zero and infinity are exact.
        const bool is_special = exact == 0 || !std::isfinite(exact);
        const float result = is_special ? canonical(float(exact))
                                        : jittered(w, exact, relative, absolute);
        d[l] = flush ? flushed(result) : result;
    });
}

void exponential(Warp& w, const Instruction& i, uint32_t active) {
    unary(w, i, active, 0x1p-22, 0, [](double x) { return std::exp2(x); });
}
// The absolute error holds between 0.5 and 2; elsewhere the relative one does.
void logarithm(Warp& w, const Instruction& i, uint32_t active) {
    unary(w, i, active, 0x1p-22, 0x1p-22, [](double x) { return std::log2(x); });
}
void sine(Warp& w, const Instruction& i, uint32_t active) {
    unary(w, i, active, 0, 0x1p-20, [](double x) { return std::sin(x); });
}
void cosine(Warp& w, const Instruction& i, uint32_t active) {
    unary(w, i, active, 0, 0x1p-20, [](double x) { return std::cos(x); });
}
void reciprocal(Warp& w, const Instruction& i, uint32_t active) {
    unary(w, i, active, 0x1p-23, 0, [](double x) { return 1 / x; });
}
void reciprocal_root(Warp& w, const Instruction& i, uint32_t active) {
    unary(w, i, active, 0x1p-22, 0, [](double x) { return 1 / std::sqrt(x); });
}
void root(Warp& w, const Instruction& i, uint32_t active) {
    unary(w, i, active, 0x1p-23, 0, [](double x) { return std::sqrt(x); });
}
void tangent(Warp& w, const Instruction& i, uint32_t active) {
    unary(w, i, active, 0x1p-11, 0, [](double x) { return std::tanh(x); });
}

void divide(Warp& w, const Instruction& i, uint32_t active) {
    const float *a = w.in<float>(i, 1), *b = w.in<float>(i, 2);
    float* d = w.out<float>(i, 0);
    const bool flush = i.flags & FTZ;
    for_lanes(active, [&](unsigned l) {
        const float x = flush ? flushed(a[l]) : a[l], y = flush ? flushed(b[l]) : b[l];
        const float result = jittered(w, double(x) / y, 0x1p-22, 0);
        d[l] = flush ? flushed(result) : result;
    });
}

// The approximate reciprocal and its root in FP64 look at the upper half of the operand alone.
template <bool ROOT>
void reciprocal_64(Warp& w, const Instruction& i, uint32_t active) {
    const double* a = w.in<double>(i, 1);
    map_lanes(w.out<double>(i, 0), active, [=](unsigned l) {
        const double x = flushed(std::bit_cast<double>(bits_of(a[l]) & 0xffffffff00000000));
        const double result = ROOT ? 1 / std::sqrt(x) : 1 / x;
        return flushed(std::bit_cast<double>(bits_of(result) & 0xffffffff00000000));
    });
}

template <class F, unsigned COUNT, class G>
void shorts(Warp& w, const Instruction& i, uint32_t active, G&& g) {
    using T = std::conditional_t<COUNT == 1, uint16_t, uint32_t>;
    const T* a = w.in<T>(i, 1);
    map_lanes(w.out<T>(i, 0), active, [&](unsigned l) {
        T result = 0;
        for (unsigned part = 0; part < COUNT; ++part) {
            result |= T(to_short<F>(g(F::value(uint16_t(a[l] >> 16 * part))))) << 16 * part;
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
    t.add("div.approx.f32", "444", divide);
    t.add("div.full.f32", "444", divide);
    t.add("rcp.approx.f64", "88", reciprocal_64<false>);
    t.add("rsqrt.approx.f64", "88", reciprocal_64<true>);
    add_shorts<Half>(t);
    add_shorts<Bfloat>(t);
}

}  // namespace ptx
