// What lies around an address that a kernel may not access: for messages.
#pragma once

#include <cstddef>
#include <cstdint>

#include "launch.h"

namespace emulator {

// The launch whose arrays are known; null for none.
void surround(const LaunchRequest* request);

// Which element of a region an address is, in words.
struct Element {
    Element(const Region& region, uintptr_t address, size_t size = 1);
    char text[256];
};

// Whether it comes from a pointer that a kernel has not initialised, which the compiler fills
// (-ftrivial-auto-var-init): g++ with bytes of 0xfe, clang++ of 0xaa. An index may have been added.
bool is_uninitialised(uintptr_t address);

// Where an address is, in words: which element of which array of the launch, or its number.
struct Location {
    explicit Location(const void* address);
    char text[256];
};

// An access out of bounds in words: which element of the nearest array it would be. The size may be 0
// if it is not known.
struct StrayAccess {
    StrayAccess(const char* kind, size_t size, const void* address);
    char text[384];
};

// Which array is the nearest, if any is near.
bool is_beside_array(const void* address, char* text, size_t text_bytes);

// How many bytes of dynamic shared memory the launch gave, if the address lies behind them.
bool is_beyond_dynamic(const void* address, char* text, size_t text_bytes);

}  // namespace emulator
