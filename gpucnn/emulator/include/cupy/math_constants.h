// CuPy's copy of the header of constants.
#pragma once

#include "../math_constants.h"
