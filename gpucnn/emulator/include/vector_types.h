// float4 and its like: as on the device, aligned to their size where that is 4, 8 or 16 bytes.
#pragma once

#include "interface.h"

#define EMULATOR_VECTORS(T, name)                                             \
    struct name##1 {                                                          \
        T x;                                                                  \
    };                                                                        \
    struct alignas(2 * sizeof(T)) name##2 {                                   \
        T x, y;                                                               \
    };                                                                        \
    struct name##3 {                                                          \
        T x, y, z;                                                            \
    };                                                                        \
    struct alignas(4 * sizeof(T) > 16 ? 16 : 4 * sizeof(T)) name##4 {         \
        T x, y, z, w;                                                         \
    };                                                                        \
    inline name##1 make_##name##1(T x) { return {x}; }                        \
    inline name##2 make_##name##2(T x, T y) { return {x, y}; }                \
    inline name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; }        \
    inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }

EMULATOR_VECTORS(signed char, char)
EMULATOR_VECTORS(unsigned char, uchar)
EMULATOR_VECTORS(short, short)
EMULATOR_VECTORS(unsigned short, ushort)
EMULATOR_VECTORS(int, int)
EMULATOR_VECTORS(long, long)
EMULATOR_VECTORS(unsigned long, ulong)
EMULATOR_VECTORS(float, float)
EMULATOR_VECTORS(long long, longlong)
EMULATOR_VECTORS(unsigned long long, ulonglong)
EMULATOR_VECTORS(double, double)

#undef EMULATOR_VECTORS

// uint3 is the interface's, for threadIdx has that type.
struct uint1 {
    unsigned x;
};
struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
inline uint1 make_uint1(unsigned x) { return {x}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint3 make_uint3(unsigned x, unsigned y, unsigned z) { return {x, y, z}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
