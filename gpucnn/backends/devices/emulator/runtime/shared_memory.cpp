// Where a module's shared memory lies: in its thread-local storage, a copy for each thread of the
// host, each of which runs one block at a time.
#include "launch.h"

namespace emulator {

std::vector<Region> shared_regions(const LaunchRequest& request) {
    std::vector<Region> regions;
    auto* anchor = static_cast<char*>(request.shared->anchor());
    for (uint64_t i = 0; i < request.variable_count; ++i) {
        regions.push_back({anchor + request.variables[i].offset, request.variables[i].bytes});
    }
    auto* dynamic = static_cast<char*>(request.shared->dynamic());
    if (dynamic != nullptr && request.shared_bytes > 0) {
        regions.push_back({dynamic, request.shared_bytes});
    }
    return regions;
}

}  // namespace emulator
