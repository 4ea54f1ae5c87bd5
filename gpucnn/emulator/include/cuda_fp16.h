// half, as CUDA's header of this name has it.
#pragma once

#include "short_conversions.h"
#include "short_float.h"

using __half = emulator::Half;
using __half2 = emulator::Pair<__half>;
using __half_raw = __half::Bits;
using half = __half;
using half2 = __half2;

EMULATOR_SHORT_CONVERSIONS(__half, __half2, half)

#define EMULATOR_SHORT __half
#define EMULATOR_PAIR __half2
#include "short_functions.h"
#undef EMULATOR_SHORT
#undef EMULATOR_PAIR

#define CUDART_INF_FP16 __ushort_as_half(0x7c00)
#define CUDART_NAN_FP16 __ushort_as_half(0x7fff)
#define CUDART_MIN_DENORM_FP16 __ushort_as_half(0x0001)
#define CUDART_MAX_NORMAL_FP16 __ushort_as_half(0x7bff)
#define CUDART_NEG_ZERO_FP16 __ushort_as_half(0x8000)
#define CUDART_ZERO_FP16 __ushort_as_half(0x0000)
#define CUDART_ONE_FP16 __ushort_as_half(0x3c00)
