// Conversions to and from half and bfloat16, in whose names the type's word is.
#pragma once

#include "conversions.h"
#include "short_float.h"
#include "vector_types.h"

#define EMULATOR_SHORT_INTEGER_ROUNDED(T, word, name, Integer, rounding)                    \
    inline Integer __##word##2##name##_##rounding(T x) {                                    \
        return emulator::to_integer<Integer, emulator::Rounding::rounding>(                 \
            static_cast<float>(x));                                                         \
    }                                                                                       \
    inline T __##name##2##word##_##rounding(Integer x) {                                    \
        return T::of_bits(T::encode<emulator::Rounding::rounding>(                          \
            emulator::to_odd_double(x)));                                                   \
    }
#define EMULATOR_SHORT_INTEGER(T, word, name, Integer)                                      \
    EMULATOR_SHORT_INTEGER_ROUNDED(T, word, name, Integer, rn)                              \
    EMULATOR_SHORT_INTEGER_ROUNDED(T, word, name, Integer, rz)                              \
    EMULATOR_SHORT_INTEGER_ROUNDED(T, word, name, Integer, rd)                              \
    EMULATOR_SHORT_INTEGER_ROUNDED(T, word, name, Integer, ru)
#define EMULATOR_SHORT_OF_FLOAT(T, word, rounding)                                          \
    inline T __float2##word##_##rounding(float x) {                                         \
        return T::of_bits(T::encode<emulator::Rounding::rounding>(x));                      \
    }

// T is the type and P its pair.
#define EMULATOR_SHORT_CONVERSIONS(T, P, word)                                              \
    EMULATOR_SHORT_INTEGER(T, word, short, short)                                           \
    EMULATOR_SHORT_INTEGER(T, word, ushort, unsigned short)                                 \
    EMULATOR_SHORT_INTEGER(T, word, int, int)                                               \
    EMULATOR_SHORT_INTEGER(T, word, uint, unsigned)                                         \
    EMULATOR_SHORT_INTEGER(T, word, ll, long long)                                          \
    EMULATOR_SHORT_INTEGER(T, word, ull, unsigned long long)                                \
    EMULATOR_SHORT_OF_FLOAT(T, word, rn)                                                    \
    EMULATOR_SHORT_OF_FLOAT(T, word, rz)                                                    \
    EMULATOR_SHORT_OF_FLOAT(T, word, rd)                                                    \
    EMULATOR_SHORT_OF_FLOAT(T, word, ru)                                                    \
    inline signed char __##word##2char_rz(T x) { return x; }                                \
    inline unsigned char __##word##2uchar_rz(T x) { return x; }                             \
    inline T __float2##word(float x) { return x; }                                          \
    inline T __double2##word(double x) { return x; }                                        \
    inline float __##word##2float(T x) { return x; }                                        \
    inline short __##word##_as_short(T x) { return static_cast<short>(x.bits); }            \
    inline unsigned short __##word##_as_ushort(T x) { return x.bits; }                      \
    inline T __short_as_##word(short bits) {                                                \
        return T::of_bits(static_cast<unsigned short>(bits));                               \
    }                                                                                       \
    inline T __ushort_as_##word(unsigned short bits) { return T::of_bits(bits); }           \
    inline P make_##word##2(T x, T y) { return {x, y}; }                                    \
    inline P __halves2##word##2(T x, T y) { return {x, y}; }                                \
    inline P __##word##2##word##2(T x) { return {x, x}; }                                   \
    inline P __float2##word##2_rn(float x) { return {x, x}; }                               \
    inline P __floats2##word##2_rn(float x, float y) { return {x, y}; }                     \
    inline P __float22##word##2_rn(float2 x) { return {x.x, x.y}; }                         \
    inline float2 __##word##22float2(P x) { return {x.x, x.y}; }                            \
    inline T __low2##word(P x) { return x.x; }                                              \
    inline T __high2##word(P x) { return x.y; }                                             \
    inline P __low2##word##2(P x) { return {x.x, x.x}; }                                    \
    inline P __high2##word##2(P x) { return {x.y, x.y}; }                                   \
    inline P __lows2##word##2(P x, P y) { return {x.x, y.x}; }                              \
    inline P __highs2##word##2(P x, P y) { return {x.y, y.y}; }
