// Functions of half, in cuda_fp16.h, and of bfloat16, in cuda_bf16.h: the same for both, so each
// includes this with EMULATOR_SHORT for its type and EMULATOR_PAIR for pairs of it. They are no
// templates, so that arguments are converted as on the device.
//
// Functions such as hexp are computed in double and rounded; a GPU's can differ in the last bit.

// A function of numbers, and one that applies it to both numbers of pairs.
#define EMULATOR_OF_1(name, pair_name, result)                                              \
    inline EMULATOR_SHORT name(EMULATOR_SHORT a) { return result; }                         \
    inline EMULATOR_PAIR pair_name(EMULATOR_PAIR a) { return {name(a.x), name(a.y)}; }
#define EMULATOR_OF_2(name, pair_name, result)                                              \
    inline EMULATOR_SHORT name(EMULATOR_SHORT a, EMULATOR_SHORT b) { return result; }       \
    inline EMULATOR_PAIR pair_name(EMULATOR_PAIR a, EMULATOR_PAIR b) {                      \
        return {name(a.x, b.x), name(a.y, b.y)};                                            \
    }
#define EMULATOR_OF_3(name, pair_name, result)                                              \
    inline EMULATOR_SHORT name(EMULATOR_SHORT a, EMULATOR_SHORT b, EMULATOR_SHORT c) {      \
        return result;                                                                      \
    }                                                                                       \
    inline EMULATOR_PAIR pair_name(EMULATOR_PAIR a, EMULATOR_PAIR b, EMULATOR_PAIR c) {     \
        return {name(a.x, b.x, c.x), name(a.y, b.y, c.y)};                                  \
    }

EMULATOR_OF_2(__hadd, __hadd2, a + b)
EMULATOR_OF_2(__hsub, __hsub2, a - b)
EMULATOR_OF_2(__hmul, __hmul2, a * b)
EMULATOR_OF_2(__hdiv, __h2div, a / b)
EMULATOR_OF_2(__hadd_rn, __hadd2_rn, a + b)
EMULATOR_OF_2(__hsub_rn, __hsub2_rn, a - b)
EMULATOR_OF_2(__hmul_rn, __hmul2_rn, a * b)
EMULATOR_OF_2(__hadd_sat, __hadd2_sat, emulator::saturated(a + b))
EMULATOR_OF_2(__hsub_sat, __hsub2_sat, emulator::saturated(a - b))
EMULATOR_OF_2(__hmul_sat, __hmul2_sat, emulator::saturated(a * b))
EMULATOR_OF_3(__hfma, __hfma2, emulator::fused(a.wide(), b.wide(), c.wide()))
EMULATOR_OF_3(__hfma_sat, __hfma2_sat, emulator::saturated(__hfma(a, b, c)))
EMULATOR_OF_3(__hfma_relu, __hfma2_relu, emulator::rectified(__hfma(a, b, c)))
EMULATOR_OF_1(__hneg, __hneg2, -a)
EMULATOR_OF_1(__habs, __habs2, EMULATOR_SHORT::of_bits(a.bits & 0x7fffu))
EMULATOR_OF_2(__hmax, __hmax2, emulator::greater_of(a, b))
EMULATOR_OF_2(__hmin, __hmin2, emulator::lesser_of(a, b))
EMULATOR_OF_2(__hmax_nan, __hmax2_nan, emulator::unless_nan(a, b, __hmax(a, b)))
EMULATOR_OF_2(__hmin_nan, __hmin2_nan, emulator::unless_nan(a, b, __hmin(a, b)))

