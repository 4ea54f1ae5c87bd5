// CUDA's header of this name declares make_float4 and its like, which every kernel has.
#pragma once
