// CUDA as kernels use it, on the host. A module of kernels begins with this.
#pragma once

#include "interface.h"
#include "qualifiers.h"

#include "atomics.h"
#include "collectives.h"
#include "entry.h"
#include "memory_functions.h"
#include "module.h"
#include "scalar_functions.h"
#include "short_float.h"
#include "vector_types.h"

#include "ptx/instruction.cuh"
