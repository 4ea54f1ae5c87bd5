// What is a module's own, and not for the host's headers, which would act upon it: the last header
// of a module.

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
