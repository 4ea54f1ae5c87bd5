// bfloat16, as CUDA's header of this name has it.
#pragma once

#include "short_conversions.h"
#include "short_float.h"

using __nv_bfloat16 = emulator::Bfloat16;
using __nv_bfloat162 = emulator::Pair<__nv_bfloat16>;
using __nv_bfloat16_raw = __nv_bfloat16::Bits;
using nv_bfloat16 = __nv_bfloat16;
using nv_bfloat162 = __nv_bfloat162;

EMULATOR_SHORT_CONVERSIONS(__nv_bfloat16, __nv_bfloat162, bfloat16)

#define EMULATOR_SHORT __nv_bfloat16
#define EMULATOR_PAIR __nv_bfloat162
#include "short_functions.h"
#undef EMULATOR_SHORT
#undef EMULATOR_PAIR

#define CUDART_INF_BF16 __ushort_as_bfloat16(0x7f80)
#define CUDART_NAN_BF16 __ushort_as_bfloat16(0x7fff)
#define CUDART_MIN_DENORM_BF16 __ushort_as_bfloat16(0x0001)
#define CUDART_MAX_NORMAL_BF16 __ushort_as_bfloat16(0x7f7f)
#define CUDART_NEG_ZERO_BF16 __ushort_as_bfloat16(0x8000)
#define CUDART_ZERO_BF16 __ushort_as_bfloat16(0x0000)
#define CUDART_ONE_BF16 __ushort_as_bfloat16(0x3f80)
