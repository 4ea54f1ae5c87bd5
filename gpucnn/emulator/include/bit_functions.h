// Functions of bits: counts, permutations, products of parts.
#pragma once

#include <cstdint>

#include "scalar_functions.h"
#include "vector_types.h"

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x)); }
inline int __clzll(long long x) {
    return x == 0 ? 64 : __builtin_clzll(static_cast<unsigned long long>(x));
}
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }

namespace emulator {

template <typename T>
inline T reversed(T x) {
    constexpr int BITS = 8 * sizeof(T);
    T result = 0;
    for (int i = 0; i < BITS; ++i) {
        result |= (x >> i & T{1}) << (BITS - 1 - i);
    }
    return result;
}

}  // namespace emulator

inline unsigned __brev(unsigned x) { return emulator::reversed(x); }
inline unsigned long long __brevll(unsigned long long x) { return emulator::reversed(x); }

// Byte i of the result is the byte of b:a that the selector's i-th digit names; a digit of 8 or more
// gives its sign instead.
inline unsigned __byte_perm(unsigned a, unsigned b, unsigned selector) {
    const uint64_t bytes = static_cast<uint64_t>(b) << 32 | a;
    unsigned result = 0;
    for (int i = 0; i < 4; ++i) {
        const unsigned digit = selector >> (4 * i) & 0xfu;
        const auto byte = static_cast<unsigned>(bytes >> (8 * (digit & 7u)) & 0xffu);
        const unsigned chosen = digit < 8 ? byte : byte & 0x80u ? 0xffu : 0u;
        result |= chosen << (8 * i);
    }
    return result;
}

// The high word of high:low shifted to the left, the low word of it shifted to the right: by the
// shift modulo 32, or by 32 at most.
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
    const uint64_t both = static_cast<uint64_t>(high) << 32 | low;
    return static_cast<unsigned>(both << (shift & 31u) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
    const uint64_t both = static_cast<uint64_t>(high) << 32 | low;
    return static_cast<unsigned>(both >> (shift & 31u));
}
inline unsigned __funnelshift_lc(unsigned low, unsigned high, unsigned shift) {
    return shift >= 32 ? low : __funnelshift_l(low, high, shift);
}
inline unsigned __funnelshift_rc(unsigned low, unsigned high, unsigned shift) {
    return shift >= 32 ? high : __funnelshift_r(low, high, shift);
}

inline unsigned __umulhi(unsigned a, unsigned b) {
    return static_cast<unsigned>((static_cast<uint64_t>(a) * b) >> 32);
}
inline int __mulhi(int a, int b) {
    return static_cast<int>((static_cast<int64_t>(a) * b) >> 32);
}
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return static_cast<unsigned long long>(static_cast<unsigned __int128>(a) * b >> 64);
}
inline long long __mul64hi(long long a, long long b) {
    return static_cast<long long>(static_cast<__int128>(a) * b >> 64);
}
// Of the low 24 bits of each, the low 32 bits.
inline unsigned __umul24(unsigned a, unsigned b) { return (a & 0xffffffu) * (b & 0xffffffu); }
inline int __mul24(int a, int b) {
    const auto low = [](int x) { return static_cast<int>(static_cast<unsigned>(x) << 8) >> 8; };
    return static_cast<int>(static_cast<unsigned>(low(a)) * static_cast<unsigned>(low(b)));
}

// The mean of two numbers, rounded down or up, without overflow.
inline int __hadd(int a, int b) { return static_cast<int>((int64_t{a} + b) >> 1); }
inline int __rhadd(int a, int b) { return static_cast<int>((int64_t{a} + b + 1) >> 1); }
inline unsigned __uhadd(unsigned a, unsigned b) {
    return static_cast<unsigned>((uint64_t{a} + b) >> 1);
}
inline unsigned __urhadd(unsigned a, unsigned b) {
    return static_cast<unsigned>((uint64_t{a} + b + 1) >> 1);
}
// |a - b| + c, which wraps around.
inline unsigned __usad(unsigned a, unsigned b, unsigned c) { return (a < b ? b - a : a - b) + c; }
inline unsigned __sad(int a, int b, unsigned c) {
    const int64_t difference = int64_t{a} - b;
    return static_cast<unsigned>(difference < 0 ? -difference : difference) + c;
}

// The position of the set bit that is `offset` set bits from `base`, upwards or downwards; counting
// begins with 1. An offset of 0 asks whether the bit at `base` is set. All bits set for none.
inline unsigned __fns(unsigned mask, unsigned base, int offset) {
    int missing = offset < 0 ? -offset : offset > 0 ? offset : 1;
    const int step = offset < 0 ? -1 : 1;
    for (int bit = static_cast<int>(base); bit >= 0 && bit < 32; bit += step) {
        missing -= static_cast<int>(mask >> bit & 1u);
        if (missing == 0) {
            return static_cast<unsigned>(bit);
        }
        if (offset == 0) {
            break;
        }
    }
    return ~0u;
}

namespace emulator {

// c and the products of four bytes each.
template <typename Byte>
inline unsigned dot_of_bytes(unsigned a, unsigned b, unsigned c) {
    for (int i = 0; i < 4; ++i) {
        const int product = static_cast<Byte>(a >> (8 * i)) * static_cast<Byte>(b >> (8 * i));
        c += static_cast<unsigned>(product);
    }
    return c;
}

// c and the products of the two halves of a with the two lower or upper bytes of b.
template <typename Half, typename Byte>
inline unsigned dot_of_halves(unsigned a, unsigned b, unsigned c, int first_byte) {
    for (int i = 0; i < 2; ++i) {
        const int product =
            static_cast<Half>(a >> (16 * i)) * static_cast<Byte>(b >> (8 * (first_byte + i)));
        c += static_cast<unsigned>(product);
    }
    return c;
}

}  // namespace emulator

inline int __dp4a(int a, int b, int c) {
    return static_cast<int>(emulator::dot_of_bytes<int8_t>(a, b, c));
}
inline unsigned __dp4a(unsigned a, unsigned b, unsigned c) {
    return emulator::dot_of_bytes<uint8_t>(a, b, c);
}
inline int __dp4a(char4 a, char4 b, int c) {
    return __dp4a(emulator::bit_cast<int>(a), emulator::bit_cast<int>(b), c);
}
inline unsigned __dp4a(uchar4 a, uchar4 b, unsigned c) {
    return __dp4a(emulator::bit_cast<unsigned>(a), emulator::bit_cast<unsigned>(b), c);
}

#define EMULATOR_DP2A(name, first_byte)                                                     \
    inline int name(int a, int b, int c) {                                                  \
        return static_cast<int>(                                                            \
            emulator::dot_of_halves<int16_t, int8_t>(a, b, c, first_byte));                 \
    }                                                                                       \
    inline unsigned name(unsigned a, unsigned b, unsigned c) {                              \
        return emulator::dot_of_halves<uint16_t, uint8_t>(a, b, c, first_byte);             \
    }                                                                                       \
    inline int name(short2 a, char4 b, int c) {                                             \
        return name(emulator::bit_cast<int>(a), emulator::bit_cast<int>(b), c);             \
    }                                                                                       \
    inline unsigned name(ushort2 a, uchar4 b, unsigned c) {                                 \
        return name(emulator::bit_cast<unsigned>(a), emulator::bit_cast<unsigned>(b), c);   \
    }
EMULATOR_DP2A(__dp2a_lo, 0)
EMULATOR_DP2A(__dp2a_hi, 2)
#undef EMULATOR_DP2A
