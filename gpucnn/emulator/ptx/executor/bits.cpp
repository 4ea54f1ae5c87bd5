// Logic, shifts, and whatever else looks at single bits; and moves, which copy them.
#include "executor.h"

namespace ptx {
namespace {

// Shifts: the second operand has 32 bits.
template <class T, auto F>
void shift(Warp& w, const Instruction& i, uint32_t active) {
    const T* a = w.in<T>(i, 1);
    const uint32_t* b = w.in<uint32_t>(i, 2);
    map_lanes(w.out<T>(i, 0), active, [=](unsigned l) { return F(a[l], b[l]); });
}

template <class T, auto F>
void counting(Warp& w, const Instruction& i, uint32_t active) {
    const T* a = w.in<T>(i, 1);
    map_lanes(w.out<uint32_t>(i, 0), active, [=](unsigned l) { return uint32_t(F(a[l])); });
}

template <class T> constexpr unsigned WIDTH = 8 * sizeof(T);

template <class T> T conjunction(T a, T b) { return a & b; }
template <class T> T disjunction(T a, T b) { return a | b; }
template <class T> T exclusive(T a, T b) { return a ^ b; }
template <class T> T complement(T a) { return T(~a); }
template <class T> T logical_not(T a) { return a == 0; }

// Counts beyond the width act as the width does.
template <class T> T shifted_left(T a, uint32_t count) {
    return count >= WIDTH<T> ? T(0) : T(uint64_t(a) << count);
}
template <class T> T shifted_right(T a, uint32_t count) {
    if (count >= WIDTH<T>) {
        return a < 0 ? T(-1) : T(0);
    }
    return T(a >> count);
}

// shf: 64 bits of two registers, moved by a count that is clamped to 32, or taken modulo 32.
template <bool LEFT, bool WRAP>
uint32_t funnel(uint32_t a, uint32_t b, uint32_t c) {
    const unsigned count = WRAP ? c & 31 : c < 32 ? c : 32;
    const uint64_t both = uint64_t(b) << 32 | a;
    return uint32_t(LEFT ? both << count >> 32 : both >> count);
}

template <class T> unsigned ones(T a) { return std::popcount(std::make_unsigned_t<T>(a)); }
template <class T> unsigned leading_zeros(T a) { return std::countl_zero(std::make_unsigned_t<T>(a)); }

// bfind: the place of the highest bit that differs from the sign.
template <class T> uint32_t highest(T a) {
    const auto bits = std::make_unsigned_t<T>(a < 0 ? ~a : a);
    return bits == 0 ? ~0u : WIDTH<T> - 1 - std::countl_zero(bits);
}
template <class T> uint32_t highest_as_shift(T a) {
    const auto place = highest(a);
    return place == ~0u ? place : WIDTH<T> - 1 - place;
}

template <class T> T reversed(T a) {
    T result = 0;
    for (unsigned bit = 0; bit < WIDTH<T>; ++bit) {
        result |= T(a >> bit & 1) << (WIDTH<T> - 1 - bit);
    }
    return result;
}

// bfe: `length` bits from `position`, extended by their sign, which is the last bit there is.
template <class T>
void extract(Warp& w, const Instruction& i, uint32_t active) {
    using U = std::make_unsigned_t<T>;
    const T* a = w.in<T>(i, 1);
    const uint32_t *position = w.in<uint32_t>(i, 2), *length = w.in<uint32_t>(i, 3);
    map_lanes(w.out<T>(i, 0), active, [=](unsigned l) {
        const unsigned begin = position[l] & 255, count = length[l] & 255;
        const unsigned last = begin + count - 1 < WIDTH<T> - 1 ? begin + count - 1 : WIDTH<T> - 1;
        const bool sign = std::is_signed_v<T> && count > 0 && U(a[l]) >> last & 1;
        const U field = begin < WIDTH<T> ? U(a[l]) >> begin : U(0);
        const unsigned have = begin < WIDTH<T> ? WIDTH<T> - begin : 0;
        const unsigned kept = count < have ? count : have;
        const U mask = kept >= WIDTH<T> ? ~U(0) : (U(1) << kept) - 1;
        return T((field & mask) | (sign ? U(~mask) : U(0)));
    });
}

// bfi: the lowest `length` bits of a in place of those of b from `position`.
template <class T>
void insert(Warp& w, const Instruction& i, uint32_t active) {
    const T *a = w.in<T>(i, 1), *b = w.in<T>(i, 2);
    const uint32_t *position = w.in<uint32_t>(i, 3), *length = w.in<uint32_t>(i, 4);
    map_lanes(w.out<T>(i, 0), active, [=](unsigned l) {
        const unsigned begin = position[l] & 255, count = length[l] & 255;
        if (begin >= WIDTH<T>) {
            return b[l];
        }
        const T ones = count >= WIDTH<T> ? ~T(0) : (T(1) << count) - 1;
        const T mask = ones << begin;
        return T((b[l] & ~mask) | (a[l] << begin & mask));
    });
}

enum class Permutation { INDEXED, F4E, B4E, RC8, ECL, ECR, RC16 };

// The four selectors of prmt in a mode other than its usual one, by the lowest bits of c.
uint32_t selectors(Permutation mode, uint32_t c) {
    constexpr uint16_t table[6][4] = {
        {0x3210, 0x4321, 0x5432, 0x6543},  // f4e
        {0x5670, 0x6701, 0x7012, 0x0123},  // b4e
        {0x0000, 0x1111, 0x2222, 0x3333},  // rc8
        {0x3210, 0x3211, 0x3222, 0x3333},  // ecl
        {0x0000, 0x1110, 0x2210, 0x3210},  // ecr
        {0x1010, 0x3232, 0x1010, 0x3232},  // rc16
    };
    return mode == Permutation::INDEXED ? c : table[int(mode) - 1][c & 3];
}

// prmt: each byte is one of the eight of a and b, or its sign repeated.
template <Permutation MODE>
uint32_t permuted(uint32_t a, uint32_t b, uint32_t c) {
    const uint64_t bytes = uint64_t(b) << 32 | a;
    const uint32_t chosen = selectors(MODE, c);
    uint32_t result = 0;
    for (unsigned k = 0; k < 4; ++k) {
        const unsigned selector = chosen >> 4 * k & 15;
        const auto byte = uint8_t(bytes >> 8 * (selector & 7));
        const bool repeats_sign = MODE == Permutation::INDEXED && selector & 8;
        const uint8_t value = repeats_sign ? (byte & 128 ? 255 : 0) : byte;
        result |= uint32_t(value) << 8 * k;
    }
    return result;
}

// lop3: the bit of the truth table that the three bits choose.
void logic_of_three(Warp& w, const Instruction& i, uint32_t active) {
    const uint32_t *a = w.in<uint32_t>(i, 1), *b = w.in<uint32_t>(i, 2), *c = w.in<uint32_t>(i, 3);
    const uint32_t table = *w.in<uint32_t>(i, 4);
    map_lanes(w.out<uint32_t>(i, 0), active, [=](unsigned l) {
        uint32_t result = 0;
        for (unsigned row = 0; row < 8; ++row) {
            const uint32_t here = (row & 4 ? a[l] : ~a[l]) & (row & 2 ? b[l] : ~b[l]) &
                                  (row & 1 ? c[l] : ~c[l]);
            result |= table >> row & 1 ? here : 0;
        }
        return result;
    });
}

// bmsk: `length` ones from `position`.
template <bool WRAP>
uint32_t bit_mask(uint32_t position, uint32_t length) {
    if (WRAP) {
        position &= 31, length &= 31;
    }
    if (position >= 32) {
        return 0;
    }
    return (length >= 32 ? ~0u : (1u << length) - 1) << position;
}

// fns: the place of the n-th bit of a mask from a base, upwards or downwards; itself for n = 0.
uint32_t nth_set(uint32_t mask, uint32_t base, uint32_t n) {
    const int offset = int(n), step = offset < 0 ? -1 : 1;
    int left = offset == 0 ? 1 : std::abs(offset);
    for (int place = int(base); place >= 0 && place < 32; place += step) {
        if (mask >> place & 1 && --left == 0) {
            return uint32_t(place);
        }
        if (offset == 0) {
            break;
        }
    }
    return ~0u;
}

template <class T>
void move(Warp& w, const Instruction& i, uint32_t active) {
    const T* a = w.in<T>(i, 1);
    map_lanes(w.out<T>(i, 0), active, [=](unsigned l) { return a[l]; });
}

void move_predicate(Warp& w, const Instruction& i, uint32_t active) {
    w.set_predicate(i, 0, active, w.predicate(i, 1));
}

template <auto F>
void logic_of_predicates(Warp& w, const Instruction& i, uint32_t active) {
    w.set_predicate(i, 0, active, F(w.predicate(i, 1), w.predicate(i, 2)));
}

void not_predicate(Warp& w, const Instruction& i, uint32_t active) {
    w.set_predicate(i, 0, active, ~w.predicate(i, 1));
}

// mov from several registers to one, the first lowest, and back.
template <class PART, class WHOLE>
void pack(Warp& w, const Instruction& i, uint32_t active) {
    constexpr unsigned parts = sizeof(WHOLE) / sizeof(PART);
    WHOLE* d = w.out<WHOLE>(i, 0);
    for_lanes(active, [&](unsigned l) {
        WHOLE value = 0;
        for (unsigned k = 0; k < parts; ++k) {
            value |= WHOLE(w.in<PART>(i, 1 + k)[l]) << k * WIDTH<PART>;
        }
        d[l] = value;
    });
}

template <class PART, class WHOLE>
void unpack(Warp& w, const Instruction& i, uint32_t active) {
    constexpr unsigned parts = sizeof(WHOLE) / sizeof(PART);
    const WHOLE* a = w.in<WHOLE>(i, parts);
    for_lanes(active, [&](unsigned l) {
        const WHOLE value = a[l];
        for (unsigned k = 0; k < parts; ++k) {
            if (i.operand[k] != NONE) {
                w.out<PART>(i, k)[l] = PART(value >> k * WIDTH<PART>);
            }
        }
    });
}

template <class T>
void add_logic(Table& t, const std::string& type) {
    t.add("and." + type, sizes<T>(3), binary<T, conjunction<T>>);
    t.add("or." + type, sizes<T>(3), binary<T, disjunction<T>>);
    t.add("xor." + type, sizes<T>(3), binary<T, exclusive<T>>);
    t.add("not." + type, sizes<T>(2), unary<T, complement<T>>);
    t.add("cnot." + type, sizes<T>(2), unary<T, logical_not<T>>);
    t.add("shl." + type, sizes<T>(2) + "4", shift<T, shifted_left<T>>);
    t.add("shr." + type, sizes<T>(2) + "4", shift<T, shifted_right<T>>);
    t.add("mov." + type, sizes<T>(2), move<T>);
}

template <class T>
void add_signed(Table& t) {
    t.add(named<T>("shr"), sizes<T>(2) + "4", shift<T, shifted_right<T>>);
    t.add(named<T>("mov"), sizes<T>(2), move<T>);
    if constexpr (sizeof(T) >= 4) {
        t.add(named<T>("bfe"), sizes<T>(2) + "44", extract<T>);
        t.add(named<T>("bfind"), "4" + sizes<T>(1), counting<T, highest<T>>);
        t.add(named<T>("bfind.shiftamt"), "4" + sizes<T>(1), counting<T, highest_as_shift<T>>);
    }
}

template <class T>
void add_counts(Table& t, const std::string& type) {
    const std::string operands = "4" + sizes<T>(1);
    t.add("popc." + type, operands, counting<T, ones<T>>);
    t.add("clz." + type, operands, counting<T, leading_zeros<T>>);
    t.add("brev." + type, sizes<T>(2), unary<T, reversed<T>>);
    t.add("bfi." + type, sizes<T>(3) + "44", insert<T>);
}

}  // namespace

void add_bit_instructions(Table& t) {
    add_logic<uint16_t>(t, "b16");
    add_logic<uint32_t>(t, "b32");
    add_logic<uint64_t>(t, "b64");
    add_signed<uint16_t>(t);
    add_signed<int16_t>(t);
    add_signed<uint32_t>(t);
    add_signed<int32_t>(t);
    add_signed<uint64_t>(t);
    add_signed<int64_t>(t);
    add_counts<uint32_t>(t, "b32");
    add_counts<uint64_t>(t, "b64");
    t.add("mov.f32", "44", move<uint32_t>);
    t.add("mov.f64", "88", move<uint64_t>);
    t.add("mov.b128", "::", move<unsigned __int128>);
    t.add("mov.pred", "pp", move_predicate);
    t.add("and.pred", "ppp", logic_of_predicates<conjunction<uint32_t>>);
    t.add("or.pred", "ppp", logic_of_predicates<disjunction<uint32_t>>);
    t.add("xor.pred", "ppp", logic_of_predicates<exclusive<uint32_t>>);
    t.add("not.pred", "pp", not_predicate);
    t.add("pack.2x16", "422", pack<uint16_t, uint32_t>);
    t.add("pack.4x16", "82222", pack<uint16_t, uint64_t>);
    t.add("pack.2x32", "844", pack<uint32_t, uint64_t>);
    t.add("pack.2x64", ":88", pack<uint64_t, unsigned __int128>);
    t.add("unpack.2x16", "2?2?4", unpack<uint16_t, uint32_t>);
    t.add("unpack.4x16", "2?2?2?2?8", unpack<uint16_t, uint64_t>);
    t.add("unpack.2x32", "4?4?8", unpack<uint32_t, uint64_t>);
    t.add("unpack.2x64", "8?8?:", unpack<uint64_t, unsigned __int128>);
    t.add("shf.l.clamp.b32", "4444", ternary<uint32_t, funnel<true, false>>);
    t.add("shf.l.wrap.b32", "4444", ternary<uint32_t, funnel<true, true>>);
    t.add("shf.r.clamp.b32", "4444", ternary<uint32_t, funnel<false, false>>);
    t.add("shf.r.wrap.b32", "4444", ternary<uint32_t, funnel<false, true>>);
    t.add("prmt.b32", "4444", ternary<uint32_t, permuted<Permutation::INDEXED>>);
    t.add("prmt.b32.f4e", "4444", ternary<uint32_t, permuted<Permutation::F4E>>);
    t.add("prmt.b32.b4e", "4444", ternary<uint32_t, permuted<Permutation::B4E>>);
    t.add("prmt.b32.rc8", "4444", ternary<uint32_t, permuted<Permutation::RC8>>);
    t.add("prmt.b32.ecl", "4444", ternary<uint32_t, permuted<Permutation::ECL>>);
    t.add("prmt.b32.ecr", "4444", ternary<uint32_t, permuted<Permutation::ECR>>);
    t.add("prmt.b32.rc16", "4444", ternary<uint32_t, permuted<Permutation::RC16>>);
    t.add("lop3.b32", "44444", logic_of_three);
    t.add("bmsk.clamp.b32", "444", binary<uint32_t, bit_mask<false>>);
    t.add("bmsk.wrap.b32", "444", binary<uint32_t, bit_mask<true>>);
    t.add("fns.b32", "4444", ternary<uint32_t, nth_set>);
}

}  // namespace ptx
