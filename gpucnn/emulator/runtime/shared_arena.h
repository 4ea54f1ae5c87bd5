// Where a module's shared memory lies on this thread of the host, and what lies around it.
#pragma once

#include <cstdint>
#include <vector>

#include "launch.h"

namespace emulator {

// From now on the running thread of the host finds the shared memory of a kernel's module in pages of
// its own.
void use_shared_arena(const void* entry);

// Whether an address lies in these pages, or in the gaps around them.
bool is_near_shared_arena(uintptr_t address);

// Bytes beside the variables of a launch that belong to none. They are poison before its first block,
// and looked at after each: a kernel that has written anything else there has left an array.
class SharedMargins {
public:
    SharedMargins(const LaunchRequest& request, const std::vector<Region>& regions);
    // The name of the variable that a kernel has left; null for none.
    const char* damaged() const;

private:
    struct Margin {
        char* begin;
        size_t bytes;
        const char* variable;
    };
    void add(char* begin, char* end, const Region& region);
    std::vector<Margin> margins_;
};

}  // namespace emulator