EMULATOR_OF_1(hexp, h2exp, ::exp(a.wide()))
EMULATOR_OF_1(hexp2, h2exp2, ::exp2(a.wide()))
EMULATOR_OF_1(hexp10, h2exp10, ::pow(10.0, a.wide()))
EMULATOR_OF_1(hlog, h2log, ::log(a.wide()))
EMULATOR_OF_1(hlog2, h2log2, ::log2(a.wide()))
EMULATOR_OF_1(hlog10, h2log10, ::log10(a.wide()))
EMULATOR_OF_1(hsin, h2sin, ::sin(a.wide()))
EMULATOR_OF_1(hcos, h2cos, ::cos(a.wide()))
EMULATOR_OF_1(htanh, h2tanh, ::tanh(a.wide()))
EMULATOR_OF_1(htanh_approx, h2tanh_approx, ::tanh(a.wide()))
EMULATOR_OF_1(hsqrt, h2sqrt, ::sqrt(a.wide()))
EMULATOR_OF_1(hrsqrt, h2rsqrt, 1.0 / ::sqrt(a.wide()))
EMULATOR_OF_1(hrcp, h2rcp, 1.0 / a.wide())
EMULATOR_OF_1(hfloor, h2floor, ::floor(a.wide()))
EMULATOR_OF_1(hceil, h2ceil, ::ceil(a.wide()))
EMULATOR_OF_1(htrunc, h2trunc, ::trunc(a.wide()))
EMULATOR_OF_1(hrint, h2rint, ::rint(a.wide()))

#undef EMULATOR_OF_1
#undef EMULATOR_OF_2
#undef EMULATOR_OF_3

inline bool __hisnan(EMULATOR_SHORT a) { return emulator::is_nan(a); }
inline EMULATOR_PAIR __hisnan2(EMULATOR_PAIR a) { return {__hisnan(a.x), __hisnan(a.y)}; }
inline int __hisinf(EMULATOR_SHORT a) {
    return (a.bits & 0x7fffu) != EMULATOR_SHORT::INFINITE ? 0 : a.bits > 0x7fffu ? -1 : 1;
}

// Comparisons of a number or of pairs. With NaN, those with a u in their name hold and others do
// not. Those of pairs give 1 and 0, or all bits of a half word, or whether both hold.
#define EMULATOR_COMPARED_PAIRS(name)                                                       \
    inline EMULATOR_PAIR __h##name##2(EMULATOR_PAIR a, EMULATOR_PAIR b) {                   \
        return {__h##name(a.x, b.x), __h##name(a.y, b.y)};                                  \
    }                                                                                       \
    inline unsigned __h##name##2_mask(EMULATOR_PAIR a, EMULATOR_PAIR b) {                   \
        return (__h##name(a.x, b.x) ? 0xffffu : 0u) |                                       \
               (__h##name(a.y, b.y) ? 0xffff0000u : 0u);                                    \
    }                                                                                       \
    inline bool __hb##name##2(EMULATOR_PAIR a, EMULATOR_PAIR b) {                           \
        return __h##name(a.x, b.x) && __h##name(a.y, b.y);                                  \
    }
#define EMULATOR_COMPARED(name, operation)                                                  \
    inline bool __h##name(EMULATOR_SHORT a, EMULATOR_SHORT b) {                             \
        return !__hisnan(a) && !__hisnan(b) && a operation b;                               \
    }                                                                                       \
    inline bool __h##name##u(EMULATOR_SHORT a, EMULATOR_SHORT b) {                          \
        return __hisnan(a) || __hisnan(b) || a operation b;                                 \
    }                                                                                       \
    EMULATOR_COMPARED_PAIRS(name)                                                           \
    EMULATOR_COMPARED_PAIRS(name##u)
EMULATOR_COMPARED(eq, ==)
EMULATOR_COMPARED(ne, !=)
EMULATOR_COMPARED(lt, <)
EMULATOR_COMPARED(le, <=)
EMULATOR_COMPARED(gt, >)
EMULATOR_COMPARED(ge, >=)
#undef EMULATOR_COMPARED
#undef EMULATOR_COMPARED_PAIRS

// Of complex numbers: a · b + c, with a rounding for each product.
inline EMULATOR_PAIR __hcmadd(EMULATOR_PAIR a, EMULATOR_PAIR b, EMULATOR_PAIR c) {
    return {__hfma(-a.y, b.y, __hfma(a.x, b.x, c.x)), __hfma(a.y, b.x, __hfma(a.x, b.y, c.y))};
}

inline EMULATOR_PAIR __lowhigh2highlow(EMULATOR_PAIR a) { return {a.y, a.x}; }
inline float __low2float(EMULATOR_PAIR a) { return a.x; }
inline float __high2float(EMULATOR_PAIR a) { return a.y; }
