// cvt: from each type to each other, rounded, saturated and flushed as the instruction says.
#include "floats.h"

namespace ptx {
namespace {

template <class T>
T read(const Warp& w, const Instruction& i, unsigned operand, unsigned lane) {
    if constexpr (std::is_floating_point_v<T>) {
        return w.in<T>(i, operand)[lane];
    } else {
        switch (i.width[1]) {
            case 2: return T(w.in<uint16_t>(i, operand)[lane]);
            case 4: return T(w.in<uint32_t>(i, operand)[lane]);
            default: return T(w.in<uint64_t>(i, operand)[lane]);
        }
    }
}

// A register that is wider than T gets its value, extended by zeros or the sign.
template <class T>
void write(Warp& w, const Instruction& i, unsigned lane, T value) {
    if constexpr (std::is_floating_point_v<T>) {
        w.out<T>(i, 0)[lane] = value;
    } else {
        switch (i.width[0]) {
            case 2: w.out<uint16_t>(i, 0)[lane] = uint16_t(value); break;
            case 4: w.out<uint32_t>(i, 0)[lane] = uint32_t(value); break;
            default: w.out<uint64_t>(i, 0)[lane] = uint64_t(value);
        }
    }
}

// An integer to an integer: the lowest bits, or the nearest that D has.
template <class D, class S>
void between_integers(Warp& w, const Instruction& i, uint32_t active) {
    constexpr __int128 least = std::numeric_limits<D>::min(), most = std::numeric_limits<D>::max();
    for_lanes(active, [&](unsigned l) {
        const S a = read<S>(w, i, 1, l);
        if (i.flags & SATURATE) {
            const __int128 value = a;
            write<D>(w, i, l, D(value < least ? least : value > most ? most : value));
        } else {
            write<D>(w, i, l, D(a));
        }
    });
}

template <class T>
T whole(T a, unsigned rounding) {
    switch (rounding) {
        case TO_ZERO: return std::trunc(a);
        case DOWN: return std::floor(a);
        case UP: return std::ceil(a);
        default: return std::nearbyint(a);
    }
}

// NaN is zero, or the highest bit if one of the types has 64 bits.
template <class D, class S>
D to_integer(S a, unsigned rounding) {
    if (a != a) {
        const bool is_long = sizeof(S) == 8 || sizeof(D) == 8;
        return is_long ? D(std::make_unsigned_t<D>(1) << (8 * sizeof(D) - 1)) : D(0);
    }
    const S rounded = whole(a, rounding);
    constexpr int bits = 8 * sizeof(D) - std::is_signed_v<D>;
    if (rounded >= std::ldexp(S(1), bits)) {
        return std::numeric_limits<D>::max();
    }
    if (rounded <= (std::is_signed_v<D> ? -std::ldexp(S(1), bits) : S(0))) {
        return std::numeric_limits<D>::min();
    }
    return D(rounded);
}

template <class D, class S>
void float_to_integer(Warp& w, const Instruction& i, uint32_t active) {
    for_lanes(active, [&](unsigned l) {
        const S a = read<S>(w, i, 1, l);
        write<D>(w, i, l, to_integer<D>(i.flags & FTZ ? flushed(a) : a, i.flags & ROUNDING));
    });
}

template <class D, class S>
void integer_to_float(Warp& w, const Instruction& i, uint32_t active) {
    for_lanes(active, [&](unsigned l) {
        volatile S a = read<S>(w, i, 1, l);
        const D result = rounded(i.flags & ROUNDING, [&] { return D(a); });
        write<D>(w, i, l, i.flags & SATURATE ? clamped(result) : result);
    });
}

template <class D, class S>
void between_floats(Warp& w, const Instruction& i, uint32_t active) {
    for_lanes(active, [&](unsigned l) {
        S a = read<S>(w, i, 1, l);
        if (i.flags & FTZ && sizeof(S) == 4) {
            a = flushed(a);
        }
        if (i.flags & INTEGRAL) {
            a = whole(a, i.flags & ROUNDING);
        }
        volatile S source = a;
        D result = i.flags & INTEGRAL ? D(a) : rounded(i.flags & ROUNDING, [&] { return D(source); });
        if (i.flags & FTZ && sizeof(D) == 4) {
            result = flushed(result);
        }
        write<D>(w, i, l, i.flags & SATURATE ? clamped(result) : canonical(result));
    });
}

template <class F>
uint16_t finished(double value, uint32_t flags) {
    if (flags & SATURATE) {
        value = clamped(value);
    }
    if (flags & RELU && value < 0) {
        value = 0;
    }
    return to_short<F>(value, flags & ROUNDING);
}

template <class F, class S>
void float_to_short(Warp& w, const Instruction& i, uint32_t active) {
    for_lanes(active, [&](unsigned l) {
        S a = read<S>(w, i, 1, l);
        if (i.flags & FTZ && sizeof(S) == 4) {
            a = flushed(a);
        }
        w.out<uint16_t>(i, 0)[l] = finished<F>(double(a), i.flags);
    });
}

// Of 64 bits, FP64 keeps too few for the result to be rounded once; so rounds to odd first.
template <class S>
double to_odd(S a) {
    double value = double(a);
    if constexpr (sizeof(S) == 8) {
        const __int128 error = __int128(a) - __int128(value);
        auto bits = std::bit_cast<uint64_t>(value);
        if (error != 0 && !(bits & 1)) {
            bits += (error > 0) == (value > 0) ? 1 : -1;
            value = std::bit_cast<double>(bits);
        }
    }
    return value;
}

template <class F, class S>
void integer_to_short(Warp& w, const Instruction& i, uint32_t active) {
    for_lanes(active, [&](unsigned l) {
        w.out<uint16_t>(i, 0)[l] = finished<F>(to_odd(read<S>(w, i, 1, l)), i.flags);
    });
}

template <class F, class D>
void short_to_float(Warp& w, const Instruction& i, uint32_t active) {
    const uint16_t* a = w.in<uint16_t>(i, 1);
    for_lanes(active, [&](unsigned l) {
        const D result = D(F::value(a[l]));
        w.out<D>(i, 0)[l] = i.flags & SATURATE ? clamped(result) : canonical(result);
    });
}

template <class F, class D>
void short_to_integer(Warp& w, const Instruction& i, uint32_t active) {
    const uint16_t* a = w.in<uint16_t>(i, 1);
    for_lanes(active, [&](unsigned l) {
        const float value = F::value(a[l]);
        write<D>(w, i, l, to_integer<D>(value, i.flags & ROUNDING));
    });
}

template <class D, class S>
void between_shorts(Warp& w, const Instruction& i, uint32_t active) {
    const uint16_t* a = w.in<uint16_t>(i, 1);
    map_lanes(w.out<uint16_t>(i, 0), active, [=](unsigned l) {
        double value = S::value(a[l]);
        if (i.flags & INTEGRAL) {
            value = whole(value, i.flags & ROUNDING);
        }
        return finished<D>(value, i.flags & INTEGRAL ? i.flags & ~ROUNDING : i.flags);
    });
}

// Two floats to a pair, the first in the upper half.
template <class F>
void floats_to_pair(Warp& w, const Instruction& i, uint32_t active) {
    const float *a = w.in<float>(i, 1), *b = w.in<float>(i, 2);
    map_lanes(w.out<uint32_t>(i, 0), active, [=](unsigned l) {
        return uint32_t(finished<F>(a[l], i.flags)) << 16 | finished<F>(b[l], i.flags);
    });
}

// A float to TF32: 11 bits of mantissa, with ties away from zero (.rna) or to even (.rn).
void float_to_tf32(Warp& w, const Instruction& i, uint32_t active) {
    constexpr double largest = 0x1.ffcp127;
    const float* a = w.in<float>(i, 1);
    map_lanes(w.out<uint32_t>(i, 0), active, [=](unsigned l) {
        double value = a[l];
        if (i.flags & RELU && value < 0) {
            value = 0;
        }
        return bits_of(canonical(float(rounded_to(value, 11, -126, largest, i.flags & ROUNDING))));
    });
}

template <class D, class S>
void add_pair(Table& t) {
    const std::string name = std::string("cvt.") + type_name<D>() + "." + type_name<S>();
    const std::string operands = "**";
    if constexpr (std::is_floating_point_v<D> && std::is_floating_point_v<S>) {
        t.add(name, operands, between_floats<D, S>);
    } else if constexpr (std::is_floating_point_v<D>) {
        t.add(name, operands, integer_to_float<D, S>);
    } else if constexpr (std::is_floating_point_v<S>) {
        t.add(name, operands, float_to_integer<D, S>);
    } else {
        t.add(name, operands, between_integers<D, S>);
    }
}

template <class F, class T>
void add_short_pair(Table& t) {
    const std::string to = std::string("cvt.") + F::name + "." + type_name<T>();
    const std::string from = std::string("cvt.") + type_name<T>() + "." + F::name;
    if constexpr (std::is_floating_point_v<T>) {
        t.add(to, "**", float_to_short<F, T>);
        t.add(from, "**", short_to_float<F, T>);
    } else if constexpr (sizeof(T) > 1 || std::is_same_v<F, Half>) {  // none of 8 bits for bfloat16
        t.add(to, "**", integer_to_short<F, T>);
        t.add(from, "**", short_to_integer<F, T>);
    }
}

template <class S>
void add_source(Table& t) {
    add_pair<uint8_t, S>(t);
    add_pair<int8_t, S>(t);
    add_pair<uint16_t, S>(t);
    add_pair<int16_t, S>(t);
    add_pair<uint32_t, S>(t);
    add_pair<int32_t, S>(t);
    add_pair<uint64_t, S>(t);
    add_pair<int64_t, S>(t);
    add_pair<float, S>(t);
    add_pair<double, S>(t);
    add_short_pair<Half, S>(t);
    add_short_pair<Bfloat, S>(t);
}

}  // namespace

void add_conversions(Table& t) {
    add_source<uint8_t>(t);
    add_source<int8_t>(t);
    add_source<uint16_t>(t);
    add_source<int16_t>(t);
    add_source<uint32_t>(t);
    add_source<int32_t>(t);
    add_source<uint64_t>(t);
    add_source<int64_t>(t);
    add_source<float>(t);
    add_source<double>(t);
    t.add("cvt.f16.f16", "**", between_shorts<Half, Half>);
    t.add("cvt.bf16.bf16", "**", between_shorts<Bfloat, Bfloat>);
    t.add("cvt.bf16.f16", "**", between_shorts<Bfloat, Half>);
    t.add("cvt.f16.bf16", "**", between_shorts<Half, Bfloat>);
    t.add("cvt.f16x2.f32", "444", floats_to_pair<Half>);
    t.add("cvt.bf16x2.f32", "444", floats_to_pair<Bfloat>);
    t.add("cvt.tf32.f32", "44", float_to_tf32);
}

}  // namespace ptx
