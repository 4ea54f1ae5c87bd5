// Race mode: what is said of accesses that are refused.
#pragma once

#include <cstdio>

#include "race.h"

namespace emulator {

// What is known of the element at an address.
struct Subject {
    const Memory& memory;
    Word& word;
    uintptr_t address;
    size_t bytes;
};

// Who made an access. If several did, and the last of them was the running thread, it is another.
struct Maker {
    explicit Maker(const Access& access);
    char text[128];
};

// Notes where the access was that the running thread is at odds with.
void note_other(const Access& access);

template <typename... Values>
[[noreturn]] void report_access(FailureKind kind, const char* format, const Values&... values) {
    char message[768];
    snprintf(message, sizeof message, format, values...);
    this_runner().fail(kind, message);
}

[[noreturn]] void report_race(
    const Subject& subject, const Access& access, const char* access_kind, const Access& earlier,
    const char* earlier_kind);
[[noreturn]] void report_same_value(const UnsettledWrite& write);
[[noreturn]] void report_misaligned(
    const char* name, size_t size, size_t alignment, const void* pointer);

}  // namespace emulator
