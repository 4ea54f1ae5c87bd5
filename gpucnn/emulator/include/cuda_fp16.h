// half, as CUDA's header of this name has it.
#pragma once

#include "short_float.h"
#include "vector_types.h"

#define EMULATOR_SHORT_FORMAT 5, 10
EMULATOR_SHORT_NAMES(__half, half, half2)
#undef EMULATOR_SHORT_FORMAT

using half = __half;
using half2 = __half2;

inline float __low2float(__half2 x) { return x.x; }
inline float __high2float(__half2 x) { return x.y; }
