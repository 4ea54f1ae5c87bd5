// What kernels of other projects use and the emulator does not have, each refused by its name.
//
// A function that is missing altogether is reported as "not declared", which leaves it open whether
// it was misspelt. So each is declared here, as one that must not be called: if a call is left after
// optimisation, the compiler reports the sentence at the line of the call.
#pragma once

#define EMULATOR_REFUSE(name, sentence)    \
    template <typename... Arguments>       \
    [[gnu::error(sentence)]] int name(Arguments...);
// What is read from textures and surfaces may be named as well: tex2D<float>(texture, x, y).
#define EMULATOR_REFUSE_READ(name, sentence)             \
    template <typename T = int, typename... Arguments>   \
    [[gnu::error(sentence)]] T name(Arguments...);

// Textures and surfaces. Their types exist, so that the call is what is reported.
using cudaTextureObject_t = unsigned long long;
using cudaSurfaceObject_t = unsigned long long;
enum cudaTextureReadMode { cudaReadModeElementType, cudaReadModeNormalizedFloat };
enum cudaSurfaceBoundaryMode { cudaBoundaryModeZero, cudaBoundaryModeClamp, cudaBoundaryModeTrap };

template <typename T, int dimensions = 1, cudaTextureReadMode = cudaReadModeElementType>
struct texture {
    static_assert(sizeof(T) == 0,
                  "texture: texture references were removed in CUDA 12, and the emulator has no "
                  "textures; pass the array, and compute the index");
};

#define EMULATOR_NO_TEXTURES "the emulator has no textures; pass the array, and compute the index"
EMULATOR_REFUSE_READ(tex1Dfetch, EMULATOR_NO_TEXTURES)
EMULATOR_REFUSE_READ(tex1D, EMULATOR_NO_TEXTURES)
EMULATOR_REFUSE_READ(tex2D, EMULATOR_NO_TEXTURES)
EMULATOR_REFUSE_READ(tex3D, EMULATOR_NO_TEXTURES)
EMULATOR_REFUSE_READ(tex1DLayered, EMULATOR_NO_TEXTURES)
EMULATOR_REFUSE_READ(tex2DLayered, EMULATOR_NO_TEXTURES)
EMULATOR_REFUSE_READ(texCubemap, EMULATOR_NO_TEXTURES)
EMULATOR_REFUSE_READ(tex1DLod, EMULATOR_NO_TEXTURES)
EMULATOR_REFUSE_READ(tex2DLod, EMULATOR_NO_TEXTURES)
EMULATOR_REFUSE_READ(tex3DLod, EMULATOR_NO_TEXTURES)
EMULATOR_REFUSE_READ(tex1DGrad, EMULATOR_NO_TEXTURES)
EMULATOR_REFUSE_READ(tex2DGrad, EMULATOR_NO_TEXTURES)
EMULATOR_REFUSE_READ(tex3DGrad, EMULATOR_NO_TEXTURES)
EMULATOR_REFUSE_READ(tex2Dgather, EMULATOR_NO_TEXTURES)
#undef EMULATOR_NO_TEXTURES

#define EMULATOR_NO_SURFACES "the emulator has no surfaces; pass the array, and compute the index"
EMULATOR_REFUSE_READ(surf1Dread, EMULATOR_NO_SURFACES)
EMULATOR_REFUSE_READ(surf2Dread, EMULATOR_NO_SURFACES)
EMULATOR_REFUSE_READ(surf3Dread, EMULATOR_NO_SURFACES)
EMULATOR_REFUSE_READ(surf1DLayeredread, EMULATOR_NO_SURFACES)
EMULATOR_REFUSE_READ(surf2DLayeredread, EMULATOR_NO_SURFACES)
EMULATOR_REFUSE(surf1Dwrite, EMULATOR_NO_SURFACES)
EMULATOR_REFUSE(surf2Dwrite, EMULATOR_NO_SURFACES)
EMULATOR_REFUSE(surf3Dwrite, EMULATOR_NO_SURFACES)
EMULATOR_REFUSE(surf1DLayeredwrite, EMULATOR_NO_SURFACES)
EMULATOR_REFUSE(surf2DLayeredwrite, EMULATOR_NO_SURFACES)
#undef EMULATOR_NO_SURFACES

// Kernels that launch kernels.
#define EMULATOR_NO_LAUNCHES \
    "the emulator has no dynamic parallelism; launch the second kernel from the host"
EMULATOR_REFUSE(cudaLaunchDevice, EMULATOR_NO_LAUNCHES)
EMULATOR_REFUSE(cudaGetParameterBuffer, EMULATOR_NO_LAUNCHES)
EMULATOR_REFUSE(cudaDeviceSynchronize, EMULATOR_NO_LAUNCHES)
EMULATOR_REFUSE(cudaStreamCreateWithFlags, EMULATOR_NO_LAUNCHES)
#undef EMULATOR_NO_LAUNCHES

// Blocks that share memory.
#define __cluster_dims__(...) \
    _Pragma("GCC error \"__cluster_dims__: the emulator has no clusters of blocks\"")

// Warp functions without a mask.
#define EMULATOR_NO_MASK(replacement)                                                  \
    "without a mask it was removed in compute capability 7.0; use " replacement
EMULATOR_REFUSE(__shfl, EMULATOR_NO_MASK("__shfl_sync"))
EMULATOR_REFUSE(__shfl_up, EMULATOR_NO_MASK("__shfl_up_sync"))
EMULATOR_REFUSE(__shfl_down, EMULATOR_NO_MASK("__shfl_down_sync"))
EMULATOR_REFUSE(__shfl_xor, EMULATOR_NO_MASK("__shfl_xor_sync"))
EMULATOR_REFUSE(__any, EMULATOR_NO_MASK("__any_sync"))
EMULATOR_REFUSE(__all, EMULATOR_NO_MASK("__all_sync"))
EMULATOR_REFUSE(__ballot, EMULATOR_NO_MASK("__ballot_sync"))
#undef EMULATOR_NO_MASK

#undef EMULATOR_REFUSE
#undef EMULATOR_REFUSE_READ
