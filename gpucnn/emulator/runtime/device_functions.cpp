#include "../include/device_functions.h"

#include <cstdio>
#include <ctime>

namespace emulator {

int print(const char* format, va_list arguments) {
    // stdout may be a program's result. A process of the sanitizers keeps stderr for their reports,
    // and its stdout is passed on.
#if defined(__SANITIZE_ADDRESS__)
    FILE* const output = stdout;
#else
    FILE* const output = stderr;
#endif
    const int count = vfprintf(output, format, arguments);
    fflush(output);
    return count;
}

long long nanoseconds() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}

}  // namespace emulator
