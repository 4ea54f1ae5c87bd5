// The arrays of a launch in memory of their own, so that no index leads from one into another.
#pragma once

#include <cstdint>
#include <vector>

#include "launch.h"
#include "reserved_memory.h"

namespace emulator {

// Around a launch: copies its arrays in, and back.
class GuardedArrays {
public:
    explicit GuardedArrays(const LaunchRequest& request);
    ~GuardedArrays();
    GuardedArrays(const GuardedArrays&) = delete;
    GuardedArrays& operator=(const GuardedArrays&) = delete;

    // The launch with the arrays where they are now.
    const LaunchRequest& request() const { return moved_; }
    // The name of an array beside which the kernel has written; null for none.
    const char* damaged() const;

private:
    // Arrays that overlap, or one.
    struct Group {
        char* from;
        size_t bytes;
        char* to;
        char* end;  // Of the memory.
        const char* name;
    };
    bool move(size_t first, size_t end, const std::vector<size_t>& order, size_t number);

    std::vector<Group> groups_;
    std::vector<Region> regions_;
    std::vector<uint64_t> arguments_;
    LaunchRequest moved_;
};

// Memory for an array of a launch, by its number; kept for later launches unless it is large.
ReservedMemory& array_memory(size_t number);

// Whether an address lies in such memory, or in the gaps around it.
bool is_near_guarded_array(uintptr_t address);

}  // namespace emulator
