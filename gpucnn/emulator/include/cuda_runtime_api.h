// CUDA's header of this name declares the runtime's functions, which kernels cannot call.
#pragma once
