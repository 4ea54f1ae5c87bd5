// Where in the source something happened, as far as the runtime knows; the rest is addr2line's.
#pragma once

#include <cstdint>

namespace emulator {

struct SourcePlace {
    static constexpr uint32_t MOST = 24;
    // The calls that led there, innermost first: instructions, from where their module begins.
    uint64_t frames[MOST];
    uint32_t count = 0;
    // What a call says of itself, for where no frame has a line.
    int line = 0;
    const char* file = nullptr;
};

// Adds the frames of the running thread; those of the kernel's own module alone.
void add_frames(SourcePlace& place, const void* entry);

// Of one instruction, where a call returns to.
SourcePlace place_of_return(const void* entry, const void* instruction);

// Whether an instruction lies in the module of a kernel's entry.
bool in_module(const void* entry, const void* instruction);

}  // namespace emulator
