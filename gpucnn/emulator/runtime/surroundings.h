// What lies around an address that a kernel may not access: for messages.
#pragma once

#include <cstddef>
#include <cstdint>

#include "launch.h"

namespace emulator {

// The launch whose arrays are known; null for none.
void surround(const LaunchRequest* request);

// An access out of bounds in words: its address, and which array of the launch is how far away. The
// size may be 0 if it is not known.
struct StrayAccess {
    StrayAccess(const char* kind, size_t size, const void* address);
    char text[320];
};

// How many bytes of dynamic shared memory the launch gave, if the address lies behind them.
bool is_beyond_dynamic(const void* address, char* text, size_t text_bytes);

}  // namespace emulator
