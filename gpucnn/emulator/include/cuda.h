// CUDA's header of this name declares the driver's functions, which kernels cannot call.
#pragma once
