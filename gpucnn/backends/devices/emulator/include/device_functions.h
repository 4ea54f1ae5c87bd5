// What a thread can do besides arithmetic: loads and stores that say how they use caches, clocks,
// output.
#pragma once

#include <cstdarg>
#include <cstdio>
#include <ctime>
#include <type_traits>

#include "collectives.h"
#include "interface.h"

#define EMULATOR_LOAD(name)                  \
    template <typename T>                    \
    inline T name(const T* address) {        \
        return *address;                     \
    }
EMULATOR_LOAD(__ldg)
EMULATOR_LOAD(__ldca)
EMULATOR_LOAD(__ldcg)
EMULATOR_LOAD(__ldcs)
EMULATOR_LOAD(__ldcv)
EMULATOR_LOAD(__ldlu)
#undef EMULATOR_LOAD

#define EMULATOR_STORE(name)                                                \
    template <typename T>                                                   \
    inline void name(T* address, std::type_identity_t<T> value) {           \
        *address = value;                                                   \
    }
EMULATOR_STORE(__stcg)
EMULATOR_STORE(__stcs)
EMULATOR_STORE(__stwb)
EMULATOR_STORE(__stwt)
#undef EMULATOR_STORE

inline void __nanosleep(unsigned) {}

#define __trap() ::emulator::fail(EMULATOR_CALL("__trap"), "__trap has ended the kernel")

// What is assumed and not so has no meaning on the device.
#if defined(__clang__)
#undef __builtin_assume
#endif
#define __builtin_assume(condition)                                               \
    ((condition) ? static_cast<void>(0)                                           \
                 : ::emulator::fail(EMULATOR_CALL("__builtin_assume"),            \
                                    "what is assumed is not so: %s", #condition))

namespace emulator::device {

// Nanoseconds, not cycles.
inline long long clock64() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}
inline clock_t clock() { return static_cast<clock_t>(clock64()); }

// To stderr, for stdout may be a program's result. A process of the sanitizers keeps stderr for
// their reports, and its stdout is passed on.
EMULATOR_UNCHECKED __attribute__((format(printf, 1, 2))) inline int printf(const char* format, ...) {
#if defined(__SANITIZE_ADDRESS__)
    FILE* const output = stdout;
#else
    FILE* const output = stderr;
#endif
    va_list arguments;
    va_start(arguments, format);
    const int count = vfprintf(output, format, arguments);
    va_end(arguments);
    fflush(output);
    return count;
}

}  // namespace emulator::device
