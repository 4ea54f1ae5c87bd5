// CUDA's header of this name declares threadIdx and its like, which every kernel has.
#pragma once
