// Arithmetic on integers. Sums and products wrap around, as on a GPU, so all of it is done on
// unsigned numbers.
#include "executor.h"

namespace ptx {
namespace {

template <class T>
using Unsigned = std::make_unsigned_t<T>;

// A type of twice the width.
template <class T>
using Wide = std::conditional_t<
    std::is_signed_v<T>,
    std::conditional_t<sizeof(T) == 2, int32_t, std::conditional_t<sizeof(T) == 4, int64_t, __int128>>,
    std::conditional_t<sizeof(T) == 2, uint32_t,
                       std::conditional_t<sizeof(T) == 4, uint64_t, unsigned __int128>>>;

template <class T> T sum(T a, T b) { return T(Unsigned<T>(a) + Unsigned<T>(b)); }
template <class T> T difference(T a, T b) { return T(Unsigned<T>(a) - Unsigned<T>(b)); }
template <class T> Wide<T> product(T a, T b) { return Wide<T>(a) * Wide<T>(b); }
template <class T> T low(T a, T b) {
    if constexpr (sizeof(T) == 2) {
        return T(uint32_t(Unsigned<T>(a)) * Unsigned<T>(b));  // int would overflow
    } else {
        return T(Unsigned<T>(a) * Unsigned<T>(b));
    }
}
template <class T> T high(T a, T b) { return T(product(a, b) >> (8 * sizeof(T))); }

// What lies outside the type's range becomes its limit.
template <class T> T saturated(Wide<T> value) {
    constexpr Wide<T> least = std::numeric_limits<T>::min(), most = std::numeric_limits<T>::max();
    return T(value < least ? least : value > most ? most : value);
}

// A division by zero has all bits set, as GPUs give it; NVIDIA leaves it unspecified.
template <class T> T quotient(T a, T b) {
    if (b == 0) return T(-1);
    if (std::is_signed_v<T> && b == T(-1)) return T(0 - Unsigned<T>(a));
    return T(a / b);
}
template <class T> T remainder(T a, T b) {
    if (b == 0) return a;
    if (std::is_signed_v<T> && b == T(-1)) return 0;
    return T(a % b);
}

// add, sub: with .sat (s32) and with .cc, which keeps the carry or borrow.
template <class T, bool SUBTRACT>
void add(Warp& w, const Instruction& i, uint32_t active) {
    const T *a = w.in<T>(i, 1), *b = w.in<T>(i, 2);
    T* d = w.out<T>(i, 0);
    if (i.flags & CARRY_OUT) {
        for_lanes(active, [&](unsigned l) {
            const auto x = Unsigned<T>(a[l]), y = Unsigned<T>(b[l]);
            const bool carry = SUBTRACT ? x < y : Unsigned<T>(x + y) < x;
            w.carry = (w.carry & ~(1u << l)) | uint32_t(carry) << l;
            d[l] = T(SUBTRACT ? x - y : x + y);
        });
    } else if (i.flags & SATURATE) {
        map_lanes(d, active, [=](unsigned l) {
            return saturated<T>(SUBTRACT ? Wide<T>(a[l]) - b[l] : Wide<T>(a[l]) + b[l]);
        });
    } else {
        map_lanes(d, active, [=](unsigned l) {
            return SUBTRACT ? difference(a[l], b[l]) : sum(a[l], b[l]);
        });
    }
}

// addc, subc: with the carry or borrow of the last instruction that kept one.
template <class T, bool SUBTRACT>
void add_with_carry(Warp& w, const Instruction& i, uint32_t active) {
    using U = unsigned __int128;
    const T *a = w.in<T>(i, 1), *b = w.in<T>(i, 2);
    T* d = w.out<T>(i, 0);
    for_lanes(active, [&](unsigned l) {
        const U x = Unsigned<T>(a[l]), y = Unsigned<T>(b[l]), c = w.carry >> l & 1;
        const U result = SUBTRACT ? x - y - c : x + y + c;
        if (i.flags & CARRY_OUT) {
            const bool carry = result >> (8 * sizeof(T)) & 1;
            w.carry = (w.carry & ~(1u << l)) | uint32_t(carry) << l;
        }
        d[l] = T(result);
    });
}

template <class T>
void multiply_wide(Warp& w, const Instruction& i, uint32_t active) {
    const T *a = w.in<T>(i, 1), *b = w.in<T>(i, 2);
    map_lanes(w.out<Wide<T>>(i, 0), active, [=](unsigned l) { return product(a[l], b[l]); });
}

template <class T>
void multiply_add_wide(Warp& w, const Instruction& i, uint32_t active) {
    using W = Wide<T>;
    const T *a = w.in<T>(i, 1), *b = w.in<T>(i, 2);
    const W* c = w.in<W>(i, 3);
    map_lanes(w.out<W>(i, 0), active, [=](unsigned l) { return sum(product(a[l], b[l]), c[l]); });
}

// mad.lo and mad.hi, madc: with .sat (mad.hi.s32), and with carries.
template <class T, bool HIGH, bool WITH_CARRY>
void multiply_add(Warp& w, const Instruction& i, uint32_t active) {
    const T *a = w.in<T>(i, 1), *b = w.in<T>(i, 2), *c = w.in<T>(i, 3);
    T* d = w.out<T>(i, 0);
    if (!WITH_CARRY && !(i.flags & (CARRY_OUT | SATURATE))) {
        map_lanes(d, active, [=](unsigned l) {
            return sum(HIGH ? high(a[l], b[l]) : low(a[l], b[l]), c[l]);
        });
        return;
    }
    for_lanes(active, [&](unsigned l) {
        const T part = HIGH ? high(a[l], b[l]) : low(a[l], b[l]);
        if (i.flags & SATURATE) {
            d[l] = saturated<T>(Wide<T>(part) + c[l]);
            return;
        }
        const auto result = (unsigned __int128)(Unsigned<T>(part)) + Unsigned<T>(c[l]) +
                            (WITH_CARRY ? w.carry >> l & 1 : 0);
        if (i.flags & CARRY_OUT) {
            const bool carry = result >> (8 * sizeof(T)) & 1;
            w.carry = (w.carry & ~(1u << l)) | uint32_t(carry) << l;
        }
        d[l] = T(result);
    });
}

// The lower 24 bits of a number of 32.
template <class T> T of_24_bits(T a) {
    return std::is_signed_v<T> ? T(int32_t(uint32_t(a) << 8) >> 8) : T(uint32_t(a) & 0xffffff);
}
template <class T> T low_24(T a, T b) { return T(product(of_24_bits(a), of_24_bits(b))); }
template <class T> T high_24(T a, T b) { return T(product(of_24_bits(a), of_24_bits(b)) >> 16); }
template <class T, bool HIGH>
void multiply_add_24(Warp& w, const Instruction& i, uint32_t active) {
    const T *a = w.in<T>(i, 1), *b = w.in<T>(i, 2), *c = w.in<T>(i, 3);
    const bool saturates = i.flags & SATURATE;
    map_lanes(w.out<T>(i, 0), active, [=](unsigned l) {
        const T part = HIGH ? high_24(a[l], b[l]) : low_24(a[l], b[l]);
        return saturates ? saturated<T>(Wide<T>(part) + c[l]) : sum(part, c[l]);
    });
}

template <class T> T absolute(T a) { return a < 0 ? T(0 - Unsigned<T>(a)) : a; }
template <class T> T negated(T a) { return T(0 - Unsigned<T>(a)); }
template <class T> T distance_plus(T a, T b, T c) {
    return sum(a < b ? difference(b, a) : difference(a, b), c);
}
template <class T> T smaller(T a, T b) { return a < b ? a : b; }
template <class T> T larger(T a, T b) { return a < b ? b : a; }

// min and max of two numbers of 16 bits side by side.
template <class T, auto F>
uint32_t both_halves(uint32_t a, uint32_t b) {
    return uint16_t(F(T(a), T(b))) | uint32_t(uint16_t(F(T(a >> 16), T(b >> 16)))) << 16;
}
uint32_t add_halves(uint32_t a, uint32_t b) {
    return ((a + b) & 0xffff) | ((a & 0xffff0000) + (b & 0xffff0000));
}

// min.relu, max.relu: not below zero.
template <class T, auto F>
T not_negative(T a, T b) {
    return std::max(F(a, b), T(0));
}

// dp4a and dp2a: products of bytes, or of halves of a and bytes of b, added to c.
template <class A, class B>
uint32_t dot_of_four(uint32_t a, uint32_t b, uint32_t c) {
    for (unsigned k = 0; k < 4; ++k) {
        c += uint32_t(int32_t(A(a >> 8 * k)) * int32_t(B(b >> 8 * k)));
    }
    return c;
}
template <class A, class B, unsigned SHIFT>
uint32_t dot_of_two(uint32_t a, uint32_t b, uint32_t c) {
    for (unsigned k = 0; k < 2; ++k) {
        c += uint32_t(int32_t(A(a >> 16 * k)) * int32_t(B(b >> (SHIFT + 8 * k))));
    }
    return c;
}

template <class T>
void add_type(Table& t) {
    const std::string two = sizes<T>(2), three = sizes<T>(3), four = sizes<T>(4);
    t.add(named<T>("add"), three, add<T, false>);
    t.add(named<T>("sub"), three, add<T, true>);
    t.add(named<T>("mul.lo"), three, binary<T, low<T>>);
    t.add(named<T>("mul.hi"), three, binary<T, high<T>>);
    t.add(named<T>("mad.lo"), four, multiply_add<T, false, false>);
    t.add(named<T>("mad.hi"), four, multiply_add<T, true, false>);
    t.add(named<T>("div"), three, binary<T, quotient<T>>);
    t.add(named<T>("rem"), three, binary<T, remainder<T>>);
    t.add(named<T>("min"), three, binary<T, smaller<T>>);
    t.add(named<T>("max"), three, binary<T, larger<T>>);
    t.add(named<T>("sad"), four, ternary<T, distance_plus<T>>);
    if constexpr (std::is_signed_v<T>) {
        t.add(named<T>("abs"), two, unary<T, absolute<T>>);
        t.add(named<T>("neg"), two, unary<T, negated<T>>);
    }
    if constexpr (sizeof(T) < 8) {
        const std::string size = sizes<T>(1), wide = sizes<Wide<T>>(1);
        t.add(named<T>("mul.wide"), wide + size + size, multiply_wide<T>);
        t.add(named<T>("mad.wide"), wide + size + size + wide, multiply_add_wide<T>);
    }
    if constexpr (sizeof(T) >= 4) {
        t.add(named<T>("addc"), three, add_with_carry<T, false>);
        t.add(named<T>("subc"), three, add_with_carry<T, true>);
        t.add(named<T>("madc.lo"), four, multiply_add<T, false, true>);
        t.add(named<T>("madc.hi"), four, multiply_add<T, true, true>);
    }
    if constexpr (sizeof(T) == 4) {
        t.add(named<T>("mul24.lo"), three, binary<T, low_24<T>>);
        t.add(named<T>("mul24.hi"), three, binary<T, high_24<T>>);
        t.add(named<T>("mad24.lo"), four, multiply_add_24<T, false>);
        t.add(named<T>("mad24.hi"), four, multiply_add_24<T, true>);
    }
}

template <class A, class B>
void add_dot_products(Table& t, const std::string& types) {
    t.add("dp4a." + types, "4444", ternary<uint32_t, dot_of_four<A, B>>);
}
template <class A, class B>
void add_short_dot_products(Table& t, const std::string& types) {
    t.add("dp2a.lo." + types, "4444", ternary<uint32_t, dot_of_two<A, B, 0>>);
    t.add("dp2a.hi." + types, "4444", ternary<uint32_t, dot_of_two<A, B, 16>>);
}

}  // namespace

void add_integer_instructions(Table& t) {
    add_type<uint16_t>(t);
    add_type<int16_t>(t);
    add_type<uint32_t>(t);
    add_type<int32_t>(t);
    add_type<uint64_t>(t);
    add_type<int64_t>(t);
    t.add("min.relu.s32", "444", binary<int32_t, not_negative<int32_t, smaller<int32_t>>>);
    t.add("max.relu.s32", "444", binary<int32_t, not_negative<int32_t, larger<int32_t>>>);
    t.add("add.u16x2", "444", binary<uint32_t, add_halves>);
    t.add("add.s16x2", "444", binary<uint32_t, add_halves>);
    t.add("min.u16x2", "444", binary<uint32_t, both_halves<uint16_t, smaller<uint16_t>>>);
    t.add("max.u16x2", "444", binary<uint32_t, both_halves<uint16_t, larger<uint16_t>>>);
    t.add("min.s16x2", "444", binary<uint32_t, both_halves<int16_t, smaller<int16_t>>>);
    t.add("max.s16x2", "444", binary<uint32_t, both_halves<int16_t, larger<int16_t>>>);
    t.add("min.relu.s16x2", "444",
          binary<uint32_t, both_halves<int16_t, not_negative<int16_t, smaller<int16_t>>>>);
    t.add("max.relu.s16x2", "444",
          binary<uint32_t, both_halves<int16_t, not_negative<int16_t, larger<int16_t>>>>);
    add_dot_products<uint8_t, uint8_t>(t, "u32.u32");
    add_dot_products<int8_t, uint8_t>(t, "s32.u32");
    add_dot_products<uint8_t, int8_t>(t, "u32.s32");
    add_dot_products<int8_t, int8_t>(t, "s32.s32");
    add_short_dot_products<uint16_t, uint8_t>(t, "u32.u32");
    add_short_dot_products<int16_t, uint8_t>(t, "s32.u32");
    add_short_dot_products<uint16_t, int8_t>(t, "u32.s32");
    add_short_dot_products<int16_t, int8_t>(t, "s32.s32");
}

}  // namespace ptx
