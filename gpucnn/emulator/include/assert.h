// assert: a failed one ends the launch with an error at its line. As C's header of this name, it can
// be included again, after NDEBUG has been defined or undefined.
#include "collectives.h"

#undef assert
#ifdef NDEBUG
#define assert(...) static_cast<void>(0)
#else
#define assert(...)                                                                 \
    ((__VA_ARGS__) ? static_cast<void>(0)                                           \
                   : ::emulator::fail(EMULATOR_CALL("assert"),                      \
                                      ::emulator::FailureKind::ASSERTION_FAILED,    \
                                      "assertion failed: %s", #__VA_ARGS__))
#endif
