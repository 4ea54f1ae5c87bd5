// What is a module's own, and not for the host's headers, which would act upon it: the last header
// of a module.

// As NVRTC has it for sm_90, the architecture whose code the emulator runs.
#undef __CUDA_ARCH__
#undef __CUDACC__
#undef __CUDACC_RTC__
#define __CUDA_ARCH__ 900
#define __CUDACC__ 1
#define __CUDACC_RTC__ 1

// Whether floats may be added up in any order.
#undef EMULATOR_ADD
#if defined(EMULATOR_FLOAT_ATOMICS)
#define EMULATOR_ADD atomic_add
#else
#define EMULATOR_ADD atomic_add_of_integers
#endif

// A matter of speed.
#undef __noinline__
#define __noinline__

// As on the device, whatever a header of the host has made of it.
#include "assert.h"

// What is assumed and not so has no meaning on the device.
#undef __builtin_assume
#define __builtin_assume(condition)                                                 \
    ((condition) ? static_cast<void>(0)                                             \
                 : ::emulator::fail(EMULATOR_CALL("__builtin_assume"),              \
                                    ::emulator::FailureKind::UNDEFINED_BEHAVIOUR,   \
                                    "what is assumed is not so: %s", #condition))
