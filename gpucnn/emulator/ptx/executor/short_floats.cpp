// Arithmetic in FP16 and bfloat16, single and in pairs.
//
// FP32 has more than twice the bits of either, and two more, so a sum or product that is rounded to
// FP32 and then to 16 bits is as if it had been rounded once (Figueroa, 1995). A product and a sum
// together are not, so they are computed in FP64: the product is exact, the sum rounded to odd.
#include "floats.h"

namespace ptx {
namespace {

template <class F> uint16_t add(uint16_t a, uint16_t b) { return to_short<F>(F::value(a) + F::value(b)); }
template <class F> uint16_t subtract(uint16_t a, uint16_t b) {
    return to_short<F>(F::value(a) - F::value(b));
}
template <class F> uint16_t multiply(uint16_t a, uint16_t b) {
    return to_short<F>(F::value(a) * F::value(b));
}
template <class F> uint16_t fma(uint16_t a, uint16_t b, uint16_t c) {
    return to_short<F>(sum_to_odd(double(F::value(a)) * F::value(b), F::value(c)));
}

template <class F> bool is_nan(uint16_t a) { return F::value(a) != F::value(a); }

template <class F, bool MAX>
uint16_t extreme(uint16_t a, uint16_t b) {
    if (is_nan<F>(a)) return is_nan<F>(b) ? 0x7fff : b;
    if (is_nan<F>(b)) return a;
    const float x = F::value(a), y = F::value(b);
    const bool first = MAX ? x > y || (x == y && !is_negative(x)) : x < y || (x == y && is_negative(x));
    return first ? a : b;
}
template <class F> uint16_t smaller(uint16_t a, uint16_t b) { return extreme<F, false>(a, b); }
template <class F> uint16_t larger(uint16_t a, uint16_t b) { return extreme<F, true>(a, b); }
template <class F> uint16_t absolute(uint16_t a) { return a & 0x7fff; }
template <class F> uint16_t negated(uint16_t a) { return a ^ 0x8000; }

// f of one pair of 16 bits, with what flags say.
template <class F, auto f, class... Operand>
uint16_t one(uint32_t flags, Operand... operand) {
    if (flags & FTZ) {
        ((operand = flushed<F>(operand)), ...);
    }
    if (flags & NAN_RESULT && (is_nan<F>(operand) || ...)) {
        return 0x7fff;
    }
    uint16_t result = f(operand...);
    if (flags & FTZ) {
        result = flushed<F>(result);
    }
    const float value = F::value(result);
    if (flags & SATURATE) {
        return to_short<F>(clamped(value));
    }
    // A negative zero stays what it is.
    return flags & RELU && (value < 0 || value != value) ? (value != value ? 0x7fff : 0) : result;
}

template <class F, auto f, unsigned COUNT, class T, unsigned... K>
void run(Warp& w, const Instruction& i, uint32_t active, std::integer_sequence<unsigned, K...>) {
    const T* in[] = {w.in<T>(i, 1 + K)...};
    map_lanes(w.out<T>(i, 0), active, [&](unsigned l) {
        T result = 0;
        for (unsigned part = 0; part < COUNT; ++part) {
            result |= T(one<F, f>(i.flags, uint16_t(in[K][l] >> 16 * part)...)) << 16 * part;
        }
        return result;
    });
}

// An instruction on one number, or on two side by side, with OPERANDS of them.
template <class F, auto f, unsigned OPERANDS, unsigned COUNT>
void apply(Warp& w, const Instruction& i, uint32_t active) {
    using T = std::conditional_t<COUNT == 1, uint16_t, uint32_t>;
    run<F, f, COUNT, T>(w, i, active, std::make_integer_sequence<unsigned, OPERANDS>());
}

template <class F, auto f, unsigned OPERANDS>
void add_both(Table& t, const char* operation) {
    const std::string name = std::string(operation) + "." + F::name;
    t.add(name, std::string(OPERANDS + 1, '2'), apply<F, f, OPERANDS, 1>);
    t.add(name + "x2", std::string(OPERANDS + 1, '4'), apply<F, f, OPERANDS, 2>);
}

template <class F>
void add_format(Table& t) {
    add_both<F, add<F>, 2>(t, "add");
    add_both<F, subtract<F>, 2>(t, "sub");
    add_both<F, multiply<F>, 2>(t, "mul");
    add_both<F, fma<F>, 3>(t, "fma");
    add_both<F, smaller<F>, 2>(t, "min");
    add_both<F, larger<F>, 2>(t, "max");
    add_both<F, absolute<F>, 1>(t, "abs");
    add_both<F, negated<F>, 1>(t, "neg");
}

}  // namespace

void add_short_float_instructions(Table& t) {
    add_format<Half>(t);
    add_format<Bfloat>(t);
}

}  // namespace ptx
