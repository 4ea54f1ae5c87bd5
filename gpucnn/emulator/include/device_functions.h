// What a thread can do besides arithmetic: loads and stores that say how they use caches, clocks,
// output.
#pragma once

#include <cstdarg>
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

#define __trap()                                                                       \
    ::emulator::fail(EMULATOR_CALL("__trap"), ::emulator::FailureKind::ASSERTION_FAILED, \
                     "__trap has ended the kernel")

namespace emulator {

// Prints to stderr; how many bytes.
int print(const char* format, va_list arguments);
// Of a clock that goes on; not cycles.
long long nanoseconds();

}  // namespace emulator

namespace emulator::device {

inline long long clock64() { return nanoseconds(); }
inline long clock() { return static_cast<long>(nanoseconds()); }

EMULATOR_UNCHECKED __attribute__((format(printf, 1, 2))) inline int printf(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const int count = print(format, arguments);
    va_end(arguments);
    return count;
}

}  // namespace emulator::device
