// bfloat16, as CUDA's header of this name has it.
#pragma once

#include "short_float.h"
#include "vector_types.h"

#define EMULATOR_SHORT_FORMAT 8, 7
EMULATOR_SHORT_NAMES(__nv_bfloat16, bfloat16, bfloat162)
#undef EMULATOR_SHORT_FORMAT

using nv_bfloat16 = __nv_bfloat16;
using nv_bfloat162 = __nv_bfloat162;

inline float __low2float(__nv_bfloat162 x) { return x.x; }
inline float __high2float(__nv_bfloat162 x) { return x.y; }
