// CuPy's arrays for kernels, CArray and CIndexer: CuPy's own header, if CuPy is installed, with what
// it takes for granted.
#pragma once

#include <cstddef>
#include <cstring>
#include <initializer_list>

#include "../assert.h"
#include "../bit_functions.h"
#include "../qualifiers.h"

#if __has_include_next(<cupy/carray.cuh>)
#include_next <cupy/carray.cuh>
#else
#error "cupy/carray.cuh is one of CuPy's headers; install CuPy (pip install cupy-cuda12x), which needs no GPU for this"
#endif
