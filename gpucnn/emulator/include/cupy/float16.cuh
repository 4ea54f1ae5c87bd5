// CuPy's float16 for kernels: CuPy's own header, if CuPy is installed. It has a half of its own
// unless CUDA's version is known.
#pragma once

#include "../cuda_fp16.h"
#include "../math_functions.h"
#include "carray.cuh"

#pragma push_macro("__CUDACC_VER_MAJOR__")
#undef __CUDACC_VER_MAJOR__
#define __CUDACC_VER_MAJOR__ 12
#include_next <cupy/float16.cuh>
#pragma pop_macro("__CUDACC_VER_MAJOR__")
