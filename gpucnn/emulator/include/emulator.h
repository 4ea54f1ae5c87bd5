// CUDA as kernels use it, on the host. A module of kernels begins with this.
#pragma once

#include "interface.h"
#include "qualifiers.h"

#include "atomics.h"
#include "bit_functions.h"
#include "collectives.h"
#include "conversions.h"
#include "device_functions.h"
#include "entry.h"
#include "math_functions.h"
#include "memory_functions.h"
#include "module.h"
#include "refusals.h"
#include "rounded_arithmetic.h"
#include "scalar_functions.h"
#include "short_float.h"
#include "simd_functions.h"
#include "special_functions.h"
#include "vector_types.h"

#include "instructions.h"
