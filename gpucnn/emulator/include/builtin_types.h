// CUDA's header of this name declares float4 and its like, which every kernel has.
#pragma once
