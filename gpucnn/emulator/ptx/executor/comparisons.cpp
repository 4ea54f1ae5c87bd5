// setp, set, selp and slct.
#include "floats.h"

namespace ptx {
namespace {

struct HalfBits { using Format = Half; uint16_t bits; };
struct BfloatBits { using Format = Bfloat; uint16_t bits; };

float value_of(HalfBits a) { return Half::value(a.bits); }
float value_of(BfloatBits a) { return Bfloat::value(a.bits); }
template <class T> T value_of(T a) { return a; }

template <class T>
T flushed_value(T a, bool flush) {
    if constexpr (std::is_same_v<T, float>) {
        return flush ? flushed(a) : a;
    } else {
        return a;
    }
}
float flushed_value(HalfBits a, bool flush) {
    const float x = value_of(a);
    return flush && std::fabs(x) < 0x1p-14f ? std::copysign(0.0f, x) : x;
}
float flushed_value(BfloatBits a, bool) { return value_of(a); }

// Of numbers with the same meaning of "less"; the unsigned comparisons lo, ls, hi, hs are those of
// unsigned types.
template <class T>
bool holds(Comparison comparison, T a, T b) {
    const bool unordered = a != a || b != b;
    switch (comparison) {
        case EQ: return a == b;
        case NE: return !unordered && a != b;
        case LT: case LO: return a < b;
        case LE: case LS: return a <= b;
        case GT: case HI: return a > b;
        case GE: case HS: return a >= b;
        case EQU: return unordered || a == b;
        case NEU: return unordered || a != b;
        case LTU: return unordered || a < b;
        case LEU: return unordered || a <= b;
        case GTU: return unordered || a > b;
        case GEU: return unordered || a >= b;
        case NUM: return !unordered;
        case NAN_: return unordered;
    }
    return false;
}

uint32_t combined(Logic logic, uint32_t a, uint32_t b) {
    return logic == AND ? a & b : logic == OR ? a | b : logic == XOR ? a ^ b : a;
}

// The lanes for which the comparison of operands `first` and `first + 1` holds.
template <class T>
uint32_t compared(const Warp& w, const Instruction& i, uint32_t active, unsigned first) {
    const T *a = w.in<T>(i, first), *b = w.in<T>(i, first + 1);
    const bool flush = i.flags & FTZ;
    uint32_t result = 0;
    const auto compare = [&](Comparison comparison) {
        for_lanes(active, [&](unsigned l) {
            result |= uint32_t(holds(comparison, flushed_value(a[l], flush),
                                     flushed_value(b[l], flush))) << l;
        });
    };
    switch (i.comparison) {  // so that each loop has one comparison
        case EQ: compare(EQ); break;
        case LT: compare(LT); break;
        case GE: compare(GE); break;
        case GT: compare(GT); break;
        default: compare(Comparison(i.comparison));
    }
    return result;
}

// setp: p = (a compared with b) combined with c, and q = (not that) combined with c.
template <class T>
void set_predicates(Warp& w, const Instruction& i, uint32_t active) {
    const uint32_t result = compared<T>(w, i, active, 2);
    const uint32_t other = i.logic == PLAIN ? 0 : w.predicate(i, 4);
    w.set_predicate(i, 0, active, combined(Logic(i.logic), result, other));
    w.set_predicate(i, 1, active, combined(Logic(i.logic), ~result, other));
}

// set: all ones, or 1.0, if the comparison holds.
template <class D, class T>
void set(Warp& w, const Instruction& i, uint32_t active) {
    const uint32_t compared_lanes = compared<T>(w, i, active, 1);
    const uint32_t result = combined(
        Logic(i.logic), compared_lanes, i.logic == PLAIN ? 0 : w.predicate(i, 3));
    map_lanes(w.out<D>(i, 0), active, [=](unsigned l) {
        if constexpr (std::is_same_v<D, float>) {
            return result >> l & 1 ? 1.0f : 0.0f;
        } else {
            return result >> l & 1 ? D(-1) : D(0);
        }
    });
}

template <class T>
void select(Warp& w, const Instruction& i, uint32_t active) {
    const T *a = w.in<T>(i, 1), *b = w.in<T>(i, 2);
    const uint32_t chosen = w.predicate(i, 3);
    map_lanes(w.out<T>(i, 0), active, [=](unsigned l) { return chosen >> l & 1 ? a[l] : b[l]; });
}

template <class T, class C>
void select_by_sign(Warp& w, const Instruction& i, uint32_t active) {
    const T *a = w.in<T>(i, 1), *b = w.in<T>(i, 2);
    const C* c = w.in<C>(i, 3);
    const bool flush = i.flags & FTZ;
    map_lanes(w.out<T>(i, 0), active, [=](unsigned l) {
        return flushed_value(c[l], flush) >= 0 ? a[l] : b[l];
    });
}

template <class T>
void add_comparisons_of(Table& t, const std::string& type) {
    const std::string size(1, char('0' + sizeof(T))), two = size + size;
    t.add("setp." + type, "pp?" + two + "p?", set_predicates<T>);
    t.add("set.u32." + type, "4" + two + "p?", set<uint32_t, T>);
    t.add("set.s32." + type, "4" + two + "p?", set<uint32_t, T>);
    if constexpr (std::is_arithmetic_v<T>) {
        t.add("set.f32." + type, "4" + two + "p?", set<float, T>);
    }
}

template <class T>
void add_selections(Table& t, const std::string& type) {
    t.add("selp." + type, sizes<T>(3) + "p", select<T>);
    t.add("slct." + type + ".s32", sizes<T>(3) + "4", select_by_sign<T, int32_t>);
    t.add("slct." + type + ".f32", sizes<T>(3) + "4", select_by_sign<T, float>);
}

}  // namespace

void add_comparisons(Table& t) {
    add_comparisons_of<uint16_t>(t, "u16");
    add_comparisons_of<int16_t>(t, "s16");
    add_comparisons_of<uint16_t>(t, "b16");
    add_comparisons_of<uint32_t>(t, "u32");
    add_comparisons_of<int32_t>(t, "s32");
    add_comparisons_of<uint32_t>(t, "b32");
    add_comparisons_of<uint64_t>(t, "u64");
    add_comparisons_of<int64_t>(t, "s64");
    add_comparisons_of<uint64_t>(t, "b64");
    add_comparisons_of<float>(t, "f32");
    add_comparisons_of<double>(t, "f64");
    add_comparisons_of<HalfBits>(t, "f16");
    add_comparisons_of<BfloatBits>(t, "bf16");
    for (const char* type : {"b16", "u16", "s16"}) {
        add_selections<uint16_t>(t, type);
    }
    for (const char* type : {"b32", "u32", "s32", "f32"}) {
        add_selections<uint32_t>(t, type);
    }
    for (const char* type : {"b64", "u64", "s64", "f64"}) {
        add_selections<uint64_t>(t, type);
    }
}

}  // namespace ptx
