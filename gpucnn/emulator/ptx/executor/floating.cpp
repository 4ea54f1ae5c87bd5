// Arithmetic in FP32 and FP64, rounded as IEEE 754 says.
#include "floats.h"

namespace ptx {
namespace {

constexpr uint32_t SPECIAL = ROUNDING | FTZ | SATURATE;

struct Add { template <class T> T operator()(T a, T b) const { return a + b; } };
struct Subtract { template <class T> T operator()(T a, T b) const { return a - b; } };
struct Multiply { template <class T> T operator()(T a, T b) const { return a * b; } };
struct Divide { template <class T> T operator()(T a, T b) const { return a / b; } };
struct Fma {
    float operator()(float a, float b, float c) const { return __builtin_fmaf(a, b, c); }
    double operator()(double a, double b, double c) const { return __builtin_fma(a, b, c); }
};
struct Reciprocal { template <class T> T operator()(T a) const { return 1 / a; } };
struct SquareRoot {
    float operator()(float a) const { return __builtin_sqrtf(a); }
    double operator()(double a) const { return __builtin_sqrt(a); }
};

// f of operands and to a result as flags say: what few instructions need, one lane at a time.
template <class T, class F, class... Operand>
T with_flags(uint32_t flags, F f, Operand... operand) {
    if (flags & FTZ) {
        ((operand = flushed(operand)), ...);
    }
    T result = [&](volatile auto... x) {
        return rounded(flags & ROUNDING, [&] { return f(T(x)...); });
    }(operand...);
    if (flags & FTZ) {
        result = flushed(result);
    }
    return flags & SATURATE ? clamped(result) : canonical(result);
}

template <class T, class F>
void unary(Warp& w, const Instruction& i, uint32_t active) {
    const T* a = w.in<T>(i, 1);
    T* d = w.out<T>(i, 0);
    if (i.flags & SPECIAL) {
        for_lanes(active, [&](unsigned l) { d[l] = with_flags<T>(i.flags, F(), a[l]); });
    } else {
        map_lanes(d, active, [=](unsigned l) { return canonical(F()(a[l])); });
    }
}

template <class T, class F>
void binary(Warp& w, const Instruction& i, uint32_t active) {
    const T *a = w.in<T>(i, 1), *b = w.in<T>(i, 2);
    T* d = w.out<T>(i, 0);
    if (i.flags & SPECIAL) {
        for_lanes(active, [&](unsigned l) { d[l] = with_flags<T>(i.flags, F(), a[l], b[l]); });
    } else {
        map_lanes(d, active, [=](unsigned l) { return canonical(F()(a[l], b[l])); });
    }
}

template <class T>
void fma(Warp& w, const Instruction& i, uint32_t active) {
    const T *a = w.in<T>(i, 1), *b = w.in<T>(i, 2), *c = w.in<T>(i, 3);
    T* d = w.out<T>(i, 0);
    if (i.flags & SPECIAL) {
        for_lanes(active, [&](unsigned l) {
            d[l] = with_flags<T>(i.flags, Fma(), a[l], b[l], c[l]);
        });
    } else {
        map_lanes(d, active, [=](unsigned l) { return canonical(Fma()(a[l], b[l], c[l])); });
    }
}

// min and max; with .NaN the result is NaN if an operand is, with .xorsign.abs it is that of the
// magnitudes, with the product of the signs.
template <class T, bool MAX, bool XORSIGN>
void extreme(Warp& w, const Instruction& i, uint32_t active) {
    const T *a = w.in<T>(i, 1), *b = w.in<T>(i, 2);
    T* d = w.out<T>(i, 0);
    const bool flush = i.flags & FTZ, nan = i.flags & NAN_RESULT;
    for_lanes(active, [&](unsigned l) {
        T x = flush ? flushed(a[l]) : a[l], y = flush ? flushed(b[l]) : b[l];
        const bool negative = is_negative(x) != is_negative(y);
        if (XORSIGN) {
            x = std::fabs(x), y = std::fabs(y);
        }
        if (nan && (x != x || y != y)) {
            d[l] = canonical(std::numeric_limits<T>::quiet_NaN());
            return;
        }
        const T result = MAX ? larger(x, y) : smaller(x, y);
        d[l] = XORSIGN && result == result ? std::copysign(result, negative ? T(-1) : T(1)) : result;
    });
}

template <class T>
void absolute(Warp& w, const Instruction& i, uint32_t active) {
    const T* a = w.in<T>(i, 1);
    const bool flush = i.flags & FTZ;
    map_lanes(w.out<T>(i, 0), active, [=](unsigned l) {
        return std::fabs(flush ? flushed(a[l]) : a[l]);
    });
}

template <class T>
void negate(Warp& w, const Instruction& i, uint32_t active) {
    const T* a = w.in<T>(i, 1);
    const bool flush = i.flags & FTZ;
    map_lanes(w.out<T>(i, 0), active, [=](unsigned l) { return -(flush ? flushed(a[l]) : a[l]); });
}

// copysign: b with the sign of a.
template <class T>
void copy_sign(Warp& w, const Instruction& i, uint32_t active) {
    const T *a = w.in<T>(i, 1), *b = w.in<T>(i, 2);
    map_lanes(w.out<T>(i, 0), active, [=](unsigned l) { return std::copysign(b[l], a[l]); });
}

template <class T> bool is_finite(T x) { return std::isfinite(x); }
template <class T> bool is_infinite(T x) { return std::isinf(x); }
template <class T> bool is_number(T x) { return x == x; }
template <class T> bool is_not_a_number(T x) { return x != x; }
template <class T> bool is_normal(T x) { return x == 0 || std::isnormal(x); }  // as PTX has it
template <class T> bool is_subnormal(T x) { return std::fpclassify(x) == FP_SUBNORMAL; }

template <class T, auto F>
void test(Warp& w, const Instruction& i, uint32_t active) {
    const T* a = w.in<T>(i, 1);
    uint32_t result = 0;
    for_lanes(active, [&](unsigned l) { result |= uint32_t(F(a[l])) << l; });
    w.set_predicate(i, 0, active, result);
}

template <class T>
void add_type(Table& t) {
    const std::string two = sizes<T>(2), three = sizes<T>(3), tested = "p" + sizes<T>(1);
    t.add(named<T>("add"), three, binary<T, Add>);
    t.add(named<T>("sub"), three, binary<T, Subtract>);
    t.add(named<T>("mul"), three, binary<T, Multiply>);
    t.add(named<T>("div"), three, binary<T, Divide>);
    t.add(named<T>("fma"), sizes<T>(4), fma<T>);
    t.add(named<T>("mad"), sizes<T>(4), fma<T>);
    t.add(named<T>("rcp"), two, unary<T, Reciprocal>);
    t.add(named<T>("sqrt"), two, unary<T, SquareRoot>);
    t.add(named<T>("min"), three, extreme<T, false, false>);
    t.add(named<T>("max"), three, extreme<T, true, false>);
    t.add(named<T>("abs"), two, absolute<T>);
    t.add(named<T>("neg"), two, negate<T>);
    t.add(named<T>("copysign"), three, copy_sign<T>);
    t.add(named<T>("testp.finite"), tested, test<T, is_finite<T>>);
    t.add(named<T>("testp.infinite"), tested, test<T, is_infinite<T>>);
    t.add(named<T>("testp.number"), tested, test<T, is_number<T>>);
    t.add(named<T>("testp.notanumber"), tested, test<T, is_not_a_number<T>>);
    t.add(named<T>("testp.normal"), tested, test<T, is_normal<T>>);
    t.add(named<T>("testp.subnormal"), tested, test<T, is_subnormal<T>>);
}

}  // namespace

void add_float_instructions(Table& t) {
    add_type<float>(t);
    add_type<double>(t);
    t.add("min.xorsign.abs.f32", "444", extreme<float, false, true>);
    t.add("max.xorsign.abs.f32", "444", extreme<float, true, true>);
}

}  // namespace ptx
